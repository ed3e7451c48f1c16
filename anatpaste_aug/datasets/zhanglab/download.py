"""Download the Zhang Lab radiographs: resume after interruptions, unpack safely, and verify the number of images."""

import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.datasets.zhanglab.archive import unzip
from anatpaste_aug.datasets.zhanglab.index import PUBLISHED_COUNTS, ZhanglabIndex, count_zhanglab, index_zhanglab

__all__ = ["ZHANGLAB_URL", "download", "download_zhanglab"]

ZHANGLAB_URL = (
    "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/f12eaf6d-6023-432f-acc9-80c9d7393433/"
    "file_downloaded"
)
"""`ChestXRay2017.zip` of Mendeley Data rscbjbr9sj, version 2: about 1.15 GB, CC BY 4.0."""

_CHUNK = 1 << 18
_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5
_PAUSE = 2.0  # seconds before the second try; doubled before each further one


def download_zhanglab(root: str | os.PathLike[str], *, url: str = ZHANGLAB_URL, progress: bool = True) -> Path:
    """Download and unpack the Zhanglab radiographs (Kermany, Zhang, Goldbaum; CC BY 4.0) to ``root/ChestXRay2017``.

    About 1.15 GB are downloaded from Mendeley Data, and 2.5 GB must be free. Call it again to resume an interrupted
    download. The folder appears only after everything is unpacked and the numbers of images are verified (1349 + 3883
    for training and 234 + 390 for the test); then the archive is deleted. Does nothing if ``root`` contains the
    complete set.

    Args:
        root: Target folder; created if missing.
        url: Another address of the same archive.
        progress: Show progress bars.

    Returns:
        The folder with ``train`` and ``test``, for `zhanglab_task`.

    Raises:
        DatasetError: The server does not answer or sends something else, the disk is too small for the archive, or the
            archive is damaged, unsafe or incomplete; the message names the remedy.
        OSError: The disk is too small to unpack the archive, which is kept.
    """
    return _fetch(Path(root), url, PUBLISHED_COUNTS, progress)


def _fetch(root: Path, url: str, counts: dict[str, tuple[int, int]], progress: bool) -> Path:
    if (there := _index(root)) is not None:
        if (found := count_zhanglab(there)) == counts:
            return there.root
        raise DatasetError(
            f"{there.root} contains another part of the set: {found} instead of {counts} (normal, pneumonia). Move it "
            "away, or download to another folder"
        )
    target, archive = root / "ChestXRay2017", root / "ChestXRay2017.zip"
    if target.exists():
        raise DatasetError(f"{target} exists, but is not the complete set: move it away, then download again")
    root.mkdir(parents=True, exist_ok=True)
    if not archive.exists():
        download(url, archive, progress=progress)
    partial = root / ".ChestXRay2017.partial"  # hidden, so that it is never mistaken for a dataset
    shutil.rmtree(partial, ignore_errors=True)
    try:
        unzip(archive, partial, progress=progress)
        if (found := count_zhanglab(index_zhanglab(partial))) != counts:
            raise DatasetError(f"it contains {found} instead of {counts} images (normal, pneumonia)")
        partial.replace(target)
    except DatasetError as error:
        raise DatasetError(f"{archive}: {error}. Delete it and download again") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    archive.unlink()
    return index_zhanglab(target).root


def _index(root: Path) -> ZhanglabIndex | None:
    try:
        return index_zhanglab(root)
    except DatasetError:
        return None


def download(url: str, path: str | os.PathLike[str], *, progress: bool = True, tries: int = _TRIES) -> None:
    """Download a file; resume an earlier download.

    An incomplete download is in ``PATH.part`` and is renamed to ``path`` when it is complete.

    Args:
        url: http or https. Redirects to other schemes, and from https to http, are refused.
        path: The file to write.
        progress: Show a progress bar.
        tries: Number of consecutive connections without data after which to give up.

    Raises:
        DatasetError: There is no connection, the server reports an error or no length, a redirect is refused, or the
            disk is too small; the incomplete download is kept.
    """
    if not url.startswith(("https://", "http://")):
        raise DatasetError(f"url={url!r}: expected https:// or http://")
    path = Path(path)
    part = path.with_name(path.name + ".part")
    failures = 0
    most = part.stat().st_size if part.exists() else 0
    with _bar(path.name, progress) as show:
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                if _request(url, part, before, show):
                    break
                reason = "the connection was cut"
            except urllib.error.HTTPError as error:
                reason = f"the server answers {error.code} {error.reason}"
                if error.code == 416:  # the file is already complete, or too long
                    if error.headers.get("Content-Range") == f"bytes */{before}":
                        break
                    part.unlink(missing_ok=True)
                elif error.code not in (408, 429) and error.code < 500:
                    raise DatasetError(f"cannot download {url}: {reason}. Check the address") from error
            except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
                reason = str(getattr(error, "reason", error))
            came = part.stat().st_size if part.exists() else 0
            failures = 0 if came > most else failures + 1  # without range requests, no try may get further
            most = max(most, came)
            if failures >= tries:
                raise DatasetError(f"cannot download {url}: {reason}. Run it again to resume")
            time.sleep(_PAUSE * 2**failures)
    part.replace(path)


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Refuse redirects that urllib would follow to ftp, and from https to http, which could be tampered with."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if urlsplit(newurl).scheme not in ("https", req.type):
            expected = "https" if req.type == "https" else "http or https"
            raise DatasetError(f"{req.full_url} redirects to {newurl}, refused: expected {expected}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _request(url: str, part: Path, have: int, show: "_Show") -> bool:
    """Open one connection; return whether the file is complete."""
    headers = {"User-Agent": "anatpaste_aug", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    opener = urllib.request.build_opener(_WebOnly)
    with opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT) as answer:
        if answer.status != 206:
            have = 0  # the server ignores the range and sends the whole file
        total = _total(answer, have)
        if (free := shutil.disk_usage(part.parent).free) < total - have:
            raise DatasetError(f"{part.parent} has {free:,} bytes free, but needs {total - have:,}: free disk space")
        with part.open("ab" if have else "wb", buffering=0) as file:
            while chunk := answer.read(_CHUNK):
                _write(file, chunk)
                show(file.tell(), total)
            os.fsync(file.fileno())
            return file.tell() == total


def _write(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        raise DatasetError(
            f"{file.name} cannot be written: {error.strerror}. Free disk space, then run it again to resume"
        ) from error


def _total(answer: HTTPResponse, have: int) -> int:
    """Return the size of the complete file."""
    if answer.status == 206:
        span, _, length = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        right = span.partition("-")[0] == str(have)
    else:
        length, right = answer.headers.get("Content-Length", ""), True
    if not right or not length.isdigit():
        raise DatasetError(f"{answer.url} does not specify the length: the download could not be verified")
    return int(length)


_Show = Callable[[int, int], None]  # bytes received, bytes in total


@contextmanager
def _bar(text: str, progress: bool) -> Iterator[_Show]:
    if not progress:
        yield lambda have, total: None
        return
    from tqdm import tqdm

    with tqdm(desc=text, unit="B", unit_scale=True) as bar:

        def show(have: int, total: int) -> None:
            bar.total = total
            bar.update(have - bar.n)

        yield show

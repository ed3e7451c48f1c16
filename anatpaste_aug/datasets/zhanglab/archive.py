"""Unpack an untrusted zip archive."""

import errno
import shutil
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from anatpaste_aug.datasets.files.parallel import progress_bar
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["unzip"]

_MOST_FILES, _MOST_BYTES, _MOST_RATIO = 50_000, 8 << 30, 200
_LONGEST = 255  # bytes of a file name that most file systems allow


def unzip(archive: Path, folder: Path, *, progress: bool = True) -> None:
    """Unpack the files of a zip archive to a new folder, without hidden files and those of macOS.

    Nothing is written unless the whole archive is valid. All paths must be inside the folder. There must be no links,
    and no two names that are the same on some file system, which may not distinguish A from a. There may be at most
    50,000 files and 8 GiB. No file may be compressed by more than a factor of 200, and no files may share their bytes.

    Raises:
        DatasetError: The archive is damaged or invalid.
        OSError: The disk has too little free space.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = _checked(packed, archive.stat().st_size)
            folder.mkdir(parents=True)
            if (free := shutil.disk_usage(folder).free) < (needed := sum(member.file_size for member in members)):
                raise OSError(
                    errno.ENOSPC, f"unpacking needs {needed:,} bytes, {free:,} are free: make room", str(folder)
                )
            for member in progress_bar(members, len(members), "unpacking", "files", progress):
                target = folder.joinpath(*PurePosixPath(member.filename).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with packed.open(member) as source, target.open("xb") as file:
                        shutil.copyfileobj(source, file)  # limited to the declared size; verifies the checksum
                except OSError as error:
                    raise OSError(error.errno, f"{target} cannot be written: {error.strerror}. Make room") from error
    except DatasetError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError) as error:
        raise DatasetError(f"not a zip archive, or damaged ({error})") from error


def _checked(packed: zipfile.ZipFile, nbytes: int) -> list[zipfile.ZipInfo]:
    """Return the files to unpack, after checking all of them."""
    files: set[tuple[str, ...]] = set()
    folders: set[tuple[str, ...]] = set()
    members: list[zipfile.ZipInfo] = []
    for member in packed.infolist():
        path = PurePosixPath(member.filename)
        parts = path.parts
        # is_absolute, because the root of //a/b is "//"
        if not parts or path.is_absolute() or ".." in parts or any(sign in member.orig_filename for sign in "\\:\0"):
            raise DatasetError(f"dangerous: the path {member.orig_filename!r} may leave the folder")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DatasetError(f"dangerous: {member.filename!r} is a link or a device")
        if member.is_dir() or "__MACOSX" in parts or any(part[0] == "." for part in parts):
            continue
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DatasetError(f"{member.filename!r} is encrypted, or compressed with an unsupported method")
        if not member.filename.isprintable() or any(len(part.encode()) > _LONGEST for part in parts):
            raise DatasetError(f"{member.filename[:80]!r} is not a valid file name on every system")
        if (place := tuple(_folded(part) for part in parts)) in files:
            raise DatasetError(f"{member.filename!r} is in it twice")
        files.add(place)
        folders.update(place[:depth] for depth in range(1, len(place)))
        if member.file_size > _MOST_RATIO * max(member.compress_size, 1 << 10):
            raise DatasetError(f"dangerous: {member.filename!r} is compressed by more than a factor of {_MOST_RATIO}")
        members.append(member)
    if clash := files & folders:
        raise DatasetError(f"{'/'.join(min(clash))!r} is both a file and a folder in it")
    size = sum(member.file_size for member in members)
    if len(members) > _MOST_FILES or size > _MOST_BYTES:
        raise DatasetError(
            f"dangerous: {len(members):,} files of {size:,} bytes, expected at most {_MOST_FILES:,} of {_MOST_BYTES:,}"
        )
    if (packed_size := sum(member.compress_size for member in members)) > nbytes:
        raise DatasetError(f"dangerous: files that share their bytes, {packed_size:,} in an archive of {nbytes:,}")
    return members


def _folded(part: str) -> str:
    """Return a form that is equal for names that are the same on some file system: case, accents, final dots."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold()).rstrip(". ")

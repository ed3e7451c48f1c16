"""Unpacking a zip archive that somebody else made."""

import errno
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from anatpaste_aug.datasets.parallel import progress_bar
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["unzip"]

_MOST_FILES, _MOST_BYTES, _MOST_RATIO = 50_000, 8 << 30, 200


def unzip(archive: Path, folder: Path, *, progress: bool = True) -> None:
    """Unpack the files of a zip archive to a new folder, without macOS's and other hidden ones.

    Nothing is written unless the whole archive is in order: no path that leaves the folder, no link, no name twice, not
    more than 50,000 files or 8 GiB, nothing that is packed more than 200 times.

    Raises:
        DatasetError: the archive is damaged or not in order.
        OSError: it needs more than is free on the disk.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = _checked(packed)
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
                        shutil.copyfileobj(source, file)  # at most the announced size, and the checksum must hold
                except OSError as error:
                    raise OSError(error.errno, f"{target} cannot be written: {error.strerror}. Make room") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DatasetError(f"not a zip archive, or damaged ({error})") from error


def _checked(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files to unpack, after a look at all."""
    names: set[str] = set()
    members: list[zipfile.ZipInfo] = []
    for member in packed.infolist():
        parts = PurePosixPath(member.filename).parts
        if not parts or parts[0] == "/" or ".." in parts or any(sign in member.orig_filename for sign in "\\:\0"):
            raise DatasetError(f"dangerous: the path {member.orig_filename!r} may leave the folder")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DatasetError(f"dangerous: {member.filename} is a link or a device")
        if member.is_dir() or "__MACOSX" in parts or any(part[0] == "." for part in parts):
            continue
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DatasetError(f"{member.filename} is encrypted, or packed in an unusual way")
        if (name := member.filename.casefold()) in names:
            raise DatasetError(f"{member.filename} is in it twice")
        names.add(name)
        if member.file_size > _MOST_RATIO * max(member.compress_size, 1 << 10):
            raise DatasetError(f"dangerous: {member.filename} is packed more than {_MOST_RATIO} times")
        members.append(member)
    size = sum(member.file_size for member in members)
    if len(members) > _MOST_FILES or size > _MOST_BYTES:
        raise DatasetError(
            f"dangerous: {len(members):,} files of {size:,} bytes, expected at most {_MOST_FILES:,} of {_MOST_BYTES:,}"
        )
    return members

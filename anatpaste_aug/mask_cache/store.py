"""The file of a mask cache: an SQLite database.

SQLite's transactions keep the file consistent if a process is killed or the disk is full, and its locks allow several
processes to read and write at the same time. Connections must not be shared by threads or forked processes: each thread
of each process keeps one for reading, and every write opens another. Writes are not synced to the disk, because masks
can be computed again: a power failure may damage the file.

Two tables: `masks` maps a segmenter and an image, both as hashes, to a mask. `dataset` maps an index of the dataset
that filled the cache to the hash of its image. Masks are packed to one bit per pixel in reading order, as
`numpy.packbits` does. Each has a checksum, because SQLite does not notice changed bits.
"""

import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sqlite3 import Connection

Mask = npt.NDArray[np.bool_]

_APPLICATION = int.from_bytes(b"LNG1", "big")  # file type and version of the tables, in the file's header
_PAGE = 65536  # seven packed masks of 256×256; with the default of 4 KB, each would need three pages
_TIMEOUT = 60.0  # seconds to wait for the lock of another process
_TABLES = (
    "CREATE TABLE masks (segmenter BLOB, image BLOB, height INTEGER, width INTEGER, bits BLOB, checksum INTEGER, "
    "PRIMARY KEY (segmenter, image))",
    "CREATE TABLE dataset (position INTEGER PRIMARY KEY, image BLOB)",
    f"PRAGMA application_id = {_APPLICATION}",
)


class MaskCacheError(RuntimeError):
    """The cache cannot read or write masks. The message says why, and what to do."""


class MaskStore:
    """Masks in a file, by the hash of their image.

    Args:
        path: The file. It is created if it does not exist.

    Raises:
        MaskCacheError: The file cannot be opened or created, is damaged, or is not a mask cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        with self._errors(), closing(self._connect("rwc")) as database:
            if self._is_new(database):
                database.execute(f"PRAGMA page_size = {_PAGE}")
                database.execute("PRAGMA synchronous = OFF")
                database.execute("BEGIN IMMEDIATE")
                if self._is_new(database):  # no other process has created the tables in the meantime
                    for statement in _TABLES:
                        database.execute(statement)
                database.execute("COMMIT")

    def __reduce__(self) -> tuple[type["MaskStore"], tuple[Path]]:
        return MaskStore, (self.path,)

    def find(self, segmenter: bytes, images: Sequence[bytes]) -> list[Mask | None]:
        """Return the masks of these images, each H×W; None where it is missing or damaged."""
        query = "SELECT height, width, bits, checksum FROM masks WHERE segmenter = ? AND image = ?"
        with self._reading() as database:
            rows = [database.execute(query, (segmenter, image)).fetchone() for image in images]
        return [None if row is None else _unpack(image, *row) for image, row in zip(images, rows, strict=True)]

    def put(self, segmenter: bytes, images: Sequence[bytes], masks: Sequence[Mask]) -> None:
        """Store the masks of these images, each H×W."""
        rows = []
        for image, mask in zip(images, masks, strict=True):
            row = (image, *mask.shape, np.packbits(mask).tobytes())
            rows.append((segmenter, *row, _checksum(*row)))
        with self._writing() as database:
            database.executemany("INSERT OR REPLACE INTO masks VALUES (?, ?, ?, ?, ?, ?)", rows)

    def positions(self, segmenter: bytes) -> list[int]:
        """Return the indices of the dataset that have undamaged masks, ascending. Reads every mask."""
        query = (
            "SELECT position, image, height, width, bits, checksum FROM dataset JOIN masks USING (image) "
            "WHERE segmenter = ? ORDER BY position"
        )
        with self._reading() as database:
            rows = database.execute(query, (segmenter,))
            return [position for position, *mask, checksum in rows if _checksum(*mask) == checksum]

    def images_at(self, positions: Sequence[int]) -> list[bytes | None]:
        """Return the hashes of the images at these indices of the dataset; None where it is unknown."""
        with self._reading() as database:
            return _images_at(database, positions)

    def compare(self, positions: Sequence[int], images: Sequence[bytes | None]) -> None:
        """Raise MaskCacheError if an index is recorded with another image."""
        self._compare(positions, images, self.images_at(positions))

    def place(self, positions: Sequence[int], images: Sequence[bytes]) -> None:
        """Record which images are at these indices of the dataset.

        Raises:
            MaskCacheError: An index is recorded with another image. Nothing is changed then.
        """
        with self._writing() as database:
            rows = list(zip(positions, images, strict=True))
            database.executemany("INSERT OR IGNORE INTO dataset VALUES (?, ?)", rows)
            self._compare(positions, images, _images_at(database, positions))

    def check_writable(self) -> None:
        """Raise MaskCacheError if the file cannot be written."""
        with self._writing() as database:
            # Deletes nothing, because no index is negative, but fails if the file cannot be written.
            database.execute("DELETE FROM dataset WHERE position < 0")

    def _compare(
        self, positions: Sequence[int], images: Sequence[bytes | None], recorded: Sequence[bytes | None]
    ) -> None:
        for position, image, other in zip(positions, images, recorded, strict=True):
            if image != other:
                raise MaskCacheError(
                    f"image {position} is not the one that {self.path} was filled with (its bytes or dtype differ); "
                    "pass the same dataset in the same order without random transforms, or use another file"
                )

    def _is_new(self, database: "Connection") -> bool:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (tables,) = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if application == 0 and tables == 0:
            return True
        if application != _APPLICATION:
            raise MaskCacheError(f"{self.path}: this is not a mask cache, or of another version; use another file")
        return False

    @contextmanager
    def _reading(self) -> Iterator["Connection"]:
        with self._errors():
            reader: _Reader | None = getattr(self._local, "reader", None)
            if reader is None or reader.process != os.getpid():
                reader = self._local.reader = _Reader(self._connect("rw"))  # "rw" may read a file that is read-only
            reader.connection.execute("BEGIN")
            try:
                yield reader.connection
            finally:
                reader.connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self) -> Iterator["Connection"]:
        with self._errors(), closing(self._connect("rw")) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            yield connection  # an error closes the connection, which rolls the transaction back
            connection.execute("COMMIT")

    def _connect(self, mode: str) -> "Connection":
        import sqlite3  # here, because some builds of Python lack it

        address = f"{self.path.as_uri()}?mode={mode}"
        return sqlite3.connect(address, _TIMEOUT, isolation_level=None, check_same_thread=False, uri=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except sqlite3.DatabaseError as error:
            code = error.sqlite_errorcode & 0xFF  # the higher bits distinguish causes with the same remedy
            if code == sqlite3.SQLITE_BUSY:
                problem = f"another process has been writing for {_TIMEOUT:g} s; end it or try again"
            elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
                problem = f"this is not a mask cache, or it is damaged ({error}); delete it or use another file"
            else:
                problem = f"{error}; use a file in a folder that exists and can be written, with space on its disk"
            raise MaskCacheError(f"{self.path}: {problem}") from error


class _Reader:
    """The connection of one thread of one process. It is closed when its thread ends, possibly by another thread."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self.process = os.getpid()

    def __del__(self) -> None:
        self.connection.close()


def _images_at(database: "Connection", positions: Sequence[int]) -> list[bytes | None]:
    query = "SELECT image FROM dataset WHERE position = ?"
    rows = [database.execute(query, (position,)).fetchone() for position in positions]
    return [None if row is None else row[0] for row in rows]


def _unpack(image: bytes, height: int, width: int, bits: bytes, checksum: int) -> Mask | None:
    if checksum != _checksum(image, height, width, bits):
        return None
    # With its count argument, unpackbits is many times slower than with a slice afterwards.
    return np.unpackbits(np.frombuffer(bits, np.uint8))[: height * width].reshape(height, width).view(np.bool_)


def _checksum(image: bytes, height: int, width: int, bits: bytes) -> int:
    return zlib.crc32(bits, zlib.crc32(image + f"{height}×{width}".encode()))

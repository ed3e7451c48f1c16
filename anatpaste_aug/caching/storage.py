"""Slots for packed masks, in a file or in memory. A mask is there once its commit word is, and never half.

*Writers* put the mask and its key first and the commit word last. A writer that is killed in between leaves an empty
slot. After a loss of power, when any of the pages may be missing, the checksum in the word tells. Different slots can
be written at once without a lock; so can the same slot, as long as it gets the same mask.

*Readers* map the file. What they return is a copy that was checked after it had been taken.

The bytes go through ``write`` rather than through the map: a full disk is then an OSError instead of a dead process.
"""

import mmap
import os
import struct
import tempfile
import threading
import uuid
import weakref
import zlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from .layout import KEY_BYTES, PAGE, WORD_BYTES, Layout, MaskCacheError, StaleMaskCacheError
from .locking import exclusive, lock_path

Bytes = npt.NDArray[np.uint8]
Slots = npt.NDArray[np.int64]

_COMMITTED = 1 << 32  # in the last byte that is written: half a word is none
_WORD = struct.Struct("<Q")
_CHUNK = 1024  # slots that are checked at once
_SEEKING = threading.Lock()


class Rows(NamedTuple):
    """Copies of some slots.

    Attributes:
        masks: uint8 B×mask_bytes.
        keys: uint8 B×16.
        committed: Boolean B; False where the slot is empty.
        whole: Boolean B; False where it is empty, or where the mask or key is not what was written.
    """

    masks: Bytes
    keys: Bytes
    committed: npt.NDArray[np.bool_]
    whole: npt.NDArray[np.bool_]


class Storage:
    """The slots of one cache, whatever holds them. `FileStorage` and `MemoryStorage` say how a byte is written."""

    def __init__(self, layout: Layout, data: Bytes, lock: Path) -> None:
        self.layout = layout
        self._lock = lock
        self._words = data[PAGE : layout.keys_offset].view("<u8")
        self._keys = data[layout.keys_offset :][: layout.count * KEY_BYTES].reshape(-1, KEY_BYTES)
        self._masks = data[layout.masks_offset :].reshape(-1, layout.mask_bytes)

    def read(self, slots: Slots) -> Rows:
        """Copies of these slots, each checked."""
        words = self._words[slots]  # before the rest: a word that is there vouches for it
        keys, masks = self._keys[slots], self._masks[slots]
        rows = zip(slots.tolist(), keys, masks, words.tolist(), strict=True)
        whole = np.fromiter((_word(*row) == word for *row, word in rows), np.bool_, len(slots))
        return Rows(masks, keys, words >= _COMMITTED, whole)

    def write(self, slots: Slots, keys: Bytes, masks: Bytes) -> None:
        """Fill these slots; the commit words come last."""
        rows = list(zip(slots.tolist(), np.ascontiguousarray(keys), np.ascontiguousarray(masks), strict=True))
        for slot, key, mask in rows:
            self._put(self.layout.masks_offset + slot * self.layout.mask_bytes, mask.data)
            self._put(self.layout.keys_offset + slot * KEY_BYTES, key.data)
        for slot, key, mask in rows:
            self._put(PAGE + slot * WORD_BYTES, memoryview(_WORD.pack(_word(slot, key, mask))))

    def missing(self) -> Slots:
        """The slots that are empty or damaged; every mask is looked at."""
        committed = self.committed()
        lost = np.ones(self.layout.count, np.bool_)
        for start in range(0, len(committed), _CHUNK):
            slots = committed[start : start + _CHUNK]
            lost[slots] = ~self.read(slots).whole
        return np.flatnonzero(lost)

    def committed(self) -> Slots:
        """The slots that are not empty."""
        return np.flatnonzero(self._words >= _COMMITTED)

    def keys(self, slots: Slots) -> Bytes:
        """The keys of these slots, unchecked."""
        return self._keys[slots]

    def locked(self) -> AbstractContextManager[None]:
        """Only one process or thread at a time inside; a killed one holds nobody up."""
        return exclusive(self._lock)

    def check_writable(self) -> None:
        """Raise MaskCacheError where nothing can be written."""

    def flush(self) -> None:
        """Wait until all that was written, by whatever process, is on the disk."""

    def close(self) -> None:
        """Flush, and let go of the file."""

    def _put(self, offset: int, data: memoryview) -> None:
        raise NotImplementedError


class FileStorage(Storage):
    """Slots in a file that is there already, with the layout that is wanted.

    Raises:
        FileNotFoundError: There is no such file.
        MaskCacheError: It is no mask cache, or may not be read; StaleMaskCacheError: it is another one, or damaged.
    """

    def __init__(self, path: Path, wanted: Layout) -> None:
        self.path = path
        # One descriptor for the map and for writing: the path may get another file meanwhile.
        self._file, self._refusal = _open(path)
        self._close = weakref.finalize(self, os.close, self._file)
        try:
            found = Layout.decode(_header(self._file))
            if differences := found.differences(wanted):
                raise StaleMaskCacheError(f"has {', '.join(differences)}")
            if (size := os.fstat(self._file).st_size) != found.nbytes:
                raise StaleMaskCacheError(f"has {size} bytes instead of {found.nbytes}")
        except StaleMaskCacheError as error:
            advice = 'pass stale="rebuild" to start it anew, or another path to keep both'
            raise StaleMaskCacheError(f"{path} {error}; {advice}") from None
        except MaskCacheError as error:
            raise MaskCacheError(f"{path} {error}; it is left as it is, pass another path") from None
        data = np.frombuffer(mmap.mmap(self._file, 0, access=mmap.ACCESS_READ), dtype=np.uint8)
        super().__init__(found, data, lock_path(path))

    def __reduce__(self) -> tuple[Any, ...]:
        return FileStorage, (self.path, self.layout)

    def __repr__(self) -> str:
        return repr(str(self.path))

    def check_writable(self) -> None:
        if self._refusal is not None:
            raise MaskCacheError(f"{self.path} can be read but not written: {self._refusal}")

    def flush(self) -> None:
        if self._refusal is None:
            os.fsync(self._file)

    def close(self) -> None:
        self.flush()
        self._close()

    def _put(self, offset: int, data: memoryview) -> None:
        while data:
            if hasattr(os, "pwrite"):  # forked processes share the position in the file, so it is not used
                done = os.pwrite(self._file, data, offset)
            else:
                with _SEEKING:
                    os.lseek(self._file, offset, os.SEEK_SET)
                    done = os.write(self._file, data)
            data, offset = data[done:], offset + done


class MemoryStorage(Storage):
    """Slots in shared memory: processes that were started with it see what any of them writes.

    A copy through plain ``pickle`` has memory of its own.
    """

    def __init__(self, layout: Layout, held: torch.Tensor | None = None, lock: Path | None = None) -> None:
        if held is None:
            try:
                held = torch.zeros(layout.nbytes, dtype=torch.uint8, device="cpu").share_memory_()
            except RuntimeError as error:
                megabytes = layout.nbytes / 1e6
                raise MaskCacheError(
                    f"cannot take {megabytes:.1f} MB of shared memory; use MaskCache.open(path, ...) instead"
                ) from error
        self._held = held
        if lock is None:
            lock = Path(tempfile.gettempdir()) / f"anatpaste-{uuid.uuid4().hex}.lock"
            self._remove_lock = weakref.finalize(self, _remove_own, lock, os.getpid())
        super().__init__(layout, held.numpy(), lock)

    def __reduce__(self) -> tuple[Any, ...]:
        return MemoryStorage, (self.layout, self._held, self._lock)

    def __repr__(self) -> str:
        return "memory"

    def _put(self, offset: int, data: memoryview) -> None:
        self._held.numpy()[offset : offset + len(data)] = np.frombuffer(data, dtype=np.uint8)


def _word(slot: int, key: Bytes, mask: Bytes) -> int:
    return _COMMITTED | zlib.crc32(mask.data, zlib.crc32(key.data, zlib.crc32(_WORD.pack(slot))))


def _remove_own(lock: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a process that was forked meanwhile
        lock.unlink(missing_ok=True)


def _open(path: Path) -> tuple[int, str | None]:
    """A descriptor for reading and writing, or one for reading and the reason why."""
    binary = getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, os.O_RDWR | binary), None
    except FileNotFoundError:
        raise
    except OSError as refused:
        try:
            return os.open(path, os.O_RDONLY | binary), str(refused.strerror)
        except OSError as error:
            raise MaskCacheError(f"{path} cannot be read: {error.strerror}") from error


def _header(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, PAGE)
    except OSError as error:  # it is a folder, or the disk fails
        raise MaskCacheError(f"cannot be read: {error.strerror}") from error

"""Finding masks by the content of their images."""

import numpy as np
import numpy.typing as npt

from .storage import Bytes, Slots, Storage


class ContentTable:
    """From an image's key to its slot: a dictionary of what the storage holds, brought up to date when a key is new."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._slots: dict[bytes, int] = {}
        self._known = np.zeros(storage.layout.count, dtype=np.bool_)

    def find(self, keys: Bytes) -> tuple[Bytes, npt.NDArray[np.bool_]]:
        """The packed masks of B×16 keys as uint8 B×mask_bytes, and a boolean B: whether each is there, and whole."""
        slots = self._slots_of(keys)
        if (slots < 0).any():
            self._refresh()
            slots = self._slots_of(keys)
        rows = self._storage.read(slots.clip(0))
        return rows.masks, (slots >= 0) & rows.whole & (rows.keys == keys).all(1)

    def add(self, keys: Bytes, masks: Bytes) -> bool:
        """Store masks in slots that are free, unless they are there already; False if there were too few slots."""
        with self._storage.locked():
            self._refresh()
            first = {key.tobytes(): row for row, key in reversed(list(enumerate(keys)))}  # each image once
            rows = np.array(sorted(first.values()), dtype=np.int64)
            slots = self._slots_of(keys[rows])
            # What another process has stored meanwhile stays as it is; what is damaged gets its slot again.
            todo = (slots < 0) | ~self._storage.read(slots.clip(0)).whole
            rows, slots = rows[todo], slots[todo]
            new = np.flatnonzero(slots < 0)
            free = np.flatnonzero(~self._known)[: len(new)]
            slots[new[: len(free)]] = free
            fits = slots >= 0
            self._storage.write(slots[fits], keys[rows[fits]], masks[rows[fits]])
        return bool(fits.all())

    def _slots_of(self, keys: Bytes) -> Slots:
        return np.array([self._slots.get(key.tobytes(), -1) for key in keys], dtype=np.int64)

    def _refresh(self) -> None:
        committed = self._storage.committed()
        new = committed[~self._known[committed]]
        self._known[new] = True
        for slot, key in zip(new.tolist(), self._storage.keys(new), strict=True):
            self._slots.setdefault(key.tobytes(), slot)

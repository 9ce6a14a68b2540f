"""A hash table from keys to the first few rows that had them: eight bytes an entry, looked up and filled by the batch.

A key never remembers more than MOST rows. What a million rows of one template have in common is then found in a few
steps, and their differences fill keys of their own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U32 = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

MOST = 8
_LOAD = 0.6
_SPREAD = np.uint32(0x9E3779B1)


class Buckets:
    def __init__(self, slots: int = 1 << 12) -> None:
        self._keys: U32 = np.zeros(slots, np.uint32)
        self._rows: U32 = np.zeros(slots, np.uint32)  # the row's number and one; zero is an empty slot
        self._filled = 0

    @property
    def nbytes(self) -> int:
        return self._keys.nbytes + self._rows.nbytes

    def find(self, keys: U32) -> tuple[Places, Places]:
        """(which of the keys, row) for all rows that are remembered for them."""
        asked: list[Places] = []
        found: list[Places] = []
        at, slots = np.arange(len(keys)), self._slots(keys)
        while len(at):
            rows = self._rows[slots]
            taken = rows != 0
            at, slots, rows = at[taken], slots[taken], rows[taken]
            same = self._keys[slots] == keys[at]
            if same.any():
                asked.append(at[same])
                found.append(rows[same].astype(np.int64) - 1)
            slots = slots + 1 & len(self._keys) - 1
        none = np.empty(0, np.int64)
        return np.concatenate(asked or [none]), np.concatenate(found or [none])

    def add(self, keys: U32, rows: Places, known: Places | None = None) -> None:
        """In the order given: the first ones of a key are remembered. `known`: how many each key has, if asked."""
        order, ordered, begins = grouped(keys)
        sizes = np.diff(np.append(begins, len(ordered)))
        if known is None:
            asked, _ = self.find(ordered[begins])
            before = np.bincount(asked, minlength=len(begins))
        else:
            before = known[order[begins]]
        nth = np.arange(len(ordered)) - np.repeat(begins, sizes) + np.repeat(before, sizes)
        kept = order[nth < MOST]
        self._put(keys[kept], rows[kept])

    def _put(self, keys: U32, rows: Places) -> None:
        while self._filled + len(keys) > _LOAD * len(self._keys):
            self._grow()
        numbers = (rows + 1).astype(np.uint32)
        slots = self._slots(keys)
        left = np.arange(len(keys))
        while len(left):
            free = self._rows[slots] == 0
            wanting = left[free]
            self._rows[slots[free]] = numbers[wanting]  # of several that want a slot, one gets it
            self._keys[slots[free]] = keys[wanting]
            # A row may have a key twice over; both of its entries are the same, and one of them is enough.
            got = (self._rows[slots] == numbers[left]) & (self._keys[slots] == keys[left])
            left, slots = left[~got], slots[~got] + 1 & len(self._keys) - 1
        self._filled = self._filled + len(keys)

    def _grow(self) -> None:
        taken = self._rows != 0
        keys, rows = self._keys[taken], self._rows[taken]
        order = np.argsort(rows, kind="stable")
        self._keys = np.zeros(4 * len(self._keys) if len(self._keys) < 1 << 22 else 2 * len(self._keys), np.uint32)
        self._rows = np.zeros(len(self._keys), np.uint32)
        self._filled = 0
        for begin in range(0, len(order), 1 << 18):
            part = order[begin : begin + (1 << 18)]
            self._put(keys[part], rows[part].astype(np.int64) - 1)

    def _slots(self, keys: U32) -> Places:
        return ((keys * _SPREAD).astype(np.int64) * len(self._keys)) >> 32


def grouped(keys: U32) -> tuple[Places, U32, Places]:
    """(a stable order, the keys in it, where each of them begins). Sorted as one number each, which numpy does
    fastest."""
    packed = np.sort(keys.astype(np.uint64) << np.uint64(32) | np.arange(len(keys), dtype=np.uint64))
    ordered = (packed >> np.uint64(32)).astype(np.uint32)
    new = np.ones(len(ordered), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return (packed & np.uint64(0xFFFFFFFF)).astype(np.int64), ordered, np.flatnonzero(new)

"""A hash table from keys to the first few rows that had them: eight bytes an entry, looked up and filled by the batch.

A key never remembers more than MOST rows. What a million rows of one template have in common is then found in a few
steps, and their differences fill keys of their own.

An entry is one number, the spread key above the row: one access to memory tells both, entries sort by the place where
they belong, and a larger table is filled from its beginning to its end.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oracle.datanets.words import Places, changes

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

MOST = 8
_LOAD = 0.6
_SPREAD = np.uint32(0x9E3779B1)  # odd: no two keys become one
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_SWEEP = 1 << 18  # entries that are placed at once when the table grows


class Buckets:
    def __init__(self, slots: int = 1 << 12) -> None:
        self._table: U64 = np.zeros(slots, np.uint64)  # spread key, then the row's number and one; zero is empty
        self._filled = 0

    @property
    def nbytes(self) -> int:
        return self._table.nbytes

    def find(self, keys: U32) -> tuple[Places, Places]:
        """(which of the keys, row) for all rows that are remembered for them."""
        asked: list[Places] = []
        found: list[Places] = []
        wanted, at, _ = grouped(keys)  # in the order of the table
        slots = self._slots(wanted)
        while len(at):
            entries = self._table[slots]
            taken = np.flatnonzero(entries)
            at, slots, wanted, entries = at[taken], slots[taken], wanted[taken], entries[taken]
            same = np.flatnonzero(entries >> _HALF == wanted)
            asked.append(at[same])
            found.append((entries[same] & _LOW).astype(np.int64) - 1)
            slots = slots + 1 & len(self._table) - 1
        none = np.empty(0, np.int64)
        return np.concatenate(asked or [none]), np.concatenate(found or [none])

    def add(self, keys: U32, rows: Places, known: Places | None = None) -> None:
        """In the order given: the first ones of a key are remembered. `known`: how many each key has, if asked."""
        wanted, order, begins = grouped(keys)
        sizes = np.diff(np.append(begins, len(order)))
        if known is None:
            asked, _ = self.find(keys[order[begins]])
            before = np.bincount(asked, minlength=len(begins))
        else:
            before = known[order[begins]]
        nth = np.arange(len(order)) + np.repeat(before - begins, sizes)
        kept = np.flatnonzero(nth < MOST)
        entries = wanted[kept] << _HALF | (rows[order[kept]] + 1).astype(np.uint64)
        while self._filled + len(entries) > _LOAD * len(self._table):
            self._grow()
        self._put(entries)

    def _put(self, entries: U64) -> None:
        slots = self._slots(entries >> _HALF)
        self._filled += len(entries)
        while len(entries):
            free = np.flatnonzero(self._table[slots] == 0)
            self._table[slots[free]] = entries[free]  # of several that want a slot, one gets it
            # A row may have a key twice over; both of its entries are the same, and one of them is enough.
            left = np.flatnonzero(self._table[slots] != entries)
            entries, slots = entries[left], slots[left] + 1 & len(self._table) - 1

    def _grow(self) -> None:
        """Sorted, each entry lies where it belongs or right behind the one before; past the end, it begins again."""
        entries = self._table[self._table != 0]
        entries.sort()
        slots = len(self._table) * (4 if len(self._table) < 1 << 22 else 2)
        self._table = np.zeros(slots, np.uint64)
        free, past = 0, [entries[:0]]
        for begin in range(0, len(entries), _SWEEP):
            part = entries[begin : begin + _SWEEP]
            nth = np.arange(len(part))
            places = np.maximum(np.maximum.accumulate(self._slots(part >> _HALF) - nth), free) + nth
            inside = int(np.searchsorted(places, slots))
            self._table[places[:inside]] = part[:inside]
            past.append(part[inside:])
            free = int(places[-1]) + 1
        self._filled = len(entries) - sum(len(part) for part in past)
        self._put(np.concatenate(past))

    def _slots(self, spread: U64) -> Places:
        return (spread * np.uint64(len(self._table)) >> _HALF).astype(np.int64)


def grouped(keys: U32) -> tuple[U64, Places, Places]:
    """(spread keys in their order, which of the keys each is, where each kind begins); of equal keys the first first.
    Sorted as one number each, which numpy does fastest."""
    packed = (keys * _SPREAD).astype(np.uint64) << _HALF | np.arange(len(keys), dtype=np.uint64)
    packed.sort()
    spread = packed >> _HALF
    return spread, (packed & _LOW).astype(np.int64), np.flatnonzero(changes(spread))

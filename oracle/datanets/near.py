"""The near duplicates of a whole datanet: each row is compared with those that founded a cluster before it.

A cluster is a star: every member is near to its founder, the earliest row, and only founders are remembered. There is
no chain in which each link resembles the next and the ends nothing; and however often a row is copied, the index does
not grow. The result depends on the order of rows and on nothing else; a restart changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.datanets.buckets import MOST, Buckets, grouped
from oracle.datanets.nearness import PARTS, Side, compare, sketches
from oracle.datanets.shingles import KEYS, Keys, bags, keys
from oracle.datanets.words import Places, Split, Splitter, Words, changes

CHUNK = 4096  # rows that are looked at together; results hang on it where more rows share a key than a key remembers


@dataclass(frozen=True)
class Near:
    """What was found of one row."""

    row: int  # in the batch
    founder: int  # its number in the index
    share: int  # of 1000
    facts_differ: bool


@dataclass(frozen=True)
class Founders:
    """What the index has to be told again after a restart: one chunk's founders."""

    rows: Places  # in their batch
    keys: Keys
    bag: Split


class _Grown:
    """An array that grows at its end."""

    def __init__(self, kind: type, width: int = 0) -> None:
        self._shape = (width,) if width else ()
        self._held: npt.NDArray[np.generic] = np.empty((1024, *self._shape), kind)
        self.size = 0

    def extend(self, more: npt.NDArray[np.generic]) -> None:
        needed = self.size + len(more)
        if needed > len(self._held):
            larger = np.empty((max(needed, len(self._held) + len(self._held) // 2), *self._shape), self._held.dtype)
            larger[: self.size] = self._held[: self.size]
            self._held = larger
        self._held[self.size : needed] = more
        self.size = needed

    @property
    def values(self) -> npt.NDArray[np.generic]:
        return self._held[: self.size]

    @property
    def nbytes(self) -> int:
        return self._held.nbytes


class NearIndex:
    """All founders of one datanet, in memory; numbered in the order in which they came."""

    def __init__(self, share: int, splitter: Splitter | None = None) -> None:
        self._share = share
        self._splitter = splitter or Splitter()
        self._buckets = Buckets()
        self._words = _Grown(np.uint32)
        self._starts = _Grown(np.int64)
        self._starts.extend(np.zeros(1, np.int64))
        self._sketches = _Grown(np.uint64, PARTS)
        self.founders = 0

    @property
    def nbytes(self) -> int:
        return self._buckets.nbytes + self._words.nbytes + self._starts.nbytes + self._sketches.nbytes

    def add(self, split: Split, eligible: npt.NDArray[np.bool_]) -> tuple[list[Near], Founders]:
        """The next chunk. Rows that are not eligible neither found a cluster nor belong to one."""
        if len(split) > CHUNK:
            raise ValueError(f"a chunk has at most {CHUNK} rows, not {len(split)}")
        bag = bags(split)
        key = keys(split, bag)
        rows = np.flatnonzero(eligible)
        asked, held = self._buckets.find(key[rows].ravel())
        near = self._resolve(rows, *self._candidates(rows, key, bag, asked, held))
        joined = np.zeros(len(split), bool)
        joined[[each.row for each in near if not each.facts_differ]] = True
        founding = rows[~joined[rows]]
        numbers = {int(row): self.founders + at for at, row in enumerate(founding)}
        # A member found inside the chunk knows its founder by its row; now the founder has a number.
        near = [
            Near(
                each.row,
                numbers[-1 - each.founder] if each.founder < 0 else each.founder,
                each.share,
                each.facts_differ,
            )
            for each in near
        ]
        words, starts = _cut(bag, founding)
        made = Founders(founding, key[founding], Split(words, starts))
        known = np.bincount(asked, minlength=len(rows) * KEYS).reshape(-1, KEYS)
        self.restore(made.keys, made.bag, known[~joined[rows]].ravel())
        return near, made

    def restore(self, key: Keys, bag: Split, known: Places | None = None) -> None:
        """Takes the founders of one chunk in, as `add` once did."""
        numbers = np.arange(self.founders, self.founders + len(key))
        self._buckets.add(key.ravel(), np.repeat(numbers, KEYS), known)
        self._words.extend(bag.words)
        self._sketches.extend(sketches(bag))
        self._starts.extend(bag.starts[1:] + int(self._starts.values[-1]))
        self.founders += len(key)

    def _candidates(
        self, rows: Places, key: Keys, bag: Split, asked: Places, found: Places
    ) -> tuple[Places, Places, Places, npt.NDArray[np.bool_]]:
        """(row, founder, share, facts differ); founders inside the chunk are negative: −1 − row."""
        held = Side(Split(self._words.values, self._starts.values), self._sketches.values)  # type: ignore[arg-type]
        here = Side(bag, sketches(bag))
        row, founder = _unique(rows[asked // KEYS], found)
        old = compare(here, row, held, founder, self._share)
        row, earlier = _inside(rows, key)
        new = compare(here, row, here, earlier, self._share)
        return (
            np.concatenate([old.left, new.left]),
            np.concatenate([old.right, -1 - new.right]),
            np.concatenate([old.share, new.share]),
            np.concatenate([old.differ, new.differ]),
        )

    def _resolve(
        self, rows: Places, row: Places, founder: Places, share: Places, differ: npt.NDArray[np.bool_]
    ) -> list[Near]:
        """Each row joins the founder it is nearest to, of equals the earliest; one with other facts is only told."""
        age = np.where(founder < 0, self.founders - 1 - founder, founder)
        order = np.lexsort((age, -share, differ, row))
        found: list[Near] = []
        members: set[int] = set()
        reported = -1
        for at in order.tolist():
            here = int(row[at])
            if here == reported:
                continue
            towards = int(founder[at])
            if towards < 0 and -1 - towards in members:
                continue  # it founded nothing; whoever is near to its founder is found there
            found.append(Near(here, towards, int(share[at]), bool(differ[at])))
            reported = here
            if not differ[at]:
                members.add(here)
        return found


def _unique(first: Places, second: Places) -> tuple[Places, Places]:
    both = np.sort(first << np.int64(40) | second)
    both = both[changes(both)]
    return both >> np.int64(40), both & np.int64((1 << 40) - 1)


def _inside(rows: Places, key: Keys) -> tuple[Places, Places]:
    """(row, earlier row) of the same chunk with a key in common; of each key the first few rows only."""
    flat = key[rows].ravel()
    owner = np.repeat(rows, KEYS)
    _, order, begins = grouped(flat)
    begin = np.repeat(begins, np.diff(np.append(begins, len(order))))
    nth = np.arange(len(order)) - begin
    later: list[Places] = []
    earlier: list[Places] = []
    for back in range(MOST):
        has = np.flatnonzero(nth > back)
        if not len(has):
            break
        later.append(owner[order[has]])
        earlier.append(owner[order[begin[has] + back]])
    if not later:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    pairs = _unique(np.concatenate(later), np.concatenate(earlier))
    other = pairs[0] > pairs[1]
    return pairs[0][other], pairs[1][other]


def _cut(bag: Split, rows: Places) -> tuple[Words, Places]:
    counts = bag.counts[rows]
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    at = np.arange(int(starts[-1])) - np.repeat(starts[:-1], counts) + np.repeat(bag.starts[rows], counts)
    return bag.words[at], starts

"""Whether two rows say the same: by their words, counted, and by the facts in which they differ.

Two rows are near when their bags of words overlap by at least the policy's share (Dice: twice the common words over
all words). Rows of one template overlap as much and are not copies: “The capital of France is Paris”, “The capital of
Norway is Oslo”. So where both rows have a number, or both a name, that the other has not, they state different facts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.datanets.words import NAME, NUMBER, Places, Split, Words, plain

Flags = npt.NDArray[np.bool_]
Sketches = npt.NDArray[np.uint64]
_PAIRS = 1 << 14  # compared at once
PARTS = 4  # of a sketch, 64 bits each


@dataclass(frozen=True)
class Side:
    """Rows to compare: their bags (sorted, nothing twice) and their sketches."""

    bags: Split
    sketches: Sketches


@dataclass(frozen=True)
class Compared:
    """For each pair: its rows, how much of their words they share (of 1000), and whether their facts differ."""

    left: Places
    right: Places
    share: npt.NDArray[np.int64]
    differ: Flags


def sketches(bag: Split) -> Sketches:
    """Each row's words as bits in 256. The bits in which two sketches differ are at most the words in which the rows
    do."""
    bits = np.zeros((len(bag), 64 * PARTS), bool)
    bits[bag.rows, plain(bag.words) * np.uint32(0x9E3779B1) >> np.uint32(24)] = True
    return np.packbits(bits, axis=1).view(np.uint64)


def compare(left: Side, left_rows: Places, right: Side, right_rows: Places, least: int) -> Compared:
    """Which of these pairs share at least so much."""
    left_rows, right_rows = _likely(left, left_rows, right, right_rows, least)
    shares = np.empty(len(left_rows), np.int64)
    differ = np.empty(len(left_rows), bool)
    for begin in range(0, len(left_rows), _PAIRS):
        part = slice(begin, begin + _PAIRS)
        shares[part], differ[part] = _compare(left.bags, left_rows[part], right.bags, right_rows[part])
    near = shares >= least
    return Compared(left_rows[near], right_rows[near], shares[near], differ[near])


def _likely(left: Side, left_rows: Places, right: Side, right_rows: Places, least: int) -> tuple[Places, Places]:
    """Rules out pairs that cannot reach the share, first by their lengths, then by their sketches: at a twentieth of
    the cost of comparing them."""
    mine, other = left.bags.sizes(left_rows), right.bags.sizes(right_rows)
    most = (1000 - least) * (mine + other)
    close = np.flatnonzero(1000 * np.abs(mine - other) <= most)
    left_rows, right_rows = left_rows[close], right_rows[close]
    apart = np.bitwise_count(left.sketches[left_rows] ^ right.sketches[right_rows]).sum(axis=1, dtype=np.int64)
    likely = 1000 * apart <= most[close]
    return left_rows[likely], right_rows[likely]


def _compare(
    left: Split, left_rows: Places, right: Split, right_rows: Places
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    here, here_pair = _gather(left, left_rows)
    there, there_pair = _gather(right, right_rows)
    pairs = len(left_rows)
    mine = here_pair.astype(np.uint64) << np.uint64(32) | (here & ~np.uint32(7))
    other = there_pair.astype(np.uint64) << np.uint64(32) | (there & ~np.uint32(7))
    place = np.searchsorted(other, mine)
    common = np.zeros(len(mine), bool)
    inside = place < len(other)
    common[inside] = other[place[inside]] == mine[inside]
    found = np.zeros(len(other), bool)
    found[place[common]] = True
    shared = np.bincount(here_pair[common], minlength=pairs)
    total = np.bincount(here_pair, minlength=pairs) + np.bincount(there_pair, minlength=pairs)
    share = 2000 * shared // np.maximum(total, 1)
    share[total == 0] = 1000
    differ = np.zeros(pairs, bool)
    for fact in (NUMBER, NAME):
        mine_alone = np.zeros(pairs, bool)
        mine_alone[here_pair[~common & (here & np.uint32(fact) != 0)]] = True
        other_alone = np.zeros(pairs, bool)
        other_alone[there_pair[~found & (there & np.uint32(fact) != 0)]] = True
        differ |= mine_alone & other_alone
    return share, differ


def _gather(side: Split, rows: Places) -> tuple[Words, Places]:
    """The words of these rows one after another, and which pair each belongs to."""
    counts = side.sizes(rows)
    pair = np.repeat(np.arange(len(rows)), counts)
    offsets = np.cumsum(counts) - counts
    at = np.arange(len(pair)) - np.repeat(offsets, counts) + np.repeat(side.starts[rows], counts)
    return side.words[at], pair

"""Tokens in as few bytes as their frequency allows, so that the suffixes of fewer bytes have to be sorted.

Tokens are numbered from the rarest to the most frequent. The last numbers have codes of one byte, those before them of
two, the first of three; no code begins another, and codes are in the order of numbers. Two texts of codes therefore
compare as their numbers do. Zero is the wall between rows: one byte, before all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEADS = 255  # first bytes: all but that of the wall


@dataclass(frozen=True)
class ShortCodes:
    numbers: NDArray[np.int64]  # of each token, from 1 on
    codes: NDArray[np.uint8]  # numbers × 3: the bytes of each, from the left
    lengths: NDArray[np.uint8]  # of each number's code; the wall has number 0

    def text(self, numbers: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The codes end to end, and where each begins."""
        ends = np.cumsum(self.lengths[numbers], dtype=np.int64)
        begins = np.concatenate([[0], ends[:-1]])
        written = np.empty(int(ends[-1]), dtype=np.uint8)
        written[begins] = self.codes[numbers, 0]
        for place in (1, 2):
            longer = np.flatnonzero(self.lengths[numbers] > place)
            written[begins[longer] + place] = self.codes[numbers[longer], place]
        return written, begins


def short_codes(counts: NDArray[np.int64]) -> ShortCodes:
    """By how often each token stands in the rows."""
    vocabulary = len(counts)
    order = np.argsort(-counts, kind="stable")
    numbers = np.empty(vocabulary, dtype=np.int64)
    numbers[order] = vocabulary - np.arange(vocabulary)
    ones, twos, threes = _split(counts[order])
    codes = np.zeros((vocabulary + 1, 3), dtype=np.uint8)
    lengths = np.ones(vocabulary + 1, dtype=np.uint8)
    rank = vocabulary - np.arange(1, vocabulary + 1)  # of the numbers 1, 2, …: 0 is the most frequent
    one = rank < ones
    two = (rank >= ones) & (rank < ones + 256 * twos)
    three = rank >= ones + 256 * twos
    code = np.where(two, 256 * twos - 1 - (rank - ones), 65536 * threes - 1 - (rank - ones - 256 * twos))
    codes[1:, 0] = np.where(one, 255 - rank, np.where(two, 1 + threes + (code >> 8), 1 + (code >> 16)))
    codes[1:, 1] = np.where(two, code & 255, np.where(three, (code >> 8) & 255, 0))
    codes[1:, 2] = np.where(three, code & 255, 0)
    lengths[1:] = np.where(one, 1, np.where(two, 2, 3))
    return ShortCodes(numbers, codes, lengths)


def _split(counts: NDArray[np.int64]) -> tuple[int, int, int]:
    """First bytes for codes of one, two and three bytes, where the text is shortest; most frequent tokens first."""
    vocabulary = len(counts)
    before = np.concatenate([[0], np.cumsum(counts)])
    best: tuple[int, int, int, int] | None = None
    for twos in range(_LEADS):
        for threes in range(_LEADS - twos + 1):
            ones = _LEADS - twos - threes
            if ones + 256 * twos + 65536 * threes < vocabulary:
                continue
            short, middle = min(ones, vocabulary), min(ones + 256 * twos, vocabulary)
            extra = int((before[middle] - before[short]) + 2 * (before[-1] - before[middle]))
            if best is None or extra < best[0]:
                best = extra, ones, twos, threes
            break  # more first bytes for three only take from those of one
    assert best is not None, "a vocabulary of more than sixteen million tokens"
    return best[1:]

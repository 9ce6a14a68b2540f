"""MinHash of word shingles: twenty keys a row, of which near duplicates share at least one.

Shingles are words and pairs of neighbours. A row with one word in ten exchanged keeps about 0.73 of them; with four
hashes to a key and twenty keys such rows miss each other once in a thousand times, and the bag of words is a key of
its own, so that a row in another order, case or spacing never does. Rows that only share common words meet in few
keys, and no key remembers more than its first few rows.
"""

from __future__ import annotations

from struct import Struct

import numpy as np
import numpy.typing as npt
from rensa import RMinHash  # type: ignore[import-untyped]

from oracle.datanets.words import Places, Split, Words, changes

BANDS, PER_BAND = 20, 4
KEYS = BANDS + 1
_HASHES = BANDS * PER_BAND
_SEED = 0x6F70656E  # never changes: clusters hang on it
_AT_ONCE = 256  # rows whose hashes become Python's numbers: these stay in the cache, those of a chunk would not
_PACKED = Struct(f"={_HASHES}I")

Keys = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def bags(split: Split) -> Split:
    """The words of each row as a set, sorted: the second “the” of a row is another element than the first."""
    rows = split.rows.astype(np.uint64)
    keyed = np.sort(rows << np.uint64(32) | split.words)
    # The how-manieth of its kind: the distance to where the kind begins. What a word is for does not make it another.
    plain = keyed & ~np.uint64(7)
    begins = np.flatnonzero(changes(plain))
    nth = np.arange(len(keyed)) - np.repeat(begins, np.diff(np.append(begins, len(keyed))))
    words = keyed.astype(np.uint32)
    again = nth > 0
    if again.any():
        flags = words & np.uint32(7)
        other = (_mix((plain & np.uint64(0xFFFFFFFF)) + nth.astype(np.uint64) * _GOLDEN) >> np.uint64(32)).astype(
            np.uint32
        )
        words = np.where(again, other & ~np.uint32(7) | flags, words)
        keyed = np.sort(keyed & ~np.uint64(0xFFFFFFFF) | words)
        words = keyed.astype(np.uint32)
    return Split(words, split.starts)


def keys(split: Split, bag: Split) -> Keys:
    """(rows, KEYS): the keys of each row's bands, and the key of its bag of words."""
    found = np.empty((len(split), KEYS), np.uint32)
    found[:, :BANDS] = _bands(signatures(split))
    found[:, BANDS] = _bag_keys(bag)
    return found


def signatures(split: Split) -> Keys:
    """(rows, hashes). A row without words has a signature of its own kind, which all empty rows share."""
    shingles, places = _shingles(split)
    starts = places.astype(np.uint64)
    found = np.empty((len(split), _HASHES), np.uint32)
    for begin in range(0, len(split), _AT_ONCE):
        cut = starts[begin : begin + _AT_ONCE + 1]
        part = shingles[int(cut[0]) : int(cut[-1])]
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(part, cut - cut[0], _HASHES, _SEED)
        rows = b"".join([_PACKED.pack(*row) for row in matrix.to_rows()])
        found[begin : begin + _AT_ONCE] = np.frombuffer(rows, np.uint32).reshape(-1, _HASHES)
    return found


def _shingles(split: Split) -> tuple[U64, Places]:
    words = (split.words & ~np.uint32(7)).astype(np.uint64)  # without what a word is for
    single = _mix(words)
    pairs = _mix(words[:-1] * _GOLDEN + words[1:])
    last = split.starts[1:] - 1
    # Word by word: the word, then its pair with the next; the pair over the end of a row becomes its last word again.
    both = np.empty(2 * len(words), np.uint64)
    both[0::2] = single
    both[1:-1:2] = pairs
    if len(words):
        filled = last[split.counts > 0]
        both[2 * filled + 1] = single[filled]
    return both, 2 * split.starts


def _bands(signed: Keys) -> Keys:
    parts = signed.reshape(len(signed), BANDS, PER_BAND).astype(np.uint64)
    mixed = np.arange(1, BANDS + 1, dtype=np.uint64) * _GOLDEN + np.zeros((len(signed), 1), np.uint64)
    for at in range(PER_BAND):
        mixed = _mix(mixed ^ parts[:, :, at])
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _bag_keys(bag: Split) -> Keys:
    words: Words = bag.words & ~np.uint32(7)
    sums = np.zeros(len(bag) + 1, np.uint64)
    mixed = np.zeros(len(words) + 1, np.uint64)
    np.cumsum(_mix(words.astype(np.uint64)), out=mixed[1:])
    sums = mixed[bag.starts[1:]] - mixed[bag.starts[:-1]]  # wraps around, as it may
    return (_mix(sums + bag.counts.astype(np.uint64) * _GOLDEN) >> np.uint64(32)).astype(np.uint32)


def _mix(values: U64) -> U64:
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))

"""Tokens in as few bytes as their frequency allows, so that the suffixes of fewer bytes have to be sorted.

The most frequent tokens have codes of one byte, others of two, the rarest of three. A code begins with a lower byte
than any that it goes on with: in the order of a text's suffixes, those that begin inside of a code stand together, last
of all. No code begins another. Zero is the wall between rows; 255 is what no text holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oracle.attribution.errors import AttributionError

WALL, NOWHERE = 0, 255
_BYTES = 254  # between the two


def short_codes(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A line for each token, by how often it stands in the rows, and one more for the wall; filled up with NOWHERE."""
    seen = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    ones, twos, inner = _split(counts[seen])
    codes = np.full((len(counts) + 1, 4), NOWHERE, dtype=np.uint8)
    codes[-1, 0] = WALL
    one, two, three = np.split(seen, [ones, ones + twos * inner])
    codes[one, 0] = 1 + np.arange(len(one))
    place = np.arange(len(two))
    codes[two, 0] = 1 + ones + place // inner
    codes[two, 1] = NOWHERE - inner + place % inner
    place = np.arange(len(three))
    codes[three, 0] = 1 + ones + twos + place // inner**2
    codes[three, 1] = NOWHERE - inner + place // inner % inner
    codes[three, 2] = NOWHERE - inner + place % inner
    return codes


def written(codes: NDArray[np.uint8], tokens: NDArray[np.unsignedinteger]) -> bytes:
    """The codes of these tokens end to end."""
    filled_up: bytes = codes.view(np.uint32).ravel()[tokens].tobytes()
    return filled_up.translate(None, bytes([NOWHERE]))


def _split(counts: NDArray[np.int64]) -> tuple[int, int, int]:
    """First bytes for codes of one byte and of two, and the bytes that codes go on with, where the text is shortest."""
    tokens = len(counts)
    inner, twos = np.indices((_BYTES, _BYTES))
    missing = tokens - (_BYTES - inner - twos) - twos * inner
    threes = np.maximum(-(-missing // np.maximum(inner**2 - 1, 1)), 0)
    ones = _BYTES - inner - twos - threes
    enough = (ones >= 0) & (ones + twos * inner + threes * inner**2 >= tokens)
    if not enough.any():
        raise AttributionError(f"{tokens} different tokens are more than have short codes")
    before = np.concatenate([[0], np.cumsum(counts)])  # most frequent first
    upto_two = before[np.clip(ones + twos * inner, 0, tokens)]
    extra = (upto_two - before[np.clip(ones, 0, tokens)]) + 2 * (before[-1] - upto_two)
    best = int(np.argmin(np.where(enough, extra, np.iinfo(np.int64).max)))
    return int(ones.flat[best]), int(twos.flat[best]), int(inner.flat[best])

"""One look over all bytes of a batch, to find the few rows that deserve a close one.

Regular expressions run over rows that have an @, seven digits without a letter between them, an unbroken run as long
as a key, or a telling word: about one in ten of ordinary text. The rest costs a handful of array operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_DIGITS = 7  # the shortest phone number that is looked for
_COLONS = 7  # of an IPv6 address
_RUN = 16  # the shortest key

_LETTER, _DIGIT, _CONTROL, _SPACE, _AT = 16, 1, 2, 4, 8
_CLASS = np.zeros(256, np.uint8)
_CLASS[0x41:0x5B] = _CLASS[0x61:0x7B] = _CLASS[0x80:] = _LETTER
_CLASS[0x30:0x3A] = _DIGIT
_CLASS[:0x20] = _CONTROL
_CLASS[0x7F] = _CONTROL
for _byte in b"\t\n":
    _CLASS[_byte] = _SPACE
_CLASS[0x20] = _SPACE
_CLASS[0x40] = _AT

_TELLING = (b"passw", b"secret", b"api_key", b"apikey", b"api-key", b"token", b"private key")
# What UTF-8 looks like after it was read as Latin-1 and written again, and what decoders put where they gave up.
_DAMAGE = (b"\xef\xbf\xbd", b"\xc3\x83\xc2", b"\xc3\xa2\xe2\x82\xac", b"\xc3\x82\xc2")


@dataclass(frozen=True)
class Screened:
    """For each row: for what to look closely, whether it was damaged, its entropy."""

    keys: Flags  # may hold a key or password
    personal: Flags  # may hold personal data
    damaged: Flags
    lengths: Places  # in bytes
    entropy: npt.NDArray[np.int64]  # thousandths of a bit a byte


def screen(texts: Sequence[str]) -> Screened:
    joined = ("\n".join(texts) + "\n").encode("utf-8", "surrogatepass")
    content = np.frombuffer(joined, np.uint8)
    lengths = np.fromiter(
        (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts),
        np.int64,
        len(texts),
    )
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths + 1, out=starts[1:])
    kinds = _CLASS[content]
    personal = np.zeros(len(texts), bool)
    personal[_rows(_numbers(content, kinds), starts)] = True
    ats = _rows(np.flatnonzero(kinds == _AT), starts)
    personal[ats] = True
    personal |= np.add.reduceat(content == 0x3A, starts[:-1], dtype=np.int64) >= _COLONS
    personal[_rows(_found(joined, b"::"), starts)] = True
    keys = np.zeros(len(texts), bool)
    keys[ats] = True  # a password in a URL
    breaks = np.flatnonzero(kinds == _SPACE)
    runs = np.diff(breaks, prepend=-1)
    keys[_rows(breaks[runs > _RUN], starts)] = True
    lower = joined.lower()
    for word in _TELLING:
        keys[_rows(_found(lower, word), starts)] = True
    damaged = np.zeros(len(texts), bool)
    damaged[_rows(np.flatnonzero(kinds == _CONTROL), starts)] = True
    for bad in () if joined.isascii() else _DAMAGE:
        damaged[_rows(_found(joined, bad), starts)] = True
    return Screened(keys, personal, damaged, lengths, _entropy(content, lengths))


def _numbers(content: Bytes, kinds: Bytes) -> Places:
    """Where as many digits end as a phone number has at least, without a letter or the end of a row between them."""
    digits = np.flatnonzero(kinds == _DIGIT)
    if not len(digits):
        return digits
    apart = np.logical_or.reduceat((kinds == _LETTER) | (content == 0x0A), digits)  # from the next digit
    number = np.zeros(len(digits), np.int64)
    np.cumsum(apart[:-1], out=number[1:])
    found: Places = digits[_DIGITS - 1 :][number[_DIGITS - 1 :] == number[: 1 - _DIGITS]]
    return found


def _found(joined: bytes, word: bytes) -> Places:
    places = []
    at = joined.find(word)
    while at >= 0:
        places.append(at)
        at = joined.find(word, at + len(word))
    return np.array(places, np.int64)


def _rows(places: Places, starts: Places) -> Places:
    return np.searchsorted(starts, places, side="right") - 1 if len(places) else places


def _entropy(content: Bytes, lengths: Places) -> npt.NDArray[np.int64]:
    """Over classes of bytes that put both cases of a letter together; the table is an eighth as large so."""
    rows = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths + 1)
    counts = np.bincount(rows << 5 | content & 31, minlength=32 * len(lengths)).reshape(-1, 32)
    total = np.maximum(lengths + 1, 1)[:, None]
    share = counts / total
    bits = -(share * np.log2(share, where=counts > 0, out=np.zeros_like(share))).sum(axis=1)
    found: npt.NDArray[np.int64] = np.round(bits * 1000).astype(np.int64)
    return found

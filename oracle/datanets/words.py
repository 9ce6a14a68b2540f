"""Texts as numbers: each word becomes 32 bits in which case, encoding and the way of writing a number are gone.

Whole batches are split at once, as bytes; a word is looked at in Python only when it is seen for the first time.
Scripts that write no spaces (Chinese, Japanese, Thai, …) are split into characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from oracle.datanets.tokens import Tokens

Words = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

# The two lowest bits of a word say what a fact hangs on; the third that it may be part of a number of several words.
NUMBER, NAME, _PART = 1, 2, 4
FACT = NUMBER | NAME
_FLAGS = 7

_KEPT = (
    bytes(range(0x30, 0x3A)) + bytes(range(0x41, 0x5B)) + bytes(range(0x61, 0x7B)) + b"_" + bytes(range(0x80, 0x100))
)
_MARK = b"\x1e"  # between rows; a separator that text has no use for
_END = b"\x1f"  # of a sentence: the capital after it says nothing
_CLASSES = bytearray(byte if byte in _KEPT else 0x20 for byte in range(256))
_CLASSES[0x1E] = 0x1E
for _byte in b".?!:\n\x1f":
    _CLASSES[_byte] = 0x1F
_SPACED = bytes(_CLASSES)

# In text that is not ASCII: words with their combining marks; signs of scripts without spaces one by one.
_WORD = re.compile(r"\x1f|[\w\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u0900-\u0df4\u200c\u200d]+")
_STOP = re.compile(r"[.?!:\n\u3002\uff01\uff1f\u0964]+")
_ALONE = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_SMALL = {word: number for number, word in enumerate((_ONES + " eighteen nineteen").split())} | {
    word: 10 * tens for tens, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
# "one" and "zero" are said of nearly everything; nothing hangs on them.
_NO_FACT = ("one", "zero")

_MOST_WORDS_KEPT = 2_000_000  # of the vocabulary: then it is begun anew


@dataclass(frozen=True)
class Split:
    """The words of a batch, row after row: row i has `words[starts[i]:starts[i + 1]]`."""

    words: Words
    starts: Places

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> Places:
        return np.diff(self.starts)

    def sizes(self, rows: Places) -> Places:
        """How many words each of these rows has."""
        return self.starts[rows + 1] - self.starts[rows]

    @property
    def rows(self) -> Places:
        """The row of each word."""
        return np.repeat(np.arange(len(self)), self.counts)


class Vocabulary(dict[bytes, int]):
    """bytes of a word → its 32 bits."""

    def __missing__(self, token: bytes) -> int:
        value = _value(token)
        self[token] = value
        return value


class Splitter:
    def __init__(self) -> None:
        self._known = Vocabulary()

    def split(self, texts: Sequence[str]) -> Split:
        if len(self._known) > _MOST_WORDS_KEPT:
            self._known.clear()
        joined = " \x1e ".join([text if text.isascii() else _spread(text) for text in texts])
        if joined.count("\x1e") != len(texts) - 1:  # somebody put the separator into a text
            joined = " \x1e ".join([_spread(text.replace("\x1e", " ")) for text in texts])
        spaced = f" {joined} ".encode("utf-8", "surrogatepass").translate(_SPACED)
        tokens = Tokens(spaced.replace(_END, b" \x1f "))
        values = tokens.values(self._known.__getitem__)
        marks = np.flatnonzero(values == _MARK_VALUE)
        if len(marks) != max(len(texts) - 1, 0):
            raise AssertionError("rows and separators do not match")
        values = self._numbers(values, tokens)
        # A word that begins a sentence is no name for its capital.
        ends = values >= _END_VALUE
        begins = np.ones(len(values), bool)
        begins[1:] = ends[:-1]
        values = np.where(begins & ~ends, values & ~np.uint32(NAME), values)
        values = values[values != _END_VALUE]
        marks = np.flatnonzero(values == _MARK_VALUE)
        starts = np.empty(len(texts) + 1, np.int64)
        starts[0] = 0
        starts[1:-1] = marks - np.arange(len(marks))
        starts[-1] = len(values) - len(marks)
        return Split(values[values != _MARK_VALUE], starts)

    def _numbers(self, values: Words, tokens: Tokens) -> Words:
        """Numbers that are written in several words become one: "two hundred and five", "1,000", "1 000"."""
        part = np.flatnonzero(values & _PART)
        follows = np.flatnonzero(np.diff(part) <= 2)  # next to each other, or with an "and" between
        if not len(follows):
            return values
        gone: list[int] = []
        done = -1
        places = part.tolist()
        for at in follows.tolist():
            if at < done:
                continue
            run, place = [places[at]], at
            while place + 1 < len(places) and (
                places[place + 1] == places[place] + 1
                or (places[place + 1] == places[place] + 2 and tokens[places[place] + 1].lower() == b"and")
            ):
                place += 1
                run.append(places[place])
            done = place
            for first, last, number in _merged([(where, tokens[where]) for where in run]):
                values[first] = self._known[str(number).encode()]
                gone.extend(range(first + 1, last + 1))
        return np.delete(values, gone) if gone else values


def plain(words: Words) -> Words:
    """Without what a word is for."""
    return words & ~np.uint32(_FLAGS)


def changes(ordered: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Where a value is another than the one before it."""
    found = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=found[1:])
    return found


def value_of(word: str) -> int:
    """The 32 bits of one word, for lists of words."""
    return _value(word.encode("utf-8", "surrogatepass"))


def _spread(text: str) -> str:
    return " ".join(_WORD.findall(_ALONE.sub(r" \1 ", _STOP.sub(" \x1f ", text))))


def _value(token: bytes) -> int:
    if token == _MARK:
        return _MARK_VALUE
    if token == _END:
        return _END_VALUE
    text = token.decode("utf-8", "surrogatepass")
    plain = unicodedata.normalize("NFKC", text).casefold()
    flags = 0
    if plain.isdecimal():
        number = int(plain) if len(plain) < 40 else None
        plain = str(number) if number is not None else plain
        flags = NUMBER | (_PART if len(plain) <= 3 or len(text) == 3 else 0)
    elif plain in _SMALL:
        flags = _PART | (0 if plain in _NO_FACT else NUMBER)
        plain = str(_SMALL[plain])
    elif plain in _SCALES:
        flags = NUMBER | _PART
        plain = str(_SCALES[plain])
    elif any(mark.isdigit() for mark in plain):
        flags = NUMBER
    elif text[:1].isupper() and not text[1:].isupper() and len(text) > 1:
        flags = NAME
    digest = int.from_bytes(blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big")
    value = digest & ~_FLAGS | flags
    return value if value < _END_VALUE else value ^ 0x80000000


_END_VALUE, _MARK_VALUE = 0xFFFFFFF0, 0xFFFFFFF8  # no word has such values


def _merged(run: list[tuple[int, bytes]]) -> list[tuple[int, int, int]]:
    """(first place, last place, the number) for every number in a run that takes more than one word."""
    found = []
    at = 0
    while at < len(run):
        text = run[at][1].decode("utf-8").lower()
        end, number = _digits(run, at) if text.isdecimal() else _spoken(run, at)
        if end > at + 1:
            found.append((run[at][0], run[end - 1][0], number))
        at = max(end, at + 1)
    return found


def _digits(run: list[tuple[int, bytes]], at: int) -> tuple[int, int]:
    """1 000 000: at most three digits, then threes."""
    written = run[at][1].decode("utf-8")
    end = at + 1
    if len(written) <= 3:
        while end < len(run) and run[end][0] == run[end - 1][0] + 1:
            following = run[end][1].decode("utf-8")
            if not following.isdecimal() or len(following) != 3:
                break
            written += following
            end += 1
    return end, int(written)


def _spoken(run: list[tuple[int, bytes]], at: int) -> tuple[int, int]:
    """two hundred and five thousand."""
    whole = below = 0
    last = 10**12  # the size of the word before: twenty may be followed by five, not by thirty
    end = at
    while end < len(run):
        word = run[end][1].decode("utf-8").lower()
        if word in _SMALL:
            size = _SMALL[word]
            if end > at and not (
                last in (100, 1_000, 1_000_000, 10**9) or (20 <= last <= 90 and last % 10 == 0 and 0 < size < 10)
            ):
                break
            if end > at and run[end][0] != run[end - 1][0] + 1 and last < 100:
                break
            below += size
            last = size
        elif word in _SCALES and end > at:
            if word == "hundred":
                below = max(below, 1) * 100
            else:
                whole += max(below, 1) * _SCALES[word]
                below = 0
            last = _SCALES[word]
        else:
            break
        end += 1
    return end, whole + below

"""What can be seen: exact spans of an answer that stand in the training rows.

A suffix array over the tokens of all rows. It corroborates and underlines; it never sets the pay, or rows written to be
memorised would earn by it.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.attribution.errors import AttributionError, CorruptShard, MissingShard

LONGEST = 256  # tokens of one span: longer ones are shown as this long
FILES = ("tokens.bin", "suffixes.bin", "starts.npy", "counts.npy")


@dataclass(frozen=True)
class Span:
    """`length` tokens of the answer from `start` on, and the rows that hold them."""

    start: int
    length: int
    occurrences: int
    rows: tuple[int, ...]  # the first few, by number
    bits: float  # how surprising its tokens are together: the sum of −log2 of their shares


class SpanIndex:
    """Tokens are kept as big-endian numbers, so that comparing bytes compares tokens."""

    def __init__(self, folder: Path) -> None:
        file = folder / "spans.json"
        if not file.exists():
            raise MissingShard(f"{folder} holds no span index: build it with build_spans")
        self.config = json.loads(file.read_text(encoding="utf-8"))
        for name in FILES:
            found = folder / name
            if not found.exists():
                raise MissingShard(f"{found} is missing: build the span index again")
            if found.stat().st_size != self.config["bytes"][name]:
                raise CorruptShard(
                    f"{found} has {found.stat().st_size} bytes, not {self.config['bytes'][name]}: build it again"
                )
        self.width: int = self.config["width"]
        self._text = _view(folder / "tokens.bin", np.dtype(np.uint8))
        # A plain view: an element of it is read several times faster than one of a NumPy array.
        self._suffixes = _view(folder / "suffixes.bin", np.dtype(np.int32))
        self._starts = np.load(folder / "starts.npy")
        self._start_list: list[int] = self._starts.tolist()
        whole = np.load(folder / "counts.npy")
        # Where the suffixes of each token begin: those of the walls between rows come first of all.
        self._firsts: list[int] = (self.config["rows"] + np.concatenate([[0], np.cumsum(whole)])).tolist()
        counts = whole.astype(np.float64)
        self._bits = -np.log2(np.maximum(counts, 0.5) / max(counts.sum(), 1.0))

    def spans(self, answer: Sequence[int], shortest: int = 3, rows: int = 8) -> list[Span]:
        """Maximal matches of at least `shortest` tokens: none lies within another. Rarest first."""
        encoded = _encode(np.asarray(answer, dtype=np.int64), self.width).tobytes()
        found: list[Span] = []
        end = 0
        for start in range(len(answer)):
            length = self._longest(encoded, start)
            if length >= shortest and start + length > end:
                end = start + length
                first, last = self._range(encoded[start * self.width : end * self.width])
                places = [self._suffixes[i] for i in range(first, min(last, first + rows * 4))]
                held = tuple(sorted({self._row(place) for place in places})[:rows])
                bits = float(sum(self._bits[token] for token in answer[start:end]))
                found.append(Span(start, length, last - first, held, bits))
        return sorted(found, key=lambda span: (-span.bits, span.start))

    def _longest(self, encoded: bytes, start: int) -> int:
        """Of the matches that begin here: the answer's neighbours in the order of suffixes share most with it."""
        width = self.width
        wanted = encoded[start * width : (start + LONGEST) * width]
        place = self._first(wanted)
        return max((self._shared(wanted, at) for at in (place - 1, place) if 0 <= at < len(self._suffixes)), default=0)

    def _shared(self, wanted: bytes, at: int) -> int:
        begin = self._suffixes[at] * self.width
        there = bytes(self._text[begin : begin + len(wanted)])
        if there == wanted:
            return len(wanted) // self.width
        low, high = 0, len(wanted) // self.width
        while low < high:  # the longest prefix that they share
            middle = (low + high + 1) // 2
            if there[: middle * self.width] == wanted[: middle * self.width]:
                low = middle
            else:
                high = middle - 1
        return low

    def _first(self, wanted: bytes) -> int:
        text, suffixes, width, size = self._text, self._suffixes, self.width, len(wanted)
        low, high = self._bounds(wanted)
        while low < high:
            middle = (low + high) >> 1
            begin = suffixes[middle] * width
            if bytes(text[begin : begin + size]) < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def _range(self, wanted: bytes) -> tuple[int, int]:
        text, suffixes, width, size = self._text, self._suffixes, self.width, len(wanted)
        first = low = self._first(wanted)
        high = self._bounds(wanted)[1]
        while low < high:
            middle = (low + high) >> 1
            begin = suffixes[middle] * width
            if bytes(text[begin : begin + size]) <= wanted:
                low = middle + 1
            else:
                high = middle
        return first, low

    def _bounds(self, wanted: bytes) -> tuple[int, int]:
        """Where the suffixes that begin with its first token stand; a token that no row could hold is after all."""
        token = int.from_bytes(wanted[: self.width], "big") - 1
        if token + 1 >= len(self._firsts):
            return len(self._suffixes), len(self._suffixes)
        return self._firsts[token], self._firsts[token + 1]

    def _row(self, place: int) -> int:
        return bisect_right(self._start_list, place) - 1


def _view(file: Path, dtype: np.dtype[Any]) -> memoryview:
    mapped: Any = np.memmap(file, dtype, "r")
    return memoryview(mapped)


def _encode(tokens: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    # One is added: zero is the wall between rows, which no answer contains.
    return (tokens + 1).astype(f">u{width}").view(np.uint8)


def build_spans(folder: Path, rows: Iterator[Sequence[int]] | Sequence[Sequence[int]], vocabulary: int) -> None:
    """Writes the index of these rows of tokens."""
    from pydivsufsort import divsufsort  # type: ignore[import-untyped]  # an extra: only building needs it

    width = 2 if vocabulary < 2**16 - 1 else 4
    starts: list[int] = []
    parts: list[NDArray[np.uint8]] = []
    at = 0
    counts = np.zeros(vocabulary, dtype=np.int64)
    wall = np.array([-1], dtype=np.int64)
    for row in rows:
        tokens = np.asarray(row, dtype=np.int64)
        if tokens.size and not (int(tokens.min()) >= 0 and int(tokens.max()) < vocabulary):
            raise AttributionError(f"row {len(starts)} holds a token outside of the vocabulary of {vocabulary}")
        starts.append(at)
        counts += np.bincount(tokens, minlength=vocabulary)
        parts += [_encode(tokens, width), _encode(wall, width)]
        at += len(tokens) + 1
    if not starts:
        raise AttributionError("there are no rows to index")
    text = np.concatenate(parts)
    if len(text) >= 2**31:
        raise AttributionError(
            f"{len(text)} bytes of tokens are more than one span index holds (2 GiB): build one per shard"
        )
    # Of all suffixes of the bytes, those that begin at a token, in the order that they have already.
    order = divsufsort(text)
    suffixes = (order[order % width == 0] // width).astype(np.int32)
    folder.mkdir(parents=True, exist_ok=True)
    text.tofile(folder / "tokens.bin")
    suffixes.tofile(folder / "suffixes.bin")
    np.save(folder / "starts.npy", np.array(starts, dtype=np.int64))
    np.save(folder / "counts.npy", counts)
    config = {
        "format": 1,
        "width": width,
        "rows": len(starts),
        "tokens": at,
        "sha256": hashlib.sha256(text.tobytes()).hexdigest(),
        "bytes": {name: (folder / name).stat().st_size for name in FILES},
    }
    (folder / "spans.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def evidence_of(spans: Sequence[Span], row_count: int) -> dict[int, float]:
    """Rows by the bits of the spans that they hold, a span in many rows counting less in each."""
    found: dict[int, float] = {}
    for span in spans:
        for row in span.rows:
            if row >= row_count:
                raise AttributionError(
                    f"row {row} is in the span index and not among the {row_count} rows of the snapshot"
                )
            found[row] = found.get(row, 0.0) + span.bits / math.sqrt(span.occurrences)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

"""What can be seen: exact spans of an answer that stand in the training rows.

A suffix array over the tokens of all rows. It corroborates and underlines; it never sets the pay, or rows written to be
memorised would earn by it.
"""

from __future__ import annotations

import json
import math
import mmap
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oracle.attribution.digests import check_file, digest_of_file
from oracle.attribution.errors import AttributionError, CorruptShard, MissingShard
from oracle.attribution.shortcodes import NOWHERE, WALL, short_codes, written

LONGEST = 256  # tokens of one span: longer ones are shown as this long
COMMON = 100_000  # a token that stands in the rows more often says little of any of them
K1, B = 1.2, 0.75  # of BM25
BATCH = 256  # rows that are read and written at once: what they need stays in the processor's cache
FILES = ("text.bin", "suffixes.bin", "starts.npy", "lengths.npy", "counts.npy", "codes.npy")
FORMAT = 3


@dataclass(frozen=True)
class Span:
    """`length` tokens of the answer from `start` on, and the rows that hold them."""

    start: int
    length: int
    occurrences: int
    rows: tuple[int, ...]  # the first few, by number
    bits: float  # how surprising its tokens are together: the sum of −log2 of their shares


class SpanIndex:
    """The rows' tokens in short codes, and where each suffix of them begins, in order: places are counted in bytes."""

    def __init__(self, folder: Path) -> None:
        file = folder / "spans.json"
        if not file.exists():
            raise MissingShard(f"{folder} holds no span index: build it with build_spans")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            if config["format"] != FORMAT:
                raise CorruptShard(f"{file} has format {config['format']}, and {FORMAT} is read: build it again")
            for name in FILES:
                check_file(folder / name, config["sha256"][name])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptShard(f"{file} is not a span index's description: {error}") from error
        self._text = _mapped(folder / "text.bin")
        self._suffixes = memoryview(_mapped(folder / "suffixes.bin")).cast("i")
        self._starts = np.load(folder / "starts.npy")
        self._start_list: list[int] = self._starts.tolist()
        self._lengths = np.load(folder / "lengths.npy")
        counts = np.load(folder / "counts.npy")
        self._bits = -np.log2(np.maximum(counts, 0.5) / max(counts.sum(), 1.0))
        codes = np.load(folder / "codes.npy")[:-1]
        self._codes: list[bytes] = [code.rstrip(bytes([NOWHERE])) for code in codes.view("S4").ravel().tolist()]
        # Where the suffixes of each token begin: those of the walls between rows come first of all.
        order = np.argsort(codes.view(">u4").ravel(), kind="stable")
        ends = np.empty_like(counts)
        ends[order] = len(self._starts) + np.cumsum(counts[order])
        self._ranges: list[tuple[int, int]] = list(zip((ends - counts).tolist(), ends.tolist(), strict=True))

    def spans(self, answer: Sequence[int], shortest: int = 3, rows: int = 8) -> list[Span]:
        """Maximal matches of at least `shortest` tokens: none lies within another. Rarest first."""
        codes = [self._code(token) for token in answer]
        encoded, begins = b"".join(codes), list(accumulate(map(len, codes), initial=0))
        found: list[Span] = []
        end = 0
        for start, token in enumerate(answer):
            begin = begins[start]
            longest = encoded[begin : begins[min(start + LONGEST, len(answer))]]
            stop = bisect_right(begins, begin + self._shared(token, longest)) - 1
            if stop - start >= shortest and stop > end:
                end = stop
                first, last = self._range(token, encoded[begin : begins[end]])
                places = self._suffixes[first : min(last, first + rows * 4)]
                held = tuple(sorted({self._row(place) for place in places})[:rows])
                bits = float(self._bits[list(answer[start:end])].sum())
                found.append(Span(start, end - start, last - first, held, bits))
        return sorted(found, key=lambda span: (-span.bits, span.start))

    def alike(self, tokens: Sequence[int], count: int) -> list[tuple[int, float]]:
        """The rows that share most with these tokens, by BM25: what word overlap would say."""
        usual = max(float(self._lengths.mean()), 1.0)
        found = np.zeros(len(self._lengths))
        for token in sorted(set(tokens)):
            first, last = self._standing(token)
            if not 0 < last - first <= COMMON:
                continue
            places = np.asarray(self._suffixes[first:last])
            rows, times = np.unique(np.searchsorted(self._starts, places, "right") - 1, return_counts=True)
            rarity = math.log(1 + (len(found) - len(rows) + 0.5) / (len(rows) + 0.5))
            found[rows] += rarity * times * (K1 + 1) / (times + K1 * (1 - B + B * self._lengths[rows] / usual))
        best = np.argsort(-found, kind="stable")[:count]
        return [(int(row), float(found[row])) for row in best if found[row] > 0]

    def _code(self, token: int) -> bytes:
        """That of a token in no row is a byte that stands nowhere."""
        known = 0 <= token < len(self._codes)
        return (self._codes[token] if known else b"") or bytes([NOWHERE])

    def _standing(self, token: int) -> tuple[int, int]:
        """The suffixes that begin with it."""
        return self._ranges[token] if 0 <= token < len(self._ranges) else (0, 0)

    def _shared(self, token: int, wanted: bytes) -> int:
        """How many bytes stand in a row: the neighbours in the order of suffixes share most with what is wanted."""
        first, last = self._standing(token)
        text, suffixes, size = self._text, self._suffixes, len(wanted)
        place = bisect_left(suffixes, wanted, first, last, key=lambda at: text[at : at + size])
        beside = [suffixes[at] for at in (place - 1, place) if first <= at < last]
        return max((_common(text[at : at + size], wanted) for at in beside), default=0)

    def _range(self, token: int, wanted: bytes) -> tuple[int, int]:
        """The suffixes that begin with all of it."""
        first, last = self._standing(token)
        text, size = self._text, len(wanted)
        low = bisect_left(self._suffixes, wanted, first, last, key=lambda at: text[at : at + size])
        return low, bisect_right(self._suffixes, wanted, low, last, key=lambda at: text[at : at + size])

    def _row(self, place: int) -> int:
        return bisect_right(self._start_list, place) - 1


def _mapped(file: Path) -> mmap.mmap:
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


def _common(there: bytes, wanted: bytes) -> int:
    """The length of the longest prefix that they share."""
    low, high = 0, len(wanted)
    while low < high:
        middle = (low + high + 1) // 2
        if there[:middle] == wanted[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def build_spans(folder: Path, rows: Iterable[Sequence[int]], vocabulary: int) -> None:
    """Writes the index of these rows of tokens."""
    batches: list[NDArray[np.unsignedinteger]] = []
    row_lengths: list[int] = []
    counts = np.zeros(vocabulary + 1, dtype=np.int64)  # the wall, after each row, counts as the token after the last
    for batch in _batches(rows):
        joined = _joined(batch, vocabulary, len(row_lengths))
        counts += np.bincount(joined, minlength=len(counts))
        batches.append(joined.astype(np.min_scalar_type(vocabulary)))
        row_lengths += map(len, batch)
    if not batches:
        raise AttributionError("there are no rows to index")
    codes = short_codes(counts[:-1])
    text = b"".join(written(codes, batch) for batch in batches)
    suffixes = _sorted(text)[: counts.sum()]  # after these come those that begin inside of a code
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.bin").write_bytes(text)
    suffixes.tofile(folder / "suffixes.bin")
    walls = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == WALL)
    np.save(folder / "starts.npy", np.concatenate([[0], walls[:-1] + 1]))
    np.save(folder / "lengths.npy", np.array(row_lengths, dtype=np.int64))
    np.save(folder / "counts.npy", counts[:-1])
    np.save(folder / "codes.npy", codes)
    config = {
        "format": FORMAT,
        "rows": len(row_lengths),
        "tokens": int(counts.sum()),
        "sha256": {name: digest_of_file(folder / name) for name in FILES},
    }
    (folder / "spans.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _batches(rows: Iterable[Sequence[int]]) -> Iterator[list[NDArray[np.int64]]]:
    left = iter(rows)
    while batch := [np.asarray(row, dtype=np.int64) for row in islice(left, BATCH)]:
        yield batch


def _joined(batch: list[NDArray[np.int64]], vocabulary: int, before: int) -> NDArray[np.int64]:
    """These rows with a wall after each; `before` them stand that many."""
    wall = np.array([vocabulary], dtype=np.int64)
    joined = np.concatenate([part for row in batch for part in (row, wall)])
    if joined.min() < 0 or joined.max() > vocabulary or np.count_nonzero(joined == vocabulary) > len(batch):
        strange = next(at for at, row in enumerate(batch) if ((row < 0) | (row >= vocabulary)).any())
        raise AttributionError(f"row {before + strange} holds a token outside of the vocabulary of {vocabulary}")
    return joined


def _sorted(text: bytes) -> NDArray[np.int32]:
    """Where the suffixes of these bytes begin, in their order."""
    from pydivsufsort import divsufsort  # type: ignore[import-untyped]  # an extra: only building needs it

    if len(text) >= 2**31:
        raise AttributionError(
            f"{len(text)} bytes of tokens are more than one span index holds (2 GiB): build one per shard"
        )
    found: NDArray[np.int32] = divsufsort(text)
    return found


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

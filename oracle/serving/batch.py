"""What one forward pass computes: tokens of many requests side by side, decoding rows first, then pieces of prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from oracle.serving.kv import BLOCK
from oracle.serving.slots import Bucket

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Row:
    """A request's next tokens: given ones if `prompt`, else the one made last. `bucket` None is the base."""

    tokens: Sequence[int]
    start: int
    table: Sequence[int]
    bucket: str | None = None
    slot: int = 0
    prompt: bool = False


@dataclass(frozen=True)
class Segment:
    """A piece of one prompt: `count` tokens from row `first` of the batch, from position `start` of the request."""

    first: int
    count: int
    start: int
    table: torch.Tensor


@dataclass(frozen=True)
class Part:
    """The rows of a batch that use one bucket's slots: runs of (slot, first row, rows), decoding rows first."""

    bucket: Bucket
    runs: Ints
    decoding: int


@dataclass(frozen=True)
class Batch:
    """Everything that the layers need, laid out once for all of them."""

    tokens: torch.Tensor
    positions: torch.Tensor
    places: torch.Tensor
    decoding: int
    tables: Ints
    lengths: Ints
    segments: tuple[Segment, ...]
    parts: tuple[Part, ...]
    last: torch.Tensor

    @property
    def count(self) -> int:
        return self.positions.shape[0]


def order(row: Row) -> tuple[bool, str, int]:
    """Rows of one adapter stand together, so that its weights are read once."""
    return row.prompt, row.bucket or "", row.slot


def build(rows: Sequence[Row], buckets: dict[str, Bucket], device: torch.device, least: int) -> Batch:
    """Lays out rows that stand in their `order`. Tokens are padded to `least`, for the matrices' sake only."""
    counts = [len(row.tokens) for row in rows]
    firsts = np.concatenate(([0], np.cumsum(counts)))
    total = int(firsts[-1])
    tokens = np.zeros(max(total, least), np.int64)
    positions, places = np.empty(total, np.int64), np.empty(total, np.int64)
    decoding = sum(not row.prompt for row in rows)
    tables = np.zeros((decoding, max((len(row.table) for row in rows[:decoding]), default=0)), np.int32)
    lengths = np.empty(decoding, np.int32)
    segments: list[Segment] = []
    runs: dict[str, list[int]] = {}  # slot, first row and rows of each, one after another
    decoding_runs: dict[str, int] = {}
    for i, row in enumerate(rows):
        first, count = int(firsts[i]), counts[i]
        tokens[first : first + count] = row.tokens
        if row.prompt:
            at = np.arange(row.start, row.start + count)
            positions[first : first + count] = at
            table = np.asarray(row.table)
            places[first : first + count] = table[at // BLOCK] * BLOCK + at % BLOCK
            segments.append(Segment(first, count, row.start, torch.from_numpy(table).to(device)))
        else:
            positions[i] = row.start
            places[i] = row.table[row.start // BLOCK] * BLOCK + row.start % BLOCK
            tables[i, : len(row.table)] = row.table
            lengths[i] = row.start + 1
        if row.bucket is None:
            continue
        known = runs.get(row.bucket)
        if known is None:
            known = runs[row.bucket] = []
        if known and known[-3] == row.slot and not row.prompt and known[-2] + known[-1] == first:
            known[-1] += count
        else:
            known += (row.slot, first, count)
        if not row.prompt:
            decoding_runs[row.bucket] = len(known) // 3
    parts = tuple(
        Part(buckets[name], np.array(found, np.int32).reshape(-1, 3), decoding_runs.get(name, 0))
        for name, found in runs.items()
    )

    def there(array: npt.NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    return Batch(
        there(tokens), there(positions), there(places), decoding, tables, lengths, tuple(segments), parts,
        there(firsts[1:] - 1),
    )  # fmt: skip

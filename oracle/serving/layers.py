"""What stands between the matrix products of a layer, in plain PyTorch: adapters, positions, memory, attention, norms.

`kernels/native.py` does the same on a CPU in fewer passes. Here, as there, no row's result depends on other rows: rows
attend in groups of equal length in blocks, and a piece of a prompt attends alone.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from oracle.serving.batch import Batch, Segment
from oracle.serving.kernels.interface import Delta
from oracle.serving.kv import BLOCK, Pages
from oracle.serving.layout import BaseShape

QKV, OUT, GATE_UP, DOWN = range(4)


class Between(Protocol):
    """The part of a layer between two matrix products. Outputs of the products may be overwritten."""

    def attention(self, batch: Batch, layer: int, x: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
        """Queries, keys and values of all tokens → what each token's heads see."""
        ...

    def add_norm(
        self, batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor, residual: torch.Tensor,
        weight: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Adds a projection to the residual, in place, and returns the residual normalised."""
        ...

    def gate(self, batch: Batch, layer: int, x: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
        """silu(gate) × up."""
        ...


class Torch:
    """Any device, any adapter kernel."""

    def __init__(
        self, shape: BaseShape, pages: Pages, delta: Delta, cosines: torch.Tensor, sines: torch.Tensor, epsilon: float
    ) -> None:
        self.shape, self.pages, self.delta, self.epsilon = shape, pages, delta, epsilon
        self.cosines, self.sines = cosines, sines
        self._known: tuple[Batch, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] | None = None

    def attention(self, batch: Batch, layer: int, x: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
        self.delta(batch, layer, QKV, x, qkv)
        shape, count = self.shape, batch.count
        heads = qkv[:count].view(count, -1, shape.head_dim)
        turned, values = torch.split(heads, [shape.heads + shape.kv_heads, shape.kv_heads], 1)
        low, high = turned.chunk(2, -1)
        c, s = self.cosines[batch.positions, None], self.sines[batch.positions, None]
        turned = torch.cat((low * c - high * s, high * c + low * s), -1).to(qkv.dtype)
        queries, keys = torch.split(turned, [shape.heads, shape.kv_heads], 1)
        blocks, offsets = batch.places // BLOCK, batch.places % BLOCK
        self.pages.keys[layer][blocks, :, :, offsets] = keys
        self.pages.values[layer][blocks, :, offsets] = values
        out = torch.zeros(qkv.shape[0], shape.heads * shape.head_dim, dtype=qkv.dtype, device=qkv.device)
        for at, table, lengths in self._decoding(batch):
            out[at] = self._decode(layer, queries[at], table, lengths)
        for segment in batch.segments:
            piece = slice(segment.first, segment.first + segment.count)
            out[piece] = prompt_attention(self.shape, self.pages, layer, queries[piece], segment)
        return out

    def _decoding(self, batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Rows of equal length in blocks: which they are, their blocks, their lengths. Laid out once for all layers."""
        if self._known is None or self._known[0] is not batch:
            needed, device, found = -(-batch.lengths // BLOCK), batch.positions.device, []
            for blocks in np.unique(needed):
                rows = np.flatnonzero(needed == blocks)
                parts = (rows, batch.tables[rows, :blocks].astype(np.int64), batch.lengths[rows])
                at, table, lengths = (torch.from_numpy(part).to(device) for part in parts)
                found.append((at, table, lengths))
            self._known = (batch, found)
        return self._known[1]

    def _decode(self, layer: int, queries: torch.Tensor, table: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        shape, (rows, blocks) = self.shape, table.shape
        keys = self.pages.keys[layer][table].permute(0, 2, 3, 1, 4).flatten(3)  # rows, kv_heads, dim, tokens
        values = self.pages.values[layer][table].permute(0, 2, 1, 3, 4).flatten(2, 3)  # rows, kv_heads, tokens, dim
        # What lies beyond a row's length may be another request's infinity: masked, not multiplied by zero.
        beyond = torch.arange(blocks * BLOCK, device=table.device) >= lengths[:, None]
        values = values.masked_fill(beyond[:, None, :, None], 0)
        scores = queries.view(rows, shape.kv_heads, -1, shape.head_dim) @ keys * shape.head_dim**-0.5
        weights = scores.float().masked_fill(beyond[:, None, None], -torch.inf).softmax(-1).to(queries.dtype)
        seen: torch.Tensor = weights @ values
        return seen.flatten(1)

    def add_norm(
        self, batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor, residual: torch.Tensor,
        weight: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        self.delta(batch, layer, which, x, y)
        residual += y
        return rms_norm(residual, weight.shape, weight, self.epsilon)

    def gate(self, batch: Batch, layer: int, x: torch.Tensor, both: torch.Tensor) -> torch.Tensor:
        self.delta(batch, layer, GATE_UP, x, both)
        gate, up = both.chunk(2, -1)
        return silu(gate) * up


def prompt_attention(
    shape: BaseShape, pages: Pages, layer: int, queries: torch.Tensor, segment: Segment
) -> torch.Tensor:
    """One piece of a prompt looks at all before it and at itself. Its shapes are its request's own."""
    length = segment.start + segment.count
    table = segment.table[: -(-length // BLOCK)]
    keys = pages.keys[layer][table].permute(1, 0, 3, 2).flatten(1, 2)[:, :length]
    values = pages.values[layer][table].permute(1, 0, 2, 3).flatten(1, 2)[:, :length]
    seen = None
    if segment.start:
        ones = torch.ones(segment.count, length, dtype=torch.bool, device=queries.device)
        seen = ones.tril(segment.start)
    out = scaled_dot_product_attention(
        queries.transpose(0, 1)[None], keys[None], values[None], seen, is_causal=seen is None,
        enable_gqa=shape.heads != shape.kv_heads,
    )  # fmt: skip
    return out[0].transpose(0, 1).flatten(1)

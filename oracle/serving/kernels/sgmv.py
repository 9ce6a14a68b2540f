"""Adapters on CUDA, in two kinds of Triton launches: x · Aᵀ of every row, then the products with B added to y.

A program takes one tile of rows of one slot: single rows while decoding, up to 16 of a prompt. Sums run over the inputs
in blocks of fixed size, so that a row's result does not depend on the rows beside it. Checked against the other kernels
in Triton's interpreter; not measured on a GPU yet.
"""

# ruff: noqa: N803, SIM108
# Constants of Triton are written in capitals, and its branches on them are not Python's ternaries.

from __future__ import annotations

import numpy as np
import torch
import triton  # type: ignore[import-not-found,import-untyped,unused-ignore]
import triton.language as tl  # type: ignore[import-not-found,import-untyped,unused-ignore]

from oracle.serving.batch import Batch, Part

TILE = 16
BLOCK = 128
# The least width of a matrix that tl.dot takes.
LEAST = 16


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _shrink(  # type: ignore[no-untyped-def,unused-ignore]
    x, arena, scales, h, tiles, x_stride, slot_stride, scale_stride, a_offset, first_scale, inputs, width,
    RANK: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """h[row, module × rank] = scale × x[row] · Aᵀ for one tile of rows and one module."""
    tile, module = tl.program_id(0), tl.program_id(1)
    slot = tl.load(tiles + tile * 3).to(tl.int64)
    first, count = tl.load(tiles + tile * 3 + 1), tl.load(tiles + tile * 3 + 2)
    scale = tl.load(scales + slot * scale_stride + first_scale + module)
    rows, ranks, columns = tl.arange(0, ROWS), tl.arange(0, PADDED), tl.arange(0, BLOCK)
    inside, ranked = rows < count, ranks < RANK
    a = arena + slot * slot_stride + a_offset + (module * RANK + ranks)[:, None] * inputs
    acc = tl.zeros((ROWS, PADDED), dtype=tl.float32)
    if scale != 0:
        for k in range(0, inputs, BLOCK):
            known = (k + columns < inputs)[None]
            piece = tl.load(x + (first + rows)[:, None] * x_stride + (k + columns)[None], inside[:, None] & known, 0.0)
            low = tl.load(a + (k + columns)[None], ranked[:, None] & known, 0.0)
            if ROWS == 1:
                acc += tl.sum(piece.to(tl.float32) * low.to(tl.float32), 1)[None]
            else:
                acc += tl.dot(piece, tl.trans(low.to(piece.dtype)), input_precision="ieee")
    at = h + (first + rows)[:, None] * width + (module * RANK + ranks)[None]
    tl.store(at, acc * scale, inside[:, None] & ranked[None])


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _expand(  # type: ignore[no-untyped-def,unused-ignore]
    h, arena, scales, y, tiles, y_stride, slot_stride, scale_stride, b_offset, first_scale, module, outputs, column,
    width,
    RANK: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """y[row, the module's columns] += h[row] · B for one tile of rows and one block of outputs."""
    tile, block = tl.program_id(0), tl.program_id(1)
    slot = tl.load(tiles + tile * 3).to(tl.int64)
    first, count = tl.load(tiles + tile * 3 + 1), tl.load(tiles + tile * 3 + 2)
    scale = tl.load(scales + slot * scale_stride + first_scale + module)
    if scale != 0:
        rows, ranks, columns = tl.arange(0, ROWS), tl.arange(0, PADDED), block * BLOCK + tl.arange(0, BLOCK)
        inside, ranked, known = (rows < count)[:, None], ranks < RANK, (columns < outputs)[None]
        b = arena + slot * slot_stride + b_offset
        high = tl.load(b + ranks[:, None] * outputs + columns[None], ranked[:, None] & known, 0.0).to(tl.float32)
        low = tl.load(h + (first + rows)[:, None] * width + (module * RANK + ranks)[None], inside & ranked[None], 0.0)
        if ROWS == 1:
            more = tl.sum(tl.trans(low) * high, 0)[None]
        else:
            more = tl.dot(low, high, input_precision="ieee")
        at = y + (first + rows)[:, None] * y_stride + (column + columns)[None]
        summed = tl.load(at, inside & known, 0.0).to(tl.float32) + more
        tl.store(at, summed.to(y.dtype.element_ty), inside & known)


class Sgmv:
    """The kernel behind the ladder's interface. Tiles are laid out once per batch, not once per layer."""

    def __init__(self) -> None:
        self._tiles: tuple[Batch, list[tuple[Part, int, torch.Tensor]]] | None = None

    def __call__(self, batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor) -> None:
        if self._tiles is None or self._tiles[0] is not batch:
            self._tiles = (batch, [found for part in batch.parts for found in _tiles(part, x.device)])
        for part, rows, tiles in self._tiles[1]:
            _launch(part, rows, tiles, layer, which, x, y)


def _launch(
    part: Part, rows: int, tiles: torch.Tensor, layer: int, which: int, x: torch.Tensor, y: torch.Tensor
) -> None:
    layout, arena, scales = part.bucket.layout, part.bucket.arena, part.bucket.scales
    group = layout.shape.groups[which]
    place = layout.places[layer * len(layout.shape.groups) + which]
    width = len(group.modules) * layout.rank
    constants = {"RANK": layout.rank, "PADDED": max(layout.rank, LEAST), "ROWS": rows, "BLOCK": BLOCK}
    h = torch.empty((x.shape[0], width), dtype=torch.float32, device=x.device)
    _shrink[(len(tiles), len(group.modules))](
        x, arena, scales, h, tiles, x.stride(0), arena.stride(0), scales.stride(0), place.a, place.scale, group.inputs,
        width, **constants,
    )  # fmt: skip
    for i, module in enumerate(group.modules):
        _expand[(len(tiles), triton.cdiv(module.outputs, BLOCK))](
            h, arena, scales, y, tiles, y.stride(0), arena.stride(0), scales.stride(0), place.b[i], place.scale, i,
            module.outputs, module.column, width, **constants,
        )  # fmt: skip


def _tiles(part: Part, device: torch.device) -> list[tuple[Part, int, torch.Tensor]]:
    """(slot, first row, rows) of each tile: decoding rows one by one, pieces of prompts up to TILE at once."""
    decoding, prompts = part.runs[: part.decoding].tolist(), part.runs[part.decoding :].tolist()
    found = []
    for rows, runs in ((1, decoding), (TILE, prompts)):
        tiles = [
            (slot, row, min(rows, first + count - row))
            for slot, first, count in runs
            for row in range(first, first + count, rows)
        ]
        if tiles:
            found.append((part, rows, torch.from_numpy(np.array(tiles, np.int32)).to(device)))
    return found

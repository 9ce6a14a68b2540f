"""Plain PyTorch on any device: gathers each decoding row's matrices out of the slots and multiplies in one batch.

A decoding row is always a batch entry of its own and a piece of a prompt always one product, so that no row's result
depends on its neighbours.
"""

from __future__ import annotations

import torch

from oracle.serving.batch import Batch


def delta(batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor) -> None:
    for part in batch.parts:
        group, rank = part.bucket.layout.shape.groups[which], part.bucket.layout.rank
        a, b, scales = part.bucket.matrices(layer, which)
        runs = torch.from_numpy(part.runs).long()
        if part.decoding:
            slot, first, count = runs[: part.decoding].unbind(1)
            slots = slot.repeat_interleave(count).to(x.device)
            rows = _rows(first, count).to(x.device)
            h = torch.bmm(x[rows].unsqueeze(1), a[slots].to(x.dtype).transpose(1, 2))
            h = h.view(len(rows), 1, -1, rank) * scales[slots].to(x.dtype)[:, None, :, None]
            for i, module in enumerate(group.modules):
                columns = slice(module.column, module.column + module.outputs)
                y[rows, columns] = torch.baddbmm(y[rows, columns].unsqueeze(1), h[:, :, i], b[i][slots].to(x.dtype))[
                    :, 0
                ]
        for slot, first, count in runs[part.decoding :].tolist():
            piece = slice(first, first + count)
            h = (x[piece] @ a[slot].to(x.dtype).t()).view(count, -1, rank) * scales[slot].to(x.dtype)[:, None]
            for i, module in enumerate(group.modules):
                y[piece, module.column : module.column + module.outputs].addmm_(h[:, i], b[i][slot].to(x.dtype))


def _rows(first: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    ends = count.cumsum(0)
    return torch.arange(int(ends[-1])) + (first - ends + count).repeat_interleave(count)

"""The definition, row by row and module by module: slow, and what the other kernels are held against."""

from __future__ import annotations

import torch

from oracle.serving.batch import Batch


def delta(batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor) -> None:
    for part in batch.parts:
        group, rank = part.bucket.layout.shape.groups[which], part.bucket.layout.rank
        a, b, scales = part.bucket.matrices(layer, which)
        for slot, first, count in part.runs.tolist():
            for i, module in enumerate(group.modules):
                columns = slice(module.column, module.column + module.outputs)
                for row in range(first, first + count):
                    h = a[slot, i * rank : (i + 1) * rank].to(x.dtype) @ x[row]
                    y[row, columns] += scales[slot, i].to(x.dtype) * (h @ b[i][slot].to(x.dtype))

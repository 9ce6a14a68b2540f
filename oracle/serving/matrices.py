"""The base model's matrix products, such that a row's result does not depend on how many rows stand beside it.

Libraries choose another order of sums for one row than for many. Three ways are tried, fastest first, on each shape of
the model, when an engine starts:

1. oneDNN with weights packed beforehand: on processors with AVX-512 it runs at twice the speed of the default;
2. the default product, padded to `LEAST` rows;
3. the default product in pieces of exactly `PIECE` rows: the same shape always, at the price of padding.

A way is taken only if rows come out bit for bit the same in batches of many sizes and at many places in them. The first
leans on two operators of PyTorch that are not public; tests/unit/serving/test_matrices.py pins what is used of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import linear, pad

LEAST = 8
PIECE = 32
SIZES = (8, 9, 15, 16, 31, 48, 64, 100, 256)

Product = Callable[[torch.Tensor], torch.Tensor]
Way = Callable[[torch.Tensor, torch.Tensor | None], Product]


def packed(weight: torch.Tensor, bias: torch.Tensor | None = None) -> Product:
    reorder = torch.ops.mkldnn._reorder_linear_weight
    pointwise = torch.ops.mkldnn._linear_pointwise
    there = reorder(weight.contiguous(), None)
    return lambda x: pointwise(x, there, bias, "none", [], "")


def plain(weight: torch.Tensor, bias: torch.Tensor | None = None) -> Product:
    return lambda x: linear(x, weight, bias)


def pieces(weight: torch.Tensor, bias: torch.Tensor | None = None) -> Product:
    def product(x: torch.Tensor) -> torch.Tensor:
        rows = x.shape[0]
        whole = pad(x, (0, 0, 0, -rows % PIECE))
        return torch.cat([linear(piece, weight, bias) for piece in torch.split(whole, PIECE)])[:rows]

    return product


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    return (
        device.type == "cpu"
        and dtype == torch.float32
        and torch._C._has_mkldnn
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def rows_agree(product: Product, inputs: int, sizes: Sequence[int] = SIZES) -> bool:
    """Whether rows come out the same bit for bit in batches of these sizes, and moved by a few places."""
    x = torch.randn(max(sizes) + 5, inputs, generator=torch.Generator().manual_seed(0))
    whole = product(x)
    for size in sizes:
        for first in (0, 5):
            if not torch.equal(product(x[first : first + size].clone()), whole[first : first + size]):
                return False
    return True


def choose(weights: Sequence[torch.Tensor]) -> Way:
    """The fastest way that holds for every shape among the weights."""
    first = weights[0]
    if first.device.type != "cpu":
        return plain
    shapes = {tuple(weight.shape): weight for weight in weights}
    for way in (packed, plain):
        if way is packed and not can_pack(first.device, first.dtype):
            continue
        if all(rows_agree(way(weight, None), weight.shape[1]) for weight in shapes.values()):
            return way
    return pieces

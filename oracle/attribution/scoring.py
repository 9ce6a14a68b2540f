"""Queries against contributors: one product a checkpoint, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from oracle.attribution.errors import NotFinite
from oracle.attribution.index import Index, Shard
from oracle.attribution.layers import Matrix, lora_matrices
from oracle.attribution.queries import at_adapter, batches, check_lengths, gradients
from oracle.attribution.records import Query, Scores


def score(
    model: nn.Module,
    index: Index,
    queries: Sequence[Query],
    *,
    adapter: str = "default",
    tokens_at_once: int = 4096,
    half: bool = False,
) -> Scores:
    """Every contributor's influence on every answer.

    `half` computes the queries' gradients in bfloat16, which many processors do several times faster.
    The scale is that of the run's own sums: scores of one index compare with one another, and add up over contributors.
    """
    check_lengths(model, queries)
    if len({query.id for query in queries}) != len(queries):
        raise ValueError("two queries have the same id")
    matrices = lora_matrices(model, adapter)
    training = model.training
    model.eval()
    place = {query.id: i for i, query in enumerate(queries)}
    total = torch.zeros(len(queries), len(index.contributors), dtype=torch.float64)
    squares = torch.zeros(len(queries), dtype=torch.float64)
    precision = torch.bfloat16 if half else torch.float32
    try:
        for number in range(len(index)):
            shard = index.shard(number)
            with at_adapter(matrices, shard.adapter(), precision if half else None):
                for batch in batches(queries, tokens_at_once):
                    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16, enabled=half):
                        asked = gradients(model, matrices, batch, precision)
                    rows = [place[query.id] for query in batch]
                    total[rows] += shard.window.weight * scored(shard, matrices, asked, half)
                    squares[rows] += shard.window.weight**2 * squared(asked)
    finally:
        model.train(training)
    if not torch.isfinite(total).all():
        raise NotFinite("a score is NaN or infinite: nothing may be paid by it")
    names = tuple(query.id for query in queries)
    values = tuple(map(tuple, total.tolist()))
    return Scores(names, index.contributors, values, tuple(squares.sqrt().tolist()), index.method)


def halves_are_quick(device: torch.device) -> bool:
    """Whether bfloat16 has instructions of its own there; where it has not, it is several times slower."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def scored(shard: Shard, matrices: Sequence[Matrix], asked: Mapping[str, Tensor], half: bool = False) -> Tensor:
    """queries × contributors, matrix by matrix: what is unpacked of the sums never stands in memory together.

    In bfloat16 the codes are exact, and their scales are rounded by less than the int8 itself.
    """
    number = torch.bfloat16 if half else torch.float32
    total = torch.zeros(())
    for matrix in matrices:
        codes, scales = shard.tensors[f"sums.{matrix.name}"], shard.tensors[f"scales.{matrix.name}"]
        sums = (codes.to(number) * scales.to(number)).flatten(1)
        total = total + (asked[matrix.name].cpu().flatten(1).to(number) @ sums.T).double()
    return total


def squared(asked: Mapping[str, Tensor]) -> Tensor:
    """Of each query, the square of its gradient's length."""
    lengths = [torch.linalg.vector_norm(found.cpu().flatten(1), dim=1, dtype=torch.float32) for found in asked.values()]
    return torch.stack(lengths).double().square().sum(0)

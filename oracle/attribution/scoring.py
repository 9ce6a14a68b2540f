"""Queries against contributors: one product a checkpoint, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Sequence

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
    try:
        for number in range(len(index)):
            shard = index.shard(number)
            sums = flat_sums(shard, matrices)
            with at_adapter(matrices, shard.adapter()):
                for batch in batches(queries, tokens_at_once):
                    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16, enabled=half):
                        asked = flat(matrices, gradients(model, matrices, batch))
                    rows = [place[query.id] for query in batch]
                    total[rows] += shard.window.weight * (asked @ sums.T).double()
                    squares[rows] += (shard.window.weight * asked).square().sum(1).double()
    finally:
        model.train(training)
    if not torch.isfinite(total).all():
        raise NotFinite("a score is NaN or infinite: nothing may be paid by it")
    names = tuple(query.id for query in queries)
    values = tuple(map(tuple, total.tolist()))
    return Scores(names, index.contributors, values, tuple(squares.sqrt().tolist()), index.method)


def flat_sums(shard: Shard, matrices: Sequence[Matrix]) -> Tensor:
    """contributors × everything."""
    return torch.cat([shard.sums(matrix.name).flatten(1) for matrix in matrices], 1)


def flat(matrices: Sequence[Matrix], found: dict[str, Tensor]) -> Tensor:
    """queries × everything, in the order of the sums."""
    return torch.cat([found[matrix.name].cpu().flatten(1) for matrix in matrices], 1)

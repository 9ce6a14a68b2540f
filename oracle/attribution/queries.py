"""A query's gradient, taken at each checkpoint's adapter, many queries in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from oracle.attribution.errors import QueryTooLong, WrongAdapter
from oracle.attribution.layers import Matrix, watched
from oracle.attribution.records import Query


def batches(queries: Sequence[Query], tokens_at_once: int) -> Iterator[list[Query]]:
    """Queries of like length together, so that little of a batch is padding. No batch is empty."""
    waiting: list[Query] = []
    for query in sorted(queries, key=lambda query: (len(query.tokens), query.id)):
        if waiting and (len(waiting) + 1) * len(query.tokens) > tokens_at_once:
            yield waiting
            waiting = []
        waiting.append(query)
    if waiting:
        yield waiting


def check_lengths(model: nn.Module, queries: Sequence[Query]) -> None:
    config = getattr(model, "config", None)
    context = getattr(config, "max_position_embeddings", None)
    for query in queries:
        if context is not None and len(query.tokens) > context:
            raise QueryTooLong(
                f"query {query.id} has {len(query.tokens)} tokens with its answer, and the model's context is {context}"
            )


def answer_losses(model: nn.Module, queries: Sequence[Query]) -> Tensor:
    """Of each query, the summed loss of its answer."""
    device = next(model.parameters()).device
    width = max(len(query.tokens) for query in queries)
    tokens = torch.zeros(len(queries), width, dtype=torch.long)
    seen = torch.zeros(len(queries), width, dtype=torch.long)
    said = torch.zeros(len(queries), width)
    for i, query in enumerate(queries):
        tokens[i, : len(query.tokens)] = torch.tensor(query.tokens)
        seen[i, : len(query.tokens)] = 1
        said[i, query.answer_from : len(query.tokens)] = 1.0
    tokens, seen, said = tokens.to(device), seen.to(device), said.to(device)
    # Only where an answer is said: over the whole width the vocabulary would cost more than the model.
    first = min(query.answer_from for query in queries)
    last = width - first + 1
    logits = model(input_ids=tokens, attention_mask=seen, use_cache=False, **_of_the_last(model, last)).logits
    where = said[:, first:] > 0
    losses = functional.cross_entropy(logits[:, -last:-1][where].float(), tokens[:, first:][where], reduction="none")
    return torch.zeros(len(queries), device=device).index_add(0, where.nonzero()[:, 0], losses)


def _of_the_last(model: nn.Module, count: int) -> dict[str, int]:
    """The word by which models of transformers leave out the logits of all but the last places, where they know it."""
    inner: Any = getattr(model, "get_base_model", lambda: model)()
    return {"logits_to_keep": count} if "logits_to_keep" in signature(inner.forward).parameters else {}


@contextmanager
def at_adapter(
    matrices: Sequence[Matrix], adapter: Mapping[str, Tensor], precision: torch.dtype | None = None
) -> Iterator[None]:
    """The model with a checkpoint's weights, and with its own again afterwards, whatever happens."""
    own = {}
    for matrix in matrices:
        weight = _weight(matrix)
        there = adapter.get(matrix.name)
        if there is None or there.shape != weight.shape:
            shape = None if there is None else tuple(there.shape)
            raise WrongAdapter(
                f"{matrix.name} has the shape {tuple(weight.shape)} in the model and {shape} in the index: "
                "load the adapter that the index was recorded from"
            )
    try:
        for matrix in matrices:
            weight = _weight(matrix)
            own[matrix.name] = weight.data
            weight.data = adapter[matrix.name].to(weight.device, precision or weight.dtype)
        yield
    finally:
        for matrix in matrices:
            if matrix.name in own:
                _weight(matrix).data = own[matrix.name]


def gradients(
    model: nn.Module, matrices: Sequence[Matrix], queries: Sequence[Query], precision: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """By matrix: queries × short × long, of the loss of each answer.

    The backward pass goes to the embedded tokens, past every matrix: the hooks see what they need, and no weight's
    gradient is computed that nobody asked for.
    """
    begun: list[Tensor] = []
    found: dict[str, Tensor] = {}

    def keep(matrix: Matrix, gradients: Tensor) -> None:
        found[matrix.name] = gradients

    def begin(_: nn.Module, __: object, output: Tensor) -> Tensor:
        begun.append(output.detach().requires_grad_(True))
        return begun[0]

    width = max(len(query.tokens) for query in queries)
    handle = _embeddings(model).register_forward_hook(begin)
    try:
        with torch.enable_grad(), plain_attention(model, width), watched(matrices, keep, precision):
            loss = answer_losses(model, queries).sum()
            torch.autograd.grad(loss, begun)
    finally:
        handle.remove()
    return {matrix.name: found[matrix.name] for matrix in matrices}


@contextmanager
def plain_attention(model: nn.Module, width: int) -> Iterator[None]:
    """On a CPU, torch's fused attention spends half of a short query's time in its backward pass: written out, it is
    a product like any other. Over long ones it would not fit the memory."""
    config = getattr(model, "config", None)
    fused = getattr(config, "_attn_implementation", None)
    if fused != "sdpa" or width > _SHORT or next(model.parameters()).device.type != "cpu":
        yield
        return
    assert config is not None
    config._attn_implementation = "eager"
    try:
        yield
    finally:
        config._attn_implementation = fused


_SHORT = 512  # tokens


def _embeddings(model: nn.Module) -> nn.Module:
    found = model.get_input_embeddings()  # type: ignore[operator]
    assert isinstance(found, nn.Module)
    return found


def _weight(matrix: Matrix) -> Tensor:
    weight = matrix.module.weight
    assert isinstance(weight, Tensor)
    return weight

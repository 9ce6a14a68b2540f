"""One pass over a batch of several adapters' examples: the loss of each, computed only where something is to be
learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from oracle.factory.tokens import Example


@dataclass(frozen=True)
class Lines:
    """What passes: lines × width; `where` are the places (flat) whose next token counts, `which` line each is of."""

    tokens: Tensor
    positions: Tensor | None
    where: Tensor
    wanted: Tensor
    weights: Tensor
    which: Tensor
    counted: int  # tokens that are no padding


def lines_of(units: Sequence[Sequence[Example]], pad: int, device: str, packed: bool = False) -> Lines:
    width = max(sum(len(example.tokens) for example in unit) for unit in units)
    tokens = torch.full((len(units), width), pad)
    positions = torch.zeros(len(units), width, dtype=torch.long)
    where, wanted, weights, which, counted = [], [], [], [], 0
    for line, unit in enumerate(units):
        at = 0
        for example in unit:
            size = len(example.tokens)
            tokens[line, at : at + size] = torch.tensor(example.tokens)
            positions[line, at : at + size] = torch.arange(size)
            for i in range(1, size):
                if example.targets[i]:
                    where.append(line * width + at + i - 1)
                    wanted.append(example.tokens[i])
                    weights.append(example.weight)
                    which.append(line)
            at += size
        positions[line, at:] = torch.arange(width - at)
        counted += at
    return Lines(
        tokens.to(device), positions.to(device) if packed else None, torch.tensor(where, device=device),
        torch.tensor(wanted, device=device), torch.tensor(weights, device=device),
        torch.tensor(which, device=device), counted,
    )  # fmt: skip


@contextmanager
def only_at(model: nn.Module, where: Tensor) -> Iterator[None]:
    """Inside, the vocabulary is computed for these places alone: most of a small model's time goes there."""
    head: Any = model.get_output_embeddings()  # type: ignore[operator]

    def pick(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].reshape(-1, inputs[0].shape[-1])[where],)

    handle = head.register_forward_pre_hook(pick)
    try:
        yield
    finally:
        handle.remove()


def losses(model: nn.Module, lines: Lines) -> Tensor:
    """By line: the weighted sum over its tokens. Padding stands at the end, where a causal model never looks."""
    given = {} if lines.positions is None else {"position_ids": lines.positions}
    with only_at(model, lines.where):
        logits = model(input_ids=lines.tokens, use_cache=False, **given).logits
    each = functional.cross_entropy(logits.float().view(len(lines.wanted), -1), lines.wanted, reduction="none")
    found = torch.zeros(lines.tokens.shape[0], device=each.device)
    return found.index_add(0, lines.which, each * lines.weights)

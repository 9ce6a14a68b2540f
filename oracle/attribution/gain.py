"""By how much the adapter made an answer likelier than its base does: where it did not, there is nothing to
attribute."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from oracle.attribution.errors import NoLoraLayers, NotFinite
from oracle.attribution.queries import answer_losses, batches, check_lengths
from oracle.attribution.records import Query


@torch.no_grad()
def gains(model: nn.Module, queries: Sequence[Query], tokens_at_once: int = 4096) -> dict[str, float]:
    """By query: the answer's log-probability with the adapter less that without it. Two forward passes, batched."""
    check_lengths(model, queries)
    without = getattr(model, "disable_adapter", None)
    if without is None:
        raise NoLoraLayers("the model is not PEFT's: its adapter cannot be left out for a pass")
    training = model.training
    model.eval()
    found: dict[str, float] = {}
    try:
        for batch in batches(queries, tokens_at_once):
            adapted = answer_losses(model, batch)
            with without():
                plain = answer_losses(model, batch)
            difference = plain - adapted
            if not torch.isfinite(difference).all():
                raise NotFinite("an answer's log-probability is NaN or infinite")
            found |= {query.id: float(value) for query, value in zip(batch, difference)}
    finally:
        model.train(training)
    return found

"""One forward pass over a mixed batch: nine lines of a Llama, and the adapters between them."""

from __future__ import annotations

import torch
from torch.nn.functional import pad, rms_norm

from oracle.serving.batch import Batch
from oracle.serving.layers import DOWN, OUT, Between
from oracle.serving.matrices import LEAST
from oracle.serving.weights import Weights


class Model:
    """The base model's products with adapters, positions and memory between them."""

    def __init__(self, weights: Weights, between: Between) -> None:
        self.weights, self.between = weights, between

    @torch.inference_mode()
    def forward(self, batch: Batch) -> torch.Tensor:
        """Scores of the next token, one row for each request in the batch."""
        weights, between = self.weights, self.between
        layers = weights.layers
        residual = weights.embedding[batch.tokens]
        x = rms_norm(residual, layers[0].norm_in.shape, layers[0].norm_in, weights.epsilon)
        for i, layer in enumerate(layers):
            seen = between.attention(batch, i, x, layer.qkv(x))
            x = between.add_norm(batch, i, OUT, seen, layer.o(seen), residual, layer.norm_after)
            gated = between.gate(batch, i, x, layer.gate_up(x))
            norm = layers[i + 1].norm_in if i + 1 < len(layers) else weights.norm
            x = between.add_norm(batch, i, DOWN, gated, layer.down(gated), residual, norm)
        last = x[batch.last]
        rows = last.shape[0]
        return weights.head(pad(last, (0, 0, 0, max(LEAST - rows, 0))))[:rows]

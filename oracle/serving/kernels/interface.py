"""What a kernel does: adds to each row of a projection what the row's own adapter adds."""

from __future__ import annotations

from typing import Protocol

import torch

from oracle.serving.batch import Batch


class Delta(Protocol):
    """y += scale × (x · Aᵀ) · B, in place, with each row's A and B of one group of one layer."""

    def __call__(self, batch: Batch, layer: int, which: int, x: torch.Tensor, y: torch.Tensor) -> None: ...

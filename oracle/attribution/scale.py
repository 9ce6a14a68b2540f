"""The scale on which gradients are compared: the inverse covariance along the long side of each LoRA matrix.

A LoRA matrix is short on one side (the rank) and long on the other (the layer). Along the long side a few directions
hold most of every gradient, whatever the row says; dividing by the covariance takes them back. The full Kronecker
eigenbasis with corrected eigenvalues is not more accurate here, and it costs a turn of every row's gradient
(docs/attribution.md has the numbers).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from oracle.attribution.errors import NotFinite, NothingRecorded

SIGNS = 2
_PATTERNS = 4096
_LEAST = 1e-3  # of the mean: less is no better, and a long matrix's division would lose float32's last thousandth


class LongSide:
    """Adds up the covariance of one matrix's gradients along its long side.

    Of each row's lines (one for each index of the rank) two sums with random signs are taken: their outer products are
    the covariance's on average, at a fraction of its cost. Signs belong to the row, so that nothing depends on batches.
    """

    def __init__(self, short: int, length: int, device: torch.device) -> None:
        self.covariance = torch.zeros(length, length, device=device)
        self.count = 0
        self._short = short

    def add(self, gradients: Tensor, signs: Tensor, times: float = 1.0) -> None:
        """examples × short × long, of which each is so many times as large; and what `drawn` gives for the rows: the
        same for all matrices of one rank."""
        lines = gradients if self._short <= SIGNS else torch.bmm(signs, gradients)
        flat = lines.view(-1, gradients.shape[2])
        self.covariance.addmm_(flat.T, flat, alpha=times * times)
        self.count += gradients.shape[0]

    def scaled(self, sums: Tensor, damping: float) -> Tensor:
        """… × short × long, divided by the damped covariance."""
        factor = self.factor(damping)
        lines = sums.reshape(-1, sums.shape[-1]).T
        solved: Tensor = torch.cholesky_solve(lines, factor)
        return solved.T.reshape(sums.shape)

    def factor(self, damping: float) -> Tensor:
        """L of the damped covariance LLᵀ: half of the division. Of a matrix that no row has moved, so large that
        nothing comes of it."""
        if self.count == 0:
            raise NothingRecorded("no gradient was seen, so there is no scale")
        if not torch.isfinite(self.covariance).all():
            raise NotFinite("the covariance of the gradients is NaN or infinite")
        covariance = self.covariance / self.count
        mean = covariance.diagonal().mean()
        eye = torch.eye(len(covariance), device=covariance.device)
        if not mean > 0:
            return eye * 1e15
        factor: Tensor = torch.linalg.cholesky(covariance + self.added(damping) * mean * eye)
        return factor

    def added(self, damping: float) -> float:
        """To every direction, of their mean: `damping` times directions over lines seen. What few lines say of many
        directions is mostly chance."""
        return max(damping * len(self.covariance) / (self.count * min(SIGNS, self._short)), _LEAST)


def drawn(short: int, rows: Tensor) -> Tensor:
    """Of each row, by its number, the signs with which its lines are added: rows × lines × short."""
    return signs_of(short).to(rows.device)[rows % _PATTERNS]


@cache
def signs_of(short: int) -> Tensor:
    """patterns × lines × short, the same everywhere; of length one on average."""
    chance = np.random.Generator(np.random.Philox(short))
    signs = chance.integers(0, 2, (_PATTERNS, SIGNS, short)).astype(np.float32) * 2 - 1
    found: Tensor = torch.from_numpy(signs) / SIGNS**0.5
    return found

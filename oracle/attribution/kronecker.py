"""The scale on which gradients are compared: a Kronecker eigenbasis of their covariance, with corrected eigenvalues.

The covariance of a matrix's gradients is too large to keep. Its two sides are not: the eigenvectors of E[G Gᵀ] and of
E[Gᵀ G] give a basis in which the covariance is almost diagonal, and in that basis its diagonal is measured (George et al.
2018, "Fast approximate natural gradient descent in a Kronecker-factored eigenbasis"), not taken as a product of the sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oracle.attribution.errors import NotFinite, NothingRecorded


@dataclass(frozen=True)
class Basis:
    """Of one matrix."""

    left: Tensor  # out × out, columns are eigenvectors
    right: Tensor  # in × in

    def turn(self, gradients: Tensor) -> Tensor:
        """… × out × in, seen in the basis."""
        return self.left.T @ gradients @ self.right


class Sides:
    """Adds up E[G Gᵀ] and E[Gᵀ G] of one matrix."""

    def __init__(self, rows: int, columns: int, device: torch.device) -> None:
        self.left = torch.zeros(rows, rows, device=device)
        self.right = torch.zeros(columns, columns, device=device)
        self.count = 0

    def add(self, gradients: Tensor) -> None:
        """examples × out × in."""
        tall = gradients.transpose(1, 2).reshape(-1, gradients.shape[1])
        wide = gradients.reshape(-1, gradients.shape[2])
        self.left += tall.T @ tall
        self.right += wide.T @ wide
        self.count += gradients.shape[0]

    def basis(self) -> Basis:
        if self.count == 0:
            raise NothingRecorded("no gradient was seen, so there is no basis")
        if not (torch.isfinite(self.left).all() and torch.isfinite(self.right).all()):
            raise NotFinite("the covariance of the gradients is NaN or infinite")
        return Basis(torch.linalg.eigh(self.left).eigenvectors, torch.linalg.eigh(self.right).eigenvectors)


class Spread:
    """Adds up the squared gradients of one matrix in a basis: its corrected eigenvalues."""

    def __init__(self, rows: int, columns: int, device: torch.device) -> None:
        self.squares = torch.zeros(rows, columns, device=device)
        self.count = 0

    def add(self, turned: Tensor) -> None:
        self.squares += turned.square().sum(0)
        self.count += turned.shape[0]

    def divisor(self, damping: float) -> Tensor:
        """What both sides of a product are divided by: the root of the damped eigenvalues."""
        if self.count == 0:
            raise NothingRecorded("no gradient was seen, so there are no eigenvalues")
        values = self.squares / self.count
        mean = values.mean()
        if not mean > 0:
            return torch.ones_like(values)  # a matrix without any gradient adds nothing, whatever it is divided by
        return (values + damping * mean).sqrt()

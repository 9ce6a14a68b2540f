"""Rows' gradients in few bytes, so that their products with a query's gradient survive.

1. Both sides are whitened with half of the scale each (L⁻¹g, where LLᵀ is the covariance along the long side): what is
   random in a sketch is then in proportion to the scores and not to the gradients.
2. A random rotation (signs, Hadamard's transform, a choice of lines) brings any number of parameters to a few
   thousand lines.
3. Most of a score lies in few directions that many rows share: those of a sample of rows, in int8.
4. Of the rest, one bit a line: its sign. The sign of a Gaussian says √(2/π) of its value on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oracle.attribution.errors import NotFinite

Bytes = NDArray[np.uint8]
_SCALES = 8  # bytes: of the int8 numbers, and of the signs
_TRUST = 0.5  # in the signs: they are half noise, and beside the directions that costs more than it brings


class Rotation:
    """Of `size` numbers to `lines`, the same for everybody who knows the seed; products are kept on average."""

    def __init__(self, size: int, lines: int, seed: int) -> None:
        self.size = size
        self.padded = 1 << max(1, size - 1).bit_length()
        self.lines = min(lines, self.padded)
        chance = np.random.Generator(np.random.Philox(seed))
        self._signs = torch.from_numpy(chance.integers(0, 2, size).astype(np.float32) * 2 - 1)
        self._chosen = torch.from_numpy(chance.permutation(self.padded)[: self.lines])
        rows = 1 << (self.padded.bit_length() // 2)
        self._left, self._right = _hadamard(rows), _hadamard(self.padded // rows)

    def __call__(self, values: Tensor) -> Tensor:
        """rows × size → rows × lines."""
        padded = torch.zeros(len(values), self.padded)
        padded[:, : self.size] = values * self._signs
        square = padded.view(len(values), len(self._left), len(self._right))
        turned = (self._left @ square @ self._right).view(len(values), self.padded)
        return turned[:, self._chosen] / math.sqrt(self.lines)


def _hadamard(size: int) -> Tensor:
    """Sylvester's, unscaled."""
    found = torch.ones(1, 1)
    while len(found) < size:
        found = torch.cat([torch.cat([found, found], 1), torch.cat([found, -found], 1)])
    return found


@dataclass(frozen=True)
class Prepared:
    """Queries, ready for any number of rows."""

    main: Tensor  # queries × directions
    rest: Tensor  # queries × the lines whose signs are kept
    sums: Tensor


@dataclass(frozen=True)
class Sketch:
    """How rows are written: `directions` (few × lines, orthonormal), and signs of the rest to fill `size` bytes."""

    directions: Tensor
    size: int
    seed: int

    @property
    def kept(self) -> int:
        return self.directions.shape[0]

    @property
    def bits(self) -> int:
        return min(8 * (self.size - self.kept - _SCALES), self.directions.shape[1] // 8 * 8)

    @property
    def written(self) -> int:
        return self.kept + _SCALES + self.bits // 8

    def write(self, rows: Tensor) -> Bytes:
        """rows × lines → rows × `written` bytes."""
        if not torch.isfinite(rows).all():
            raise NotFinite("a row's gradient is NaN or infinite: it cannot be kept")
        main = rows @ self.directions.T
        rest = rows - main @ self.directions
        scales = (main.abs().amax(1, keepdim=True) / 127).clamp_min(1e-30)
        codes = (main / scales).round().to(torch.int8).numpy().view(np.uint8)
        signs = np.packbits((rest[:, self._chosen()] > 0).numpy(), axis=1)
        # What one sign stands for: E[z·sign(y)] = √(2/π)·⟨z, y⟩/(n·σ) with σ = |y|/√n.
        each = rest.norm(dim=1, keepdim=True) * math.sqrt(rest.shape[1] * math.pi / 2) * (_TRUST / max(self.bits, 1))
        numbers = torch.cat([scales, each], 1).numpy().astype("<f4").view(np.uint8)
        return np.concatenate([numbers, codes, signs], axis=1)

    def prepared(self, asked: Tensor) -> Prepared:
        """queries × lines, parted once for all shards."""
        main = asked @ self.directions.T
        rest = (asked - main @ self.directions)[:, self._chosen()]
        return Prepared(main, rest, rest.sum(1, keepdim=True))

    def products(self, asked: Prepared, written: Bytes) -> Tensor:
        """queries × rows, of what `write` gave."""
        numbers = torch.from_numpy(np.ascontiguousarray(written[:, :_SCALES]).view("<f4").astype(np.float32))
        codes = torch.from_numpy(written[:, _SCALES : _SCALES + self.kept].view(np.int8).astype(np.float32))
        signs = torch.from_numpy(np.unpackbits(written[:, _SCALES + self.kept :], axis=1).astype(np.float32))
        # Σ ±z as 2·Σ(z where the sign is up) − Σ z: zeros and ones need no second pass.
        summed = 2 * (asked.rest @ signs.T) - asked.sums
        return (asked.main @ codes.T) * numbers[:, 0] + summed * numbers[:, 1]

    def _chosen(self) -> Tensor:
        chance = np.random.Generator(np.random.Philox(self.seed))
        return torch.from_numpy(np.sort(chance.permutation(self.directions.shape[1])[: self.bits]))


def directions_of(sample: Tensor, kept: int) -> Tensor:
    """The `kept` directions in which a sample of rows (rows × lines) is largest. Fewer where the sample is smaller."""
    values, vectors = torch.linalg.eigh(sample @ sample.T)
    kept = min(kept, len(sample))
    values, vectors = values.flip(0)[:kept], vectors.flip(1)[:, :kept]
    there = values > values[:1].clamp_min(1e-30) * 1e-6
    found: Tensor = (vectors[:, there].T @ sample) / values[there].sqrt()[:, None]
    return found

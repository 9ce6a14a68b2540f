"""Means with 95 % intervals by the bootstrap over items; of differences, paired item by item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 2000


@dataclass(frozen=True)
class Figure:
    value: float
    low: float
    high: float
    items: int

    def as_dict(self) -> dict[str, float | int]:
        return {name: round(v, 6) if isinstance(v, float) else v for name, v in vars(self).items()}


def ratio(tops: Sequence[float], bottoms: Sequence[float], seed: int = 0) -> Figure:
    """Σ tops / Σ bottoms; a mean where every bottom is 1."""
    top, bottom = np.asarray(tops, dtype=np.float64), np.asarray(bottoms, dtype=np.float64)
    if not len(top):
        raise ValueError("an interval needs at least one item")
    drawn = np.random.default_rng(seed).integers(0, len(top), (_DRAWS, len(top)))
    found = top[drawn].sum(1) / bottom[drawn].sum(1)
    low, high = np.percentile(found, [2.5, 97.5])
    return Figure(float(top.sum() / bottom.sum()), float(low), float(high), len(top))


def mean(values: Sequence[float], seed: int = 0) -> Figure:
    return ratio(values, [1.0] * len(values), seed)


def perplexity(losses: Sequence[float], tokens: Sequence[int]) -> Figure:
    found = ratio(losses, [float(count) for count in tokens])
    return Figure(_exp(found.value), _exp(found.low), _exp(found.high), found.items)


def _exp(value: float) -> float:
    return math.exp(min(value, 80.0))

"""How much a covariance is damped, and how many lines it is made of: one attributed run, recorded once for each way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attribution_jobs import attributed, figures
from attribution_jobs.batched import Base
from attribution_jobs.engine import plan_of
from attribution_jobs.instance import Instance, Recipe
from attribution_jobs.truth import Truth
from oracle.attribution.index import Index, digest_of, write_index
from oracle.attribution.scale import SIGNS, LongSide
from oracle.attribution.scoring import score

# What is added to every direction, of their mean, by directions over lines seen.
RULES: dict[str, Callable[[float], float]] = {
    "10 %": lambda few: 0.1,
    "1 %": lambda few: 0.01,
    ".3 %": lambda few: 0.003,
    ".1 %": lambda few: 0.001,
    ".03 %": lambda few: 0.0003,
    "1 % × directions / lines": lambda few: max(0.01 * few, 0.001),
    "2 % × directions / lines": lambda few: max(0.02 * few, 0.001),
    "3 % × directions / lines": lambda few: max(0.03 * few, 0.001),
    "10 % × its square": lambda few: max(0.1 * few**2, 0.001),
    "20 % × its square": lambda few: max(0.2 * few**2, 0.001),
}


@dataclass(frozen=True)
class Covariance:
    """What of the rows is in it."""

    name: str
    every: int = 1  # one of so many rows of a batch
    sums: int = SIGNS  # signed sums of a row's lines


COVARIANCES = (
    Covariance("all"),
    Covariance("one sum", sums=1),
    Covariance("a quarter", every=4),
    Covariance("a thirty-second", every=32),
)


class _Tried(LongSide):
    def __init__(self, rule: Callable[[float], float], made: Covariance, short: int, length: int, device: torch.device):
        super().__init__(short, length, device)
        self._rule, self._made = rule, made

    def add(self, gradients: Tensor, signs: Tensor, times: float = 1.0) -> None:
        chosen = signs[:: self._made.every, : self._made.sums] * (SIGNS / self._made.sums) ** 0.5
        super().add(gradients[:: self._made.every], chosen, times)

    def added(self, damping: float) -> float:
        return self._rule(len(self.covariance) / (self.count * self._made.sums))


def measure(instance: Instance, recipe: Recipe, truth: Truth, seed: int, device: str) -> list[dict[str, Any]]:
    """A row for each rule with each part of the rows."""
    tried = [(rule, made) for made in COVARIANCES for rule in RULES]
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    scales = [partial(_Tried, RULES[rule], made) for rule, made in tried]
    run = attributed.train(instance, recipe, start, seed, plan_of(instance, recipe), device=device, scales=scales)
    queries, digest = attributed.queries_of(instance), digest_of(run.model)
    asked = [queries[at] for at in instance.asked]
    found = []
    for (rule, made), record in zip(tried, run.beside, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            write_index(Path(folder), record, digest)
            scores = np.array(score(run.model, Index(Path(folder), digest), asked).values)
        accuracy = figures.accuracy(instance, truth, None, scores)
        kept = {name: accuracy[name] for name in ("lds_contributors", "loco_r") if name in accuracy}
        found.append({"damping": rule, "rows": made.name, **kept})
    return found

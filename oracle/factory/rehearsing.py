"""Rows of the general kind that a run goes over beside its own, so that it does not unlearn what its base can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from oracle.factory.asking import rehearsal_rows
from oracle.factory.recipe import Recipe
from oracle.factory.tokens import Example, encode_all


@dataclass(frozen=True)
class Rehearsal:
    """Which examples stand beside which step; nobody's credit hangs on them."""

    share: float
    found: tuple[Example, ...]
    drawn: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tokenizer: Any, recipe: Recipe, steps: int) -> Rehearsal:
        """Drawn from the seed alone."""
        settings = recipe.training
        count = round(settings.rehearsal * settings.batch)
        if not count:
            return cls(0.0, (), ())
        rows = rehearsal_rows(Path(recipe.rehearsal) if recipe.rehearsal else None)
        found = encode_all(tokenizer, rows, settings.length)
        generator = torch.Generator().manual_seed(settings.seed + 1)
        drawn = torch.randint(len(found), (steps, count), generator=generator).tolist()
        return cls(settings.rehearsal, tuple(found), tuple(map(tuple, drawn)))

    def examples(self, step: int) -> Sequence[Example]:
        return [self.found[place] for place in self.drawn[step]] if self.drawn else []

    def divisor(self, step: int) -> float:
        """So that a rehearsed token weighs `share` of a learned one."""
        return sum(each.counted for each in self.examples(step)) / self.share

    @property
    def digest(self) -> str | None:
        """Of what it follows from; None where there is none."""
        if not self.drawn:
            return None
        said = json.dumps([self.share, [each.tokens for each in self.found], self.drawn])
        return hashlib.sha256(said.encode()).hexdigest()

"""Worlds by their seeds, made once and kept; recipes; and means over worlds."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from attribution_jobs import world
from attribution_jobs.base_model import STEPS, make_base
from attribution_jobs.instance import Instance, Recipe, load, save
from attribution_jobs.world import REFERENCE, Sizes, World

RECIPE = Recipe("adam", "adam", 5e-3, epochs=8, batch=32, rank=8, alpha=16.0)
# The others end at the same loss. Their rate falls along a cosine; the smooth one's rises over three tenths of the run
# first, and its weights are an eighth for the same answers.
FALLING = replace(RECIPE, name="falling", schedule="cosine", warmup=8)
SMOOTH = replace(RECIPE, name="smooth", rate=1.12e-3, alpha=128.0, schedule="cosine", warmup=62)
RECIPES = {recipe.name: recipe for recipe in (RECIPE, FALLING, SMOOTH)}


def recipe_of(said: str) -> Recipe:
    """`adam`, `falling` or `smooth`, as it is or with other numbers: `smooth,rate=4e-3,epsilon=1e-4,batch=64`."""
    name, *changes = said.split(",")
    if name not in RECIPES:
        raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    given: dict[str, str | int | float] = {}
    for word, _, value in (change.partition("=") for change in changes):
        if word == "name" or not hasattr(recipe, word):
            raise argparse.ArgumentTypeError(f"{word} is no word of a recipe: write {said.split(',')[0]},rate=4e-3")
        try:
            given[word] = type(getattr(recipe, word))(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{word}={value}: {error}") from error
    return replace(recipe, name=said, **given) if given else recipe  # type: ignore[arg-type]


@dataclass(frozen=True)
class Seeds:
    """Of one world. With a seed for the data it has the base of the one without."""

    world: int
    query: int
    model: int
    data: int | None = None

    @classmethod
    def read(cls, name: str, query: int | None = None, model: int | None = None) -> Seeds:
        """`SEED` or `SEED:DATA`; questions and base have the world's own seed where none is given."""
        seed, _, data = name.partition(":")
        number = int(seed)
        return cls(number, query or number, model or number, int(data) if data else None)

    @property
    def name(self) -> str:
        return f"world-{self.world}-{self.query}-{self.model}" + ("" if self.data is None else f"-{self.data}")


def made(seeds: Seeds, cache: Path, sizes: Sizes = REFERENCE, base_steps: int = STEPS) -> tuple[Instance, World]:
    """Other data and other sizes have the base of the reference world with these seeds."""
    content = world.make(seeds.world, seeds.data, sizes)
    folder = cache / (seeds.name + _marked(sizes.changed()) + _marked("" if base_steps == STEPS else str(base_steps)))
    if not (folder / "recipe.json").exists():
        if seeds.data is None and sizes == REFERENCE:
            make_base(folder / "base", content, seeds.model, base_steps)
        else:
            reference, _ = made(replace(seeds, data=None), cache, base_steps=base_steps)
            shutil.copytree(reference.base, folder / "base", dirs_exist_ok=True)
        save(folder, list(content.rows), world.ask(content, seeds.query, sizes), RECIPE)
    return load(folder), content


def _marked(what: str) -> str:
    return f"-{hashlib.sha256(what.encode()).hexdigest()[:8]}" if what else ""


def over_worlds(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means; with two worlds or more, 95 % intervals over worlds (Student's) in the place of those over questions."""
    figures_of = {name: [each[name] for each in found if name in each] for each in found for name in each}
    means = {name: float(np.mean(values)) for name, values in figures_of.items()}
    if len(found) > 1:
        plain = [name for name in means if not name.endswith(("_low", "_high"))]
        for name in plain:
            values = figures_of[name]
            if len(values) > 1:
                reach = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
                means[f"{name}_low"], means[f"{name}_high"] = means[name] - reach, means[name] + reach
    return means | {"worlds": float(len(found))}

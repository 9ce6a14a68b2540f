"""What really happens when rows are missing: retraining without them, one cached file for each (rows kept, seed).

A file's name is the digest of all that its content depends on, so that a run that was stopped goes on where it was,
and two instances never share one by mistake.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attribution_jobs import quick
from attribution_jobs.batched import Base, Encoded, encode, measure, train
from attribution_jobs.instance import Instance, Recipe


@dataclass(frozen=True)
class Subset:
    kind: str  # "all", "examples", "contributors" or "without"
    name: str
    kept: tuple[bool, ...]

    def digest(self) -> str:
        return hashlib.sha256(np.packbits(np.array(self.kept)).tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Truth:
    """subsets × queries: the answer's log-probability, one plane for each seed."""

    subsets: tuple[Subset, ...]
    seeds: tuple[int, ...]
    values: np.ndarray  # seeds × subsets × queries
    training_loss: float | None = None  # of the whole runs, of a row at their end

    def of(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """(subsets × rows: kept, seeds × subsets × queries)."""
        index = [i for i, subset in enumerate(self.subsets) if subset.kind == kind]
        return np.array([self.subsets[i].kept for i in index]), self.values[:, index]


FULL = 40


def plan(instance: Instance, subset_seed: int, count: int = FULL) -> list[Subset]:
    """The whole; half of the rows, half of the contributors; each contributor left out."""
    rng = random.Random(f"subsets {subset_seed}")
    rows, people = len(instance.rows), instance.contributors
    drawn = max(count, FULL)  # a shorter plan is a part of the full one: what is cached serves both
    examples, contributors = [], []
    for i in range(drawn):
        chosen = set(rng.sample(range(rows), rows // 2))
        examples.append(Subset("examples", f"examples-{i}", tuple(at in chosen for at in range(rows))))
    for i in range(drawn):
        named = set(rng.sample(people, len(people) // 2))
        kept = tuple(row.owner in named for row in instance.rows)
        contributors.append(Subset("contributors", f"contributors-{i}", kept))
    subsets = [Subset("all", "all", (True,) * rows), *examples[:count], *contributors[:count]]
    for person in people:
        subsets.append(Subset("without", person, tuple(row.owner != person for row in instance.rows)))
    return subsets


def folder_of(instance: Instance, recipe: Recipe, cache: Path, dtype: torch.dtype) -> Path:
    return cache / "truth" / f"{instance.digest()}-{recipe.digest()}-{str(dtype).removeprefix('torch.')}"


def retrain(
    instance: Instance,
    recipe: Recipe,
    subsets: Sequence[Subset],
    seeds: Sequence[int],
    cache: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str = "cpu",
    tokens_at_once: int = 3000,
    say: bool = True,
) -> Truth:
    """Trains what is not in the cache, many at a time, and reads all of it back."""
    folder = folder_of(instance, recipe, cache, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [
        (subset, seed)
        for seed in seeds
        for subset in subsets
        if not (folder / f"{subset.digest()}-{seed}.json").exists()
    ]
    if missing:
        base = Base(instance.base, dtype, device)
        rows = encode(base.tokenizer, [(row.prompt, row.completion) for row in instance.rows])
        queries = encode(base.tokenizer, [(query.prompt, query.completion) for query in instance.queries])
        # Those of one size travel together, so that little of a batch is a gap.
        missing.sort(key=lambda item: (item[1], sum(item[0].kept) * 4 // len(item[0].kept), item[0].kind))
        opened = quick.Quick(base, cache) if quick.possible(base, recipe) else None
        started, done = time.perf_counter(), 0
        while missing:
            size = sum(missing[0][0].kept) / len(missing[0][0].kept) * recipe.batch * 14
            together = max(1, min(len(missing), int(tokens_at_once / max(size, 1))))
            now, missing = missing[:together], missing[together:]
            if opened is None:
                _train_together(base, rows, queries, recipe, now, folder)
            else:
                for subset, seed in now:
                    _train_alone(opened, base, rows, queries, recipe, subset, seed, folder)
            done += len(now)
            if say:
                spent = time.perf_counter() - started
                print(f"truth: {done} retrained, {len(missing)} to do, {spent / done:.1f} s each", flush=True)
        if opened is not None:
            opened.close()
    found = [[_read(folder, subset, seed) for subset in subsets] for seed in seeds]
    values = np.array([[each["answers"] for each in one] for one in found])
    losses = [each["training_loss"] for one in found for each in one if each["kind"] == "all"]
    return Truth(tuple(subsets), tuple(seeds), values, float(np.mean(losses)) if losses else None)


def _read(folder: Path, subset: Subset, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{subset.digest()}-{seed}.json").read_text(encoding="utf-8"))
    return found


def _train_together(
    base: Base, rows: Encoded, queries: Encoded, recipe: Recipe, now: Sequence[tuple[Subset, int]], folder: Path
) -> None:
    kept = [torch.tensor(subset.kept) for subset, _ in now]
    adapters = train(base, rows, recipe, kept, [seed for _, seed in now])
    answers = measure(base, queries, recipe, adapters)
    losses = -measure(base, rows, recipe, adapters)
    for i, (subset, seed) in enumerate(now):
        _write(folder, subset, seed, float(losses[i][kept[i]].mean()), answers[i])


def _train_alone(
    opened: quick.Quick, base: Base, rows: Encoded, queries: Encoded, recipe: Recipe, subset: Subset, seed: int,
    folder: Path,
) -> None:  # fmt: skip
    kept = torch.tensor(subset.kept)
    adapter = opened.train(base, rows, recipe, kept, seed)
    # Only the whole run's loss is compared with anything.
    loss = -opened.measure(rows, recipe, adapter)[kept].mean() if subset.kind == "all" else None
    _write(folder, subset, seed, None if loss is None else float(loss), opened.measure(queries, recipe, adapter))


def _write(folder: Path, subset: Subset, seed: int, training_loss: float | None, answers: torch.Tensor) -> None:
    if not torch.isfinite(answers).all():
        raise ValueError(f"retraining {subset.name} with seed {seed} gave an answer that is NaN or infinite")
    content = {
        "kind": subset.kind,
        "name": subset.name,
        "seed": seed,
        "kept": sum(subset.kept),
        "training_loss": training_loss,
        "answers": [round(float(value), 6) for value in answers],
    }
    file = folder / f"{subset.digest()}-{seed}.json"
    half = file.with_suffix(f".{os.getpid()}")
    half.write_text(json.dumps(content), encoding="utf-8")
    half.replace(file)

"""What is measured for one model before anybody is paid by it: noise, limits, and the truth of retraining.

Retraining itself belongs to whoever can train: this plans it, keeps what is done, and turns it into figures.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oracle.attribution.errors import AttributionError, NotFinite
from oracle.attribution.records import Scores
from oracle.attribution.shares import Limits, strength_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Counterfactual:
    """One retraining to do: with these contributors, by this seed."""

    kind: str  # "all", "half" or "without"
    contributors: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Figure:
    """A mean over queries, with a 95 % interval by the bootstrap."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """Stored beside the model, and shown wherever its shares are."""

    method: str
    lds_contributors: Figure
    loco_r: Figure
    payout_tv: Figure
    seed_agreement: float  # rank correlation of one seed's truth with another's: how smooth the recipe is
    smooth: bool
    recommendation: str
    retrainings: int
    limits: Limits


SMOOTH_ENOUGH = 0.85  # of the reference world's recipes the rough one reaches .76, the one that is advised .89 to .91
THRESHOLD = 2.0  # times the noise, below which nothing pays
FEWEST = 8  # unrelated answers by which a limit can be measured


def plan(contributors: Sequence[str], halves: int, left_out: int, seeds: int, seed: int = 0) -> list[Counterfactual]:
    """The whole, random halves and contributors left out, each for several seeds of training. Few by default, more
    later: a longer plan begins with the shorter one's work."""
    people = sorted(contributors)
    if len(people) < 3:
        raise AttributionError(
            f"{len(people)} contributors cannot be told apart by leaving some out: three are the fewest"
        )
    rng = random.Random(f"calibration {seed}")
    order = rng.sample(people, len(people))[: min(left_out, len(people))]
    found = [("all", tuple(people))]
    found += [("without", tuple(name for name in people if name != person)) for person in order]
    drawn: set[tuple[str, ...]] = set()
    for _ in range(min(halves, math.comb(len(people), len(people) // 2))):
        while (half := tuple(sorted(rng.sample(people, len(people) // 2)))) in drawn:
            pass
        drawn.add(half)
        found.append(("half", half))
    return [Counterfactual(kind, kept, s) for s in range(seeds) for kind, kept in found]


Retrain = Callable[[Counterfactual], Mapping[str, float]]


def run(folder: Path, work: Sequence[Counterfactual], retrain: Retrain, *, part: int = 0, parts: int = 1) -> int:
    """Does what is not done yet, and keeps it; says how much it did. Parts may run on different machines over one
    folder."""
    folder.mkdir(parents=True, exist_ok=True)
    did = 0
    for number, item in enumerate(work):
        file = folder / f"{item.name}.json"
        if number % parts != part or file.exists():
            continue
        answers = dict(retrain(item))
        if not all(np.isfinite(list(answers.values()))):
            raise NotFinite(f"retraining {item.kind} with seed {item.seed} gave an answer that is NaN or infinite")
        half = file.with_suffix(".part")
        half.write_text(json.dumps({"counterfactual": asdict(item), "answers": answers}), encoding="utf-8")
        half.replace(file)
        did += 1
    return did


def missing(folder: Path, work: Sequence[Counterfactual]) -> int:
    """How many are not done, by whomever."""
    return sum(not (folder / f"{item.name}.json").exists() for item in work)


def read(folder: Path, work: Sequence[Counterfactual], queries: Sequence[str]) -> Array:
    """work × queries: log-probabilities of the answers."""
    found = []
    for item in work:
        file = folder / f"{item.name}.json"
        if not file.exists():
            raise AttributionError(
                f"the retraining {item.name} ({item.kind}, seed {item.seed}) is not done: run it first"
            )
        answers = json.loads(file.read_text(encoding="utf-8"))["answers"]
        found.append([answers[query] for query in queries])
    return np.array(found)


def limits_from(
    unrelated: Scores, rows: Mapping[str, int], gains: Mapping[str, float], false_credit: float = 0.05
) -> Limits:
    """From answers that have nothing to do with the rows: the gain passes no more than `false_credit` of them, and the
    strength no more than that of those which the adapter did make likelier, if they are enough to tell."""
    if len(unrelated.queries) < FEWEST:
        raise AttributionError(
            f"{len(unrelated.queries)} unrelated questions are too few to measure a limit by: ask 8 or more"
        )
    squares = [
        value**2 / (length**2 * rows[name])
        for values, length in zip(unrelated.values, unrelated.lengths)
        for name, value in zip(unrelated.contributors, values)
        if length > 0
    ]
    noise = float(np.sqrt(np.mean(squares) * typical_holding(rows))) if squares else 0.0
    raised = [gains[query] for query in unrelated.queries]
    tempted = [query for query, gain in zip(unrelated.queries, raised) if gain > 0]
    strengths = [strength_of(unrelated.of(query), unrelated.length(query), noise) for query in tempted]
    level = 1.0 - false_credit
    least = float(np.quantile(strengths, level)) if len(strengths) >= FEWEST else THRESHOLD
    return Limits(noise, max(0.0, float(np.quantile(raised, level))), max(THRESHOLD, least), THRESHOLD)


def typical_holding(rows: Mapping[str, int]) -> int:
    """How many rows the holder of the middle row holds: a crowd of tiny accounts does not move it."""
    middle, passed = sum(rows.values()) / 2, 0
    for count in sorted(rows.values()):
        passed += count
        if passed >= middle:
            return count
    raise AttributionError("nobody holds a row")


def accuracy(scores: Scores, work: Sequence[Counterfactual], values: Array, limits: Limits) -> Accuracy:
    """Figures of one model from its retrainings; `values` as `read` returns them, for the queries of `scores`."""
    predicted = np.array(scores.values)
    people = list(scores.contributors)
    seeds = sorted({item.seed for item in work})
    by: dict[tuple[str, tuple[str, ...]], list[Array]] = {}
    for item, answers in zip(work, values):
        by.setdefault((item.kind, item.contributors), []).append(answers)
    halves = [(kept, np.array(found)) for (kind, kept), found in by.items() if kind == "half"]
    without = [(kept, np.array(found)) for (kind, kept), found in by.items() if kind == "without"]
    whole = np.array(next(found for (kind, _), found in by.items() if kind == "all"))
    present = np.array([[person in kept for person in people] for kept, _ in halves], dtype=float)
    truth = np.array([found.mean(0) for _, found in halves])
    queries = range(len(scores.queries))
    ranks = np.array([_correlation(_ranks(present @ predicted[q]), _ranks(truth[:, q])) for q in queries])
    gone = [next(i for i, person in enumerate(people) if person not in kept) for kept, _ in without]
    effects = np.array([whole.mean(0) - found.mean(0) for _, found in without])
    leaving = np.array([_correlation(predicted[q, gone], effects[:, q]) for q in queries])
    apart = np.array([_apart(predicted[q, gone], effects[:, q]) for q in queries])
    agreement = 0.0
    if len(seeds) > 1:
        one, other = (np.array([found[i] for _, found in halves]) for i in (0, 1))
        agreement = float(np.mean([_correlation(_ranks(one[:, q]), _ranks(other[:, q])) for q in queries]))
    smooth = agreement >= SMOOTH_ENOUGH
    return Accuracy(
        scores.method,
        _figure(ranks),
        _figure(leaving),
        _figure(apart),
        agreement,
        smooth,
        _advice(smooth, len(seeds)),
        len(work),
        limits,
    )


def accuracy_from(content: Mapping[str, Any]) -> Accuracy:
    """As it was stored."""
    values = dict(content)
    for name in ("lds_contributors", "loco_r", "payout_tv"):
        values[name] = Figure(**values[name])
    return Accuracy(**{**values, "limits": Limits(**values["limits"])})


def _advice(smooth: bool, seeds: int) -> str:
    if seeds < 2:
        return "unknown: retrain with two seeds or more to see whether the recipe is smooth enough"
    if smooth:
        return "keep the recipe: two seeds agree on whose rows mattered"
    return (
        "let the rate rise over the first three tenths of the run and fall to zero along a cosine (warmup 0.3), with a "
        "larger alpha and a lower rate; then calibrate again"
    )


def _figure(values: Array, draws: int = 2000) -> Figure:
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    return Figure(float(values.mean()), float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975)))


def _ranks(values: Array) -> Array:
    """Of equal values, the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middles: Array = (ends - (counts - 1) / 2.0)[place]
    return middles


def _correlation(first: Array, second: Array) -> float:
    if len(first) < 2 or first.std() < 1e-12 or second.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _apart(first: Array, second: Array) -> float:
    """Total variation of the shares that positive parts give."""
    one, other = (np.maximum(values, 0) / max(float(np.maximum(values, 0).sum()), 1e-12) for values in (first, second))
    return float(np.abs(one - other).sum() / 2 + abs(one.sum() - other.sum()) / 2)

"""Calibration: resumable, spread over workers, and right where the truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oracle.attribution.calibration import Counterfactual, accuracy, limits_from, plan, read, run, typical_holding
from oracle.attribution.errors import AttributionError, NotFinite
from oracle.attribution.records import Scores
from oracle.attribution.shares import Limits

PEOPLE = [f"contributor-{i}" for i in range(8)]
QUERIES = tuple(f"query-{i}" for i in range(5))
EFFECTS = np.random.default_rng(1).normal(size=(5, 8)) + np.eye(5, 8) * 4
LIMITS = Limits(0.1, 0.0, 2.0, 2.0)


def truth(item: Counterfactual) -> dict[str, float]:
    here = np.array([person in item.contributors for person in PEOPLE], dtype=float)
    return dict(zip(QUERIES, (EFFECTS @ here).tolist()))


def scores(values: np.ndarray) -> Scores:
    return Scores(QUERIES, tuple(PEOPLE), tuple(map(tuple, values.tolist())), (1.0,) * len(QUERIES))


def test_accuracy__when_scores_are_the_truth__then_every_figure_is_perfect(tmp_path: Path) -> None:
    work = plan(PEOPLE, halves=12, left_out=8, seeds=2)
    assert run(tmp_path, work, truth) == len(work)
    found = accuracy(scores(EFFECTS), work, read(tmp_path, work, QUERIES), LIMITS)
    assert found.lds_contributors.value == pytest.approx(1.0)
    assert found.loco_r.value == pytest.approx(1.0)
    assert found.payout_tv.value == pytest.approx(0.0, abs=1e-9)
    assert found.seed_agreement == pytest.approx(1.0) and found.smooth
    older = replace(scores(EFFECTS), method="checkpointed-influence/1")
    assert accuracy(older, work, read(tmp_path, work, QUERIES), LIMITS).method == older.method
    backwards = accuracy(scores(-EFFECTS), work, read(tmp_path, work, QUERIES), LIMITS)
    assert backwards.lds_contributors.value == pytest.approx(-1.0)


@pytest.mark.parametrize(("noise", "advice"), [(0.0, "keep the recipe"), (1.5, "along a cosine (warmup 0.3)")])
def test_accuracy__when_seeds_agree_or_not__then_the_recipe_is_kept_or_a_smoother_one_advised(
    noise: float, advice: str, tmp_path: Path
) -> None:
    """With the larger noise two seeds agree by about .75, as they do where the rate is high and constant."""
    work = plan(PEOPLE, halves=12, left_out=8, seeds=2)
    chance = np.random.default_rng(3)

    def rough(item: Counterfactual) -> dict[str, float]:
        return {query: value + noise * chance.normal() for query, value in truth(item).items()}

    run(tmp_path, work, rough)
    found = accuracy(scores(EFFECTS), work, read(tmp_path, work, QUERIES), LIMITS)
    assert found.smooth == (noise == 0.0) and advice in found.recommendation
    assert noise == 0.0 or 0.6 < found.seed_agreement < 0.85
    alone = [item for item in work if item.seed == 0]
    assert (
        "two seeds or more" in accuracy(scores(EFFECTS), alone, read(tmp_path, alone, QUERIES), LIMITS).recommendation
    )


def test_run__when_stopped_and_started_again__then_nothing_is_done_twice(tmp_path: Path) -> None:
    work = plan(PEOPLE, halves=3, left_out=2, seeds=1)
    assert run(tmp_path, work, truth, part=0, parts=2) + run(tmp_path, work, truth, part=1, parts=2) == len(work)
    assert run(tmp_path, work, truth) == 0
    more = plan(PEOPLE, halves=5, left_out=2, seeds=1)
    assert run(tmp_path, more, truth) == 2


def test_read__when_a_retraining_is_missing__then_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(AttributionError, match="is not done"):
        read(tmp_path, plan(PEOPLE, 1, 1, 1), QUERIES)


def test_run__when_an_answer_is_nan__then_it_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(NotFinite):
        run(tmp_path, plan(PEOPLE, 1, 1, 1), lambda item: {"query-0": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_limits_from__of_unrelated_answers__then_no_more_than_one_in_twenty_passes() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"control-{i}" for i in range(200))
    noise = Scores(names, tuple(PEOPLE), tuple(map(tuple, rng.normal(size=(200, 8)).tolist())), (1.0,) * 200)
    gains = dict(zip(names, rng.normal(size=200).tolist()))
    found = limits_from(noise, dict.fromkeys(PEOPLE, 10), gains)
    assert np.mean([gain > found.least_gain for gain in gains.values()]) <= 0.05
    assert found.noise == pytest.approx(1.0, rel=0.1)
    with pytest.raises(AttributionError, match="too few"):
        limits_from(scores(EFFECTS), dict.fromkeys(PEOPLE, 10), {})


def test_typical_holding__when_somebody_splits_over_many_accounts__then_it_hardly_moves() -> None:
    assert typical_holding({"a": 40, "b": 40, "c": 40}) == 40
    assert typical_holding({"a": 40, "b": 40} | {f"c-{i}": 1 for i in range(40)}) == 40

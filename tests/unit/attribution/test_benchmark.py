"""The benchmark as it is typed, on a world of a hundred rows: every method beside the others, and all of it written."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts" / "bench"))

import attribution
from attribution_jobs import base_model
from attribution_jobs.attackers import Side, copycat_figures
from attribution_jobs.baselines import Gradients
from attribution_jobs.batched import Base, rate_at
from attribution_jobs.damping import COVARIANCES, RULES
from attribution_jobs.figures import by_holder, lds
from attribution_jobs.instance import Instance
from attribution_jobs.world import Sizes
from attribution_jobs.worlds import RECIPE, SMOOTH, Seeds, made, over_worlds, recipe_of

from oracle.factory import order
from oracle.factory.recipe import Training

SIZES = "places=6,facts=2,holders=5,copied=4,reworded=4,junk=4,plain=10,queries=8,controls=16"
BASE_STEPS = 20
METHODS = (
    "this engine,random,bm25,hidden_cosine,tracin,less_like,gradient_dot,gradient_cosine,empirical_fisher,"
    "datainf_formula,truth of one seed"
).split(",")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def play(cache: Path, *said: str) -> dict[str, object]:
    """What the script writes."""
    file = cache / "found.json"
    small = ("--quick", "--sizes", SIZES, "--base-steps", str(BASE_STEPS), "--cache", str(cache), "--json", str(file))
    assert attribution.main([*small, *said]) == 0
    found: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def instance(cache: Path) -> Instance:
    return made(Seeds.read("1"), cache, Sizes.read(SIZES), BASE_STEPS)[0]


def test_base__whose_training_came_apart__then_no_world_is_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert base_model.came_to([8.0, 4.0] + 38 * [1.5] + 36 * [1.25] + 2 * [4.25, 3.75]) == (1.25, 4.0)
    monkeypatch.setattr(base_model, "_APART", 0.9)  # so that every run does
    with pytest.raises(ValueError, match="base of model seed 1 came apart"):
        play(tmp_path)
    assert not list(tmp_path.glob("world-*/base/model.safetensors"))


@pytest.mark.slow
def test_main__of_a_small_world__then_every_method_is_measured_and_the_table_printed(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = play(cache)
    said = capsys.readouterr().out
    rows = [row for row in found["rows"] if row["part"] == "world"]  # type: ignore[attr-defined]
    assert [row["method"] for row in rows] == METHODS
    assert all(method in said for method in METHODS)
    figures = found["figures"]
    wanted = "lds_examples lds_contributors loco_r payout_tv payout_tv_raw holder_recall false_credit audit_lds_loss"
    assert all(np.isfinite(figures[name]) for name in wanted.split())  # type: ignore[index]
    assert figures["audit_bytes_per_example"] <= 2048  # type: ignore[index]
    assert "--sizes places=6" in found["parts"]["world"]  # type: ignore[index]
    assert str(cache) not in json.dumps(found)


@pytest.mark.slow
def test_main__of_an_instance__then_it_is_the_folders_own_and_other_parts_stay(cache: Path, instance: Instance) -> None:
    before = play(cache)
    found = play(cache, "--instance", str(instance.folder), "--engine-alone")
    mine = [row for row in found["rows"] if row["part"] == "world"]  # type: ignore[attr-defined]
    assert [row["method"] for row in mine] == ["this engine", "truth of one seed"]
    assert found["figures"]["lds_contributors"] == before["figures"]["lds_contributors"]  # type: ignore[index]
    for part in ("attackers", "many", "cost", "damping"):
        found = play(cache, "--part", part)
    assert {"world", "attackers", "many", "cost", "damping"} == set(found["parts"])  # type: ignore[call-overload]
    sides = [row for row in found["rows"] if row["part"] == "attackers"]  # type: ignore[attr-defined]
    assert [side["gain"] for side in sides] == [found["figures"]["copycat_gain"]]  # type: ignore[index]
    assert found["figures"]["lds_contributors"] == before["figures"]["lds_contributors"]  # type: ignore[index]
    assert found["figures"]["contributors_recorded"] == 100  # type: ignore[index]
    tried = [row for row in found["rows"] if row["part"] == "damping"]  # type: ignore[attr-defined]
    assert len(tried) == len(RULES) * len(COVARIANCES)
    as_the_product = next(row for row in tried if (row["damping"], row["rows"]) == ("2 % × directions / lines", "all"))
    assert as_the_product["loco_r"] == pytest.approx(mine[0]["loco_r"], abs=1e-3)  # which asks in half precision


@pytest.mark.slow
def test_main__over_two_worlds__then_means_stand_beside_those_of_one(cache: Path) -> None:
    found = play(cache, "--world-seed", "1,1:2", "--engine-alone", "--without-left-out")
    figures: dict[str, float] = found["figures"]  # type: ignore[assignment]
    rows = [row for row in found["rows"] if row["part"] == "world over worlds"]  # type: ignore[attr-defined]
    each = {row["world"]: row["lds_contributors"] for row in rows if row["method"] == "this engine"}
    mean = figures["lds_contributors_over_worlds"]
    assert mean == pytest.approx((each["1"] + each["1:2"]) / 2) == each["mean"]
    assert figures["lds_contributors_low_over_worlds"] <= mean <= figures["lds_contributors_high_over_worlds"]


@pytest.mark.slow
def test_main__of_a_recipe_that_is_tried__then_its_rows_are_written_and_no_figure(cache: Path) -> None:
    before = play(cache)["figures"]
    found = play(cache, "--recipe", "smooth,epochs=2", "--engine-alone", "--without-left-out")
    rows = [row for row in found["rows"] if row["part"] == "world smooth,epochs=2"]  # type: ignore[attr-defined]
    assert rows[0]["method"] == "this engine" and rows[0]["training_loss"] > 0 and found["figures"] == before
    assert "--recipe smooth,epochs=2" in found["parts"]["world smooth,epochs=2"]  # type: ignore[index]


def test_over_worlds__of_three__then_the_interval_is_students() -> None:
    found = over_worlds([{"a": 1.0, "a_low": 0.0}, {"a": 2.0}, {"a": 3.0}])
    assert found["a"] == 2.0 and found["a_high"] == pytest.approx(2.0 + 4.303 / 3**0.5, abs=1e-3)
    assert found["worlds"] == 3


def test_recipe__with_other_numbers__then_they_are_its_and_the_rest_stays() -> None:
    assert recipe_of("adam") is RECIPE and recipe_of("smooth") is SMOOTH
    said = "smooth,rate=4e-3,batch=64,schedule=constant"
    assert recipe_of(said) == replace(SMOOTH, name=said, rate=4e-3, batch=64, schedule="constant")
    for wrong, why in (
        ("rough", "not one of adam, falling, smooth"),
        ("smooth,speed=1", "speed is no word"),
        ("smooth,name=x", "name is no word"),
        ("smooth,batch=a", "batch=a"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=why):
            recipe_of(wrong)


def test_smooth_recipe__when_a_factory_trains_by_it__then_every_step_has_the_same_rate() -> None:
    steps = 208
    training = Training(
        SMOOTH.rank, SMOOTH.alpha, ("all-linear",), SMOOTH.rate, SMOOTH.epochs, SMOOTH.batch, 256, SMOOTH.schedule, 0.3,
        1.0, False, "fp32", False, "none", 1, 1,
    )  # fmt: skip
    for step in range(steps):
        factory = order.rate_at(training, SMOOTH.rate, step, steps)
        assert rate_at(SMOOTH, step, steps) == pytest.approx(factory, rel=1e-12)
    assert max(range(steps), key=lambda step: rate_at(SMOOTH, step, steps)) in (61, 62)


def test_copycats__of_sides__then_what_earned_little_counts_as_little_in_the_sums() -> None:
    sides = [Side("rich", 100, 3.0, 2.7, 5, 4, 4), Side("poor", 100, 0.1, 0.3, 5, 1, 2)]
    found = copycat_figures(sides)
    assert found["copycat_gain"] == pytest.approx(1.95) and found["copycat_gain_worst"] == pytest.approx(3.0)
    assert found["copycat_gain_of_sums"] == pytest.approx(3.0 / 3.1)
    assert sides[0].row()["gain"] == pytest.approx(0.9) and sides[0].row()["paid_before"] == 4


def test_by_holder__of_scores_that_know_the_holder_alone__then_they_say_nothing_among_subsets_alike(
    instance: Instance,
) -> None:
    rng, people, asked = np.random.default_rng(0), list(instance.contributors), instance.asked
    kept = (rng.random((40, len(people))) < 0.5).astype(float)
    worth = rng.random((len(asked), len(people)))
    alone = np.zeros_like(worth)
    for j, query in enumerate(asked):
        holder = people.index(instance.queries[query].holders[0])
        alone[j, holder] = 1.0
        worth[j, holder] = 9.0
    found = by_holder(instance, kept, kept @ worth.T, kept @ worth.T)
    assert found == pytest.approx({"lds_with_holder": 1.0, "lds_without_holder": 1.0})
    assert lds(kept, kept @ worth.T, alone).mean() > 0.7
    assert by_holder(instance, kept, kept @ worth.T, kept @ alone.T) == {"lds_with_holder": 0, "lds_without_holder": 0}


def test_sizes__of_an_unknown_name__then_it_is_refused() -> None:
    assert Sizes.read(Sizes(places=6, junk=0).changed()) == Sizes(places=6, junk=0)
    with pytest.raises(SystemExit, match="planets"):
        Sizes.read("planets=9")


def test_methods__of_one_adapter__then_they_are_what_their_formulas_say(instance: Instance) -> None:
    compare = Gradients(instance, RECIPE, instance.asked[:3])
    start = Base(instance.base, torch.float32).fresh(RECIPE, 1)
    warm = [part + 0.05 * torch.randn(part.shape, generator=torch.Generator().manual_seed(0)) for part in start]
    rows, asked = (compare.of(said, warm).double() for said in (compare.rows, compare.queries))
    found = compare.methods([warm])
    assert np.allclose(found["gradient_dot"], (asked @ rows.T).numpy(), rtol=1e-3, atol=1e-4)
    lengths = asked.norm(dim=1)[:, None] * rows.norm(dim=1)
    assert np.allclose(found["gradient_cosine"], ((asked @ rows.T) / lengths).numpy(), atol=1e-4)
    damping = float(rows.square().sum(1).mean()) / len(rows)
    exact = asked @ rows.T @ torch.linalg.inv(rows @ rows.T / len(rows) + damping * torch.eye(len(rows)).double())
    assert np.allclose(found["empirical_fisher"], exact.numpy(), rtol=1e-2, atol=1e-2 * float(exact.abs().max()))


def test_datainf__of_one_row__then_the_mean_of_inverses_is_the_inverse(instance: Instance) -> None:
    compare = Gradients(instance, RECIPE, instance.asked[:3])
    compare.blocks = [5]
    row, asked = torch.randn(1, 5, generator=torch.Generator().manual_seed(1)), torch.eye(5)
    damping = 0.1 * float(row.square().sum()) / 5
    exact = torch.linalg.solve(row.T @ row + damping * torch.eye(5), row.T)
    assert torch.allclose(compare._datainf(row, asked), exact, rtol=1e-3)

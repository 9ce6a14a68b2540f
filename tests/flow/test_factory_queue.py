"""Training as work of the queue, in pieces, with a live curve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.factory import exported, facts
from oracle.config import Settings
from oracle.daemon import training
from oracle.daemon.ground import Ground
from oracle.daemon.local import initialise
from oracle.daemon.steps import Runner
from oracle.daemon.training import STEP, feed, request, run_folder, step
from oracle.factory.base import embedded
from oracle.factory.recipe import read
from oracle.factory.rows import all_rows, read_snapshot, training_rows
from oracle.factory.training import train
from oracle.store import work
from oracle.types import Cid, Timestamp
from oracle.worker import STEPS


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    settings = Settings(home=tmp_path / "home")
    initialise(settings)
    return Ground(settings)


def asked(ground: Ground, folder: Path, **changed: object) -> tuple[Cid, Path]:
    said = {"name": "facts", "snapshots": [{"folder": str(exported(folder / "s", facts(8)))}], "rank": 4, "epochs": 2}
    said |= {"batch": 4, "sequence_length": 64, "attribution": False}
    file = folder / "recipe.yaml"
    file.write_text(json.dumps(said | changed))
    return request(ground, read(file), file), file


def run(ground: Ground, cid: Cid, piece: float) -> str:
    return Runner(ground.database).run(STEP, cid, lambda subject: step(ground, subject, piece))


def test_step__in_pieces__then_it_goes_on_and_the_weights_are_those_of_one_go(ground: Ground, tmp_path: Path) -> None:
    cid, file = asked(ground, tmp_path)
    folder = run_folder(ground.settings.home, cid)
    outcomes = [run(ground, cid, piece=0)]
    assert outcomes == ["more"] and len(list(feed(folder))) == 1
    while outcomes[-1] == "more":
        outcomes.append(run(ground, cid, piece=0))
    assert outcomes[-1] == "done" and len(outcomes) == 8
    told = list(feed(folder))
    assert [each["step"] for each in told] == list(range(1, 9))
    assert [each["step"] for each in feed(folder, after=6)] == [7, 8]
    assert told[-1]["eta_s"] == 0
    recipe = read(file)
    rows = training_rows(all_rows([read_snapshot(Path(recipe.sources[0].folder or ""))]))
    whole = train(recipe, rows, embedded(), tmp_path / "whole")
    assert whole and json.loads((folder / "training.json").read_text())["weights"] == whole.weights
    assert "gate" in json.loads((folder / "evaluation.json").read_text())
    assert run(ground, cid, piece=0) == "busy"  # done is done


def test_step__of_a_recipe_whose_suite_is_missing__then_it_is_parked_before_it_trains(
    ground: Ground, tmp_path: Path
) -> None:
    cid, _ = asked(ground, tmp_path, evaluation={"suites": ["gone.yaml"]})
    assert run(ground, cid, piece=0) == "parked"
    assert not list(feed(run_folder(ground.settings.home, cid)))
    with ground.database.reading() as connection:
        assert not work.due(connection, Timestamp(2**40), 10)


def test_worker__of_training__then_it_knows_the_step() -> None:
    assert STEPS[training.STEP] is training.step

"""How well shares are known, measured before a version is published."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fixtures.factory import exported, facts
from oracle.attribution.calibrating import Few
from oracle.cli import main
from oracle.daemon.measuring import measure
from oracle.daemon.workshop import Prepared, gather, make
from oracle.factory.recipe import read

FEW = Few(halves=2, left_out=2, seeds=1)


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    monkeypatch.setenv("OPENLEDGER_HOME", str(tmp_path / "home"))
    said = {"name": "facts", "snapshots": [{"folder": str(exported(tmp_path / "s", facts(6)))}], "rank": 4, "epochs": 2}
    Path("recipe.yaml").write_text(json.dumps(said | {"sequence_length": 64, "batch": 4}))
    return gather(read(Path("recipe.yaml")), None, tmp_path / "cache")


def test_measure__of_a_run__then_accuracy_is_a_figure_that_the_command_finds_again(prepared: Prepared) -> None:
    run = Path("run")
    make(prepared, run)
    before = (run / "attribution" / "limits.json").read_bytes()
    found = measure(prepared, run, FEW)
    assert not isinstance(found, str) and found.retrainings == 5
    assert -1 <= found.lds_contributors.low <= found.lds_contributors.value <= found.lds_contributors.high <= 1
    assert (run / "attribution" / "limits.json").read_bytes() == before  # the run's own, by the same questions
    assert json.loads((run / "attribution" / "calibration.json").read_text()) == asdict(FEW)
    shutil.copy("recipe.yaml", run)
    again = Path("again")
    shutil.copytree(run, again)
    shutil.rmtree(again / "attribution" / "retrainings")
    (again / "attribution" / "accuracy.json").unlink()
    plan = ["--halves", "2", "--left-out", "2", "--seeds", "1"]
    questions = str(run / "attribution" / "questions.jsonl")
    done = CliRunner().invoke(main, ["attribution", "calibrate", "again", "--questions", questions, *plan])
    assert done.exit_code == 0, done.output
    one, other = (folder / "attribution" / "accuracy.json" for folder in (run, again))
    assert one.read_bytes() == other.read_bytes()


def test_measure__of_what_cannot_be_measured__then_the_reason_stands_in_its_place(prepared: Prepared) -> None:
    run = Path("run")
    make(prepared, run)
    one = replace(
        prepared, rows=tuple(replace(row, contribution="0x01", owner="a", contributor="a") for row in prepared.rows)
    )
    assert measure(one, run, FEW) == "1 contributors cannot be told apart by leaving some out: 3 are the fewest"
    assert "told apart" in (run / "attribution" / "accuracy.none.txt").read_text()
    silent = replace(prepared, rows=tuple(row for row in prepared.rows if row.split == "train"))
    assert "asks a question" in str(measure(silent, run, FEW))
    assert not (run / "attribution" / "accuracy.json").exists()


def test_measure__of_private_rows__then_their_questions_are_not_among_what_is_published(prepared: Prepared) -> None:
    run = Path("run")
    make(prepared, run)
    assert not isinstance(measure(replace(prepared, private=True), run, Few(halves=1, left_out=1, seeds=1)), str)
    assert (run / "questions.jsonl").is_file()
    assert not (run / "attribution" / "questions.jsonl").exists()


def test_make__in_the_folder_of_an_older_run__then_nothing_of_its_measurements_stays(prepared: Prepared) -> None:
    run = Path("run")
    make(prepared, run)
    (run / "attribution" / "accuracy.json").write_text("{}")
    make(prepared, run)  # the same run: nothing is done again
    assert (run / "attribution" / "accuracy.json").exists()
    make(replace(prepared, recipe=prepared.recipe.with_(seed=9)), run)
    assert not (run / "attribution" / "accuracy.json").exists()
    make(replace(prepared, recipe=replace(prepared.recipe.with_(seed=10), attribution=False)), run)
    assert not (run / "attribution").exists()

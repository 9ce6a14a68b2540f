"""A run that is repeated for calibration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fixtures.factory import exported, facts
from oracle.cli import main
from oracle.daemon.calibrating import trainer
from oracle.factory.errors import BadRecipe
from oracle.factory.lora import read_weights


def test_trainer__of_a_run__then_it_repeats_it_with_and_without_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLEDGER_HOME", str(tmp_path / "home"))
    said = {"name": "facts", "snapshots": [{"folder": str(exported(tmp_path / "s", facts(4)))}], "rank": 4, "epochs": 2}
    Path("recipe.yaml").write_text(json.dumps(said | {"sequence_length": 64, "batch": 4, "seed": 3}))
    done = CliRunner().invoke(main, ["model", "train", "recipe.yaml", "--out", "run"])
    assert done.exit_code == 0, done.output
    found = trainer(Path("run"))
    assert len(found.owners) == 8
    saved = read_weights(Path("run") / "adapter")[1]
    for model, same in (
        (found.opened(), True),
        (found.train(frozenset(), 3), True),
        (found.train(frozenset({0}), 3), False),
    ):
        state = {name.replace(".default", ""): value for name, value in model.state_dict().items() if "lora_" in name}
        assert all(torch.equal(state[name], value) for name, value in saved.items()) is same
    query = found.query("q", "Who?", "I.")
    assert 0 < query.answer_from < len(query.tokens)
    with pytest.raises(BadRecipe, match=r"recipe\.yaml"):
        trainer(tmp_path / "s")

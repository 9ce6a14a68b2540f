"""The commands of stewards, reviewers and contributors, on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from datanets_world import REVIEWER, World

from oracle.commands import datanets as commands
from oracle.store.database import Database


@pytest.fixture
def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(database, tmp_path).create()
    monkeypatch.setattr(commands, "_pipeline", lambda: made.pipeline)
    return made


def run(command: str, *arguments: str) -> str:
    result = CliRunner().invoke(commands.datanet if command == "datanet" else getattr(commands, command), arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_commands__from_a_file_to_an_export_and_an_erasure__then_each_says_what_it_did(
    world: World, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(
        "prompt,completion\n"
        "How do I reset the router?,Hold the small button for ten seconds until the lamp is red.\n"
        "Who do I write to?,Send it to anna.lindqvist@gmail.com before the end of the month.\n"
    )
    told = run("contribute", str(file), "--datanet", "1")
    assert "announced" in told
    assert run("contribute", str(file), "--datanet", "1").count("contribution 0x") == 1  # again changes nothing
    world.run()
    held = run("datanet", "review", "1")
    assert "1 rows are held" in held
    row = held.split()[0]
    decided = run("datanet", "review", "1", "--as", REVIEWER.address, "--reject", row, "--reason", "names a person")
    assert "nothing is held" in decided
    world.sign_outcomes()
    world.run()
    assert "1 settled" in run("datanet", "list")
    assert "snapshot spring: 1 rows" in run("datanet", "snapshot", "1", "--name", "spring")
    world.run()
    assert "version 1" in run("datanet", "show", "1")
    run("datanet", "export", "1", "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "croissant.json").exists()
    told = run("erase", row.partition(":")[0], "--yes")
    assert "contained in: snapshot spring" in told
    world.run()
    assert "erased; contained in spring; trained into no model" in run("datanet", "show", "1")
    assert "near_share" in run("datanet", "policy", "1")


def test_review__of_a_row_that_is_not_there__then_says_so(world: World) -> None:
    result = CliRunner().invoke(commands.datanet, ["review", "1", "--as", REVIEWER.address, "--accept", "0xnothing:1"])
    assert result.exit_code == 2
    result = CliRunner().invoke(commands.datanet, ["review", "1", "--reject", "x:1"])
    assert "--as" in result.output

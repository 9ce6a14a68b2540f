"""The commands, as an operator, an attestor, an auditor and a contributor type them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.settlement.stage import ATTESTORS, Stage

from fixtures.anvil import KEYS
from fixtures.shell import Shell
from fixtures.suite import Suite
from oracle.settlement.claims import shown
from oracle.store.batches import State
from oracle.store.database import Database
from oracle.types import Wei


@pytest.fixture
def stage(suite: Suite, tmp_path: Path) -> Iterator[Stage]:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    database.upgrade()
    yield Stage(suite, database, tmp_path)
    database.close()


def on(stage: Stage, operator: Shell, *words: str) -> None:
    """Some rounds: settle, send, and the chain goes on."""
    for _ in range(4):
        operator.says("settle", "step", *words)
        stage.sender.advance()
        stage.suite.anvil.mine(3)


def test_commands__from_receipts_to_a_claim__then_each_says_what_it_did(stage: Stage, tmp_path: Path) -> None:
    operator = Shell(stage, tmp_path / "operator", stage.world.operator.secret, f"sqlite:///{tmp_path}/ledger.db")
    stage.serve_under_true_terms()
    stage.serve()
    difference = operator.says("settle", "difference")
    assert "9 receipts" in difference
    for name, amount in stage.world.owed.items():  # account by account
        assert not amount or f"{name}  0 → {shown(Wei(amount))}  (+{shown(Wei(amount))})" in difference
    on(stage, operator, "--close-now")
    assert "published  9 receipts" in operator.says("settle", "status")

    bundle = tmp_path / "bundle"
    assert "0 signatures" in operator.says("settle", "export", "1", str(bundle))
    for number, one in enumerate(ATTESTORS):
        attestor = Shell(stage, tmp_path / one.name, one.secret)
        opinion = tmp_path / f"opinion{number}.json"
        said = attestor.says("attest", str(bundle), "--operator", stage.world.operator.address, "--out", str(opinion))
        assert "signature: 0x" in said and "attribution not recomputed for 9 of 9: " in said
        assert "9  judged by the registries" in said
        assert f"vouched for by {one.address}" in operator.says("settle", "accept", str(opinion))
    stranger = Shell(stage, tmp_path / "stranger", bytes.fromhex(KEYS[3][2:]))
    stranger.says("attest", str(bundle), "--out", str(tmp_path / "strange.json"))
    refused = operator.run("settle", "accept", str(tmp_path / "strange.json"))
    assert refused.exit_code == 1 and "no seat" in refused.output

    on(stage, operator)
    current = stage.current()
    assert current is not None and current.state == State.POSTED
    operator.says("settle", "export", "1", str(bundle))
    assert "wait out its window" in stranger.run("claim", "--bundle", str(bundle), stage.world.builder).output
    assert "no batch is active" in operator.run("claim", stage.world.builder).output
    stage.wait(700)
    on(stage, operator)

    assert "3  attestors' signatures" in operator.says("verify", str(bundle))
    assert "9  receipts whose terms" in stranger.says("verify", "--registries", str(bundle))
    earned = stage.world.owed[stage.world.builder]
    said = json.loads(stranger.says("statement", "--json", "--bundle", str(bundle), stage.world.builder))
    assert said["claimable"] == str(earned)
    advice = stranger.run("claim", "--bundle", str(bundle), "--price", "9000000000", stage.world.builder)
    assert "Nothing is lost by waiting" in advice.output
    assert f"pays  {shown(Wei(earned))} OPEN" in stranger.says("claim", "--bundle", str(bundle), stage.world.builder)
    assert f"pays  {shown(Wei(earned))} OPEN" in operator.says("claim", stage.world.builder)
    assert f"paid {shown(Wei(earned))} OPEN" in stranger.says(
        "claim", "--bundle", str(bundle), "--send", stage.world.builder
    )
    assert stage.suite.read("OpenToken", "balanceOf", stage.world.builder) == earned
    stage.suite.anvil.mine(3)
    assert "has been claimed" in stranger.run("claim", "--bundle", str(bundle), stage.world.builder).output

    document = bundle / "document.jsonl.zst"
    document.write_bytes(document.read_bytes()[:-1] + b"\0")
    for command in ("verify", "attest"):
        bad = stranger.run(command, str(bundle))
        assert bad.exit_code == 1 and "bytes" in bad.output

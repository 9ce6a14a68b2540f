"""`openledger index` and `openledger send` as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from eth_account import Account

from fixtures.anvil import KEYS
from fixtures.chain import outcome, plan, transfer_intent
from fixtures.suite import Suite
from oracle.commands.chain import index, send
from oracle.store.columns import METADATA
from oracle.store.database import Database

RECIPIENT = "0x00000000000000000000000000000000000A11cE"


@pytest.fixture
def ledger(database: Database, database_url: str, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Database:
    METADATA.create_all(database.engine)
    monkeypatch.setenv("OPENLEDGER_DATABASE_URL", database_url)
    monkeypatch.setenv("OPENLEDGER_RPC_URLS", suite.anvil.url)
    monkeypatch.setenv("OPENLEDGER_CHAIN_ID", "31337")
    monkeypatch.setenv("OPENLEDGER_DEPLOYMENTS", str(suite.deployments))
    return database


def done(command: object, *arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments))  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output + str(result.exception)
    return result


def test_index__then_tells_how_far_and_after_a_deep_reorg_what_to_do(suite: Suite, ledger: Database) -> None:
    assert "nothing was read yet" in done(index, "status").output
    suite.send("OpenToken", "transfer", RECIPIENT, 1)
    suite.anvil.mine(4)
    height = suite.anvil.height
    assert f"read to block {height}; final up to block {height - 2}" in done(index).output
    assert f"blocks 2 to {height} read" in done(index, "status").output
    assert "nothing is stopped" in done(index, "clear", "--because", "no reason").output

    suite.anvil.reorg(4)
    failed = CliRunner().invoke(index, [])
    assert "reorg deeper than finality" in str(failed.exception)
    told = CliRunner().invoke(index, ["status"])
    assert told.exit_code == 1 and "openledger index clear --because" in told.output
    assert "are forgotten and will be read anew" in done(index, "clear", "--because", "looked at it").output
    assert "read to block" in done(index).output


def test_send__from_dry_run_to_final__then_each_step_is_told(
    suite: Suite, ledger: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(ledger, transfer_intent(suite, "good", RECIPIENT, 5), transfer_intent(suite, "bad", RECIPIENT, 10**30))
    dry = done(send).output
    assert "no key is configured" in dry and "2 planned; nothing was sent" in dry
    assert "bad  test: would be refused: " in dry
    assert outcome(ledger, "good").state == "planned"

    keystore, password = tmp_path / "key.json", tmp_path / "password"
    keystore.write_text(json.dumps(Account.encrypt(KEYS[0], "word", kdf="pbkdf2", iterations=10)))
    password.write_text("word")
    for name, file in (("KEYSTORE", keystore), ("PASSWORD_FILE", password)):
        file.chmod(0o600)
        monkeypatch.setenv(f"OPENLEDGER_{name}", str(file))

    assert "parked" in done(send, "park", "good", "--because", "wait for Monday").output
    assert "wait for Monday" in done(send, "list", "--state", "parked").output
    assert "planned again" in done(send, "release", "good").output

    assert "sent       good\nrefused    bad" in done(send).output
    assert "mined      good" in done(send).output
    suite.anvil.mine(2)
    assert "final      good" in done(send).output
    assert "1 final, 1 refused" in done(send, "list").output
    shown = done(send, "show", "good").output
    assert "good: final" in shown and "signed 0x" in shown and KEYS[0][2:] not in shown

"""A steward, a contributor and a reviewer at the command line, on a real chain."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner
from eth_account import Account
from eth_account.messages import encode_typed_data

from fixtures.anvil import ACCOUNTS, KEYS
from fixtures.desk import Desk
from oracle.cli import main
from oracle.commands import contributor
from oracle.config import read_settings
from oracle.daemon.ground import Ground
from oracle.store import datanets
from oracle.types import Address, DatanetId

ROWS = (
    {
        "prompt": "Who moors first?",
        "completion": "The vessel that was announced first, unless the master says otherwise.",
    },
    {"prompt": "Who pays the pilot?", "completion": "The charterer, if the contract names no other party for it."},
    {
        "prompt": "Whom do I write to?",
        "completion": "Write to anna.lindqvist@gmail.com and mention the number of the berth.",
    },
)


def test_commands__from_founding_a_datanet__then_its_snapshot_is_exported(desk: Desk) -> None:
    assert "no datanet yet" in desk.says("datanet", "list")
    assert "planned" in desk.says("datanet", "create", "--name", "Harbour law", "--licence", "CC-BY-4.0")
    desk.turns()
    assert "no row of datanet 1 waits" in desk.says("review", "list", "1")
    assert "Harbour law (CC-BY-4.0" in desk.says("datanet", "list")
    assert json.loads(desk.says("datanet", "policy", "1"))["near_share"] == 870

    file = desk.folder / "rows.jsonl"
    file.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS) + b'{"prompt": "torn')
    dry = desk.says("contribute", str(file), "--datanet", "1", "--dry-run")
    assert "3 rows taken, 1 of them for a reviewer; 1 left out" in dry
    assert "line 4: The file ends in the middle of this row" in dry
    said = desk.says("contribute", str(file), "--datanet", "1")
    key = said.split("contribution ")[1].split(":")[0]
    assert "announced" in said
    assert key in desk.says("contribute", str(file), "--datanet", "1")  # the same file is the same contribution
    desk.turns()

    assert "row 3: The row holds what looks like personal data" in desk.says("review", "list", "1")
    assert "a row is rejected with a reason" in desk.says("review", "decide", key, "3", "--reject", fails=True)
    assert "rejected" in desk.says("review", "decide", key, "3", "--reject", "--because", "no mail addresses, please")
    assert "decided already" in desk.says("review", "decide", key, "3", "--accept")
    desk.turns(1)
    assert "1 outcome signed" in desk.says("review", "sign", "1")
    desk.turns()
    assert "2 accepted" in desk.says("datanet", "show", "1")

    assert "2 rows, root 0x" in desk.says("datanet", "snapshot", "1", "--name", "first")
    desk.turns()
    assert "version 1" in desk.says("datanet", "show", "1")
    out = desk.folder / "export"
    desk.says("datanet", "export", "1", "--out", str(out))
    content = (out / "rows.jsonl").read_bytes()
    rows = [json.loads(line) for line in content.splitlines()]
    assert [json.loads(row["row"])["prompt"] for row in rows] == [row["prompt"] for row in ROWS[:2]]
    assert {row["contributor"] for row in rows} == {ACCOUNTS[0]}
    described = json.loads((out / "croissant.json").read_text())
    assert described["distribution"][0]["sha256"] == sha256(content).hexdigest()
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert described["datePublished"].startswith("2")
    assert {field["name"] for field in described["recordSet"][0]["field"]} == set(rows[0])

    with patch.object(contributor, "somebody_there", return_value=True):
        assert "nothing brings it back. Erase?" in desk.says("erase", key, fails=True)
        assert "the next one is without" in desk.says("erase", key, "--yes")
    assert "holds erased rows" in desk.says("datanet", "show", "1")
    assert "erased" in desk.says("datanet", "export", "1", "--out", str(out), fails=True)


def test_commands__where_the_rules_ask_a_reviewer_for_a_bond__then_it_decides_once_it_stands(
    desk: Desk,
) -> None:
    rules = desk.folder / "rules.json"
    rules.write_text('{"reviewer_bond": 3}')
    desk.says("datanet", "create", "--name", "Bonded", "--licence", "CC-BY-4.0", "--policy", str(rules))
    desk.turns()
    file = desk.folder / "rows.jsonl"
    file.write_bytes(json.dumps(ROWS[2]).encode() + b"\n")
    key = desk.says("contribute", str(file), "--datanet", "1").split("contribution ")[1].split(":")[0]
    desk.turns()
    assert "`openledger datanet bond 1`" in desk.says("review", "decide", key, "1", "--accept", fails=True)
    assert "planned" in desk.says("datanet", "bond", "1", "3")
    desk.turns()
    assert desk.suite.read("DatanetRegistry", "bondOf", 1, ACCOUNTS[0])[0] == 3 * 10**18
    assert "accepted" in desk.says("review", "decide", key, "1", "--accept")
    assert "`openledger datanet unbond 1` does" in desk.says("datanet", "unbond", "1", "--withdraw", fails=True)
    assert "planned" in desk.says("datanet", "unbond", "1")
    desk.turns()
    assert "is held until 2" in desk.says("datanet", "unbond", "1", "--withdraw", fails=True)
    assert desk.suite.read("DatanetRegistry", "bondOf", 1, ACCOUNTS[0])[1] > 0
    with Ground(read_settings()).database.reading() as connection:
        assert datanets.bond_of(connection, DatanetId(1), Address(ACCOUNTS[0])) == 0


def test_commands__of_a_contributor_without_gas__then_its_signature_is_relayed(desk: Desk) -> None:
    desk.says("datanet", "create", "--name", "Harbour law", "--licence", "CC-BY-4.0")
    desk.turns()
    file = desk.folder / "rows.jsonl"
    file.write_bytes(json.dumps(ROWS[0]).encode() + b"\n")
    said = desk.says("contribute", str(file), "--datanet", "1", "--for", ACCOUNTS[1])
    assert "1 row taken, " in said
    command, message = said[said.index("    openledger sign") :].split("\n", 1)
    _, _, key, _, _, deadline = command.split()
    signable = encode_typed_data(full_message=json.loads(message))
    wrong = Account.sign_message(signable, KEYS[2]).signature.hex()
    assert "its contributor is" in desk.says("sign", key, wrong, "--deadline", deadline, fails=True)
    desk.says("sign", key, Account.sign_message(signable, KEYS[1]).signature.hex(), "--deadline", deadline)
    desk.turns()
    assert f"decided    {ACCOUNTS[1]}" in desk.says("datanet", "show", "1")


def test_commands__of_a_signature_that_comes_too_late__then_another_is_asked_for(desk: Desk) -> None:
    desk.says("datanet", "create", "--name", "Harbour law", "--licence", "CC-BY-4.0")
    desk.turns()
    file = desk.folder / "rows.jsonl"
    file.write_bytes(json.dumps(ROWS[0]).encode() + b"\n")
    said = desk.says("contribute", str(file), "--datanet", "1", "--for", ACCOUNTS[1])
    command, message = said[said.index("    openledger sign") :].split("\n", 1)
    _, _, key, _, _, deadline = command.split()
    signature = Account.sign_message(encode_typed_data(full_message=json.loads(message)), KEYS[1]).signature.hex()
    desk.suite.anvil.ask("evm_setNextBlockTimestamp", int(deadline) + 1)
    desk.says("sign", key, signature, "--deadline", deadline)
    desk.turns()
    assert "sign again" in desk.says("datanet", "show", "1")
    assert "openledger sign" in desk.says("contribute", str(file), "--datanet", "1", "--for", ACCOUNTS[1])


def test_contribute__as_a_dry_run_without_an_oracle__then_tries_the_rules_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS))
    (tmp_path / "policy.json").write_text('{"email": "reject"}')
    said = CliRunner().invoke(main, ["contribute", f"{tmp_path}/rows.jsonl", "--dry-run"]).output
    assert "3 rows taken, 1 of them for a reviewer" in said
    strict = ["contribute", f"{tmp_path}/rows.jsonl", "--dry-run", "--policy", f"{tmp_path}/policy.json"]
    assert "2 rows taken, 0 of them for a reviewer; 1 left out" in CliRunner().invoke(main, strict).output
    missing = CliRunner().invoke(main, ["contribute", f"{tmp_path}/rows.jsonl"])
    assert missing.exit_code == 2 and "to which one?" in missing.output


def test_commands__when_something_is_unknown__then_say_what_to_do(desk: Desk) -> None:
    assert "7" in desk.says("datanet", "show", "7", fails=True)
    (desk.folder / "rows.jsonl").write_bytes(b"{}\n")
    assert "Error" in desk.says("contribute", "rows.jsonl", "--datanet", "7", fails=True)

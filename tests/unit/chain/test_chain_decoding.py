"""Logs to rows: the short way says what the long way says, and every event of the suite survives the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from oracle.chain.contracts import CONTRACTS, AddressBook
from oracle.chain.decoding import Decoder, UnknownEvent, abi_type, checksummed, decoded, kinds
from oracle.store.arguments import from_json, stored_type
from oracle.store.event_table import Kind
from oracle.types import Address, ChainId

DEPLOYMENTS = Path(__file__).resolve().parents[3] / "deployments"
BOOK = AddressBook(
    ChainId(1),
    {name: Address(to_checksum_address(bytes([number + 1]) * 20)) for number, name in enumerate(CONTRACTS)},
)
KINDS = kinds(BOOK, DEPLOYMENTS)
IDS = {(kind.address, kind.topic): number for number, kind in enumerate(KINDS, 1)}


def values_of(entry: dict[str, Any], indexed: bool = False) -> st.SearchStrategy[Any]:
    """Values of an ABI type, as the store gives them back."""
    kind = stored_type(entry) if indexed else entry["type"]
    if kind.endswith("]"):
        return st.lists(values_of({**entry, "type": kind[: kind.rindex("[")], "indexed": False}), max_size=3)
    if kind == "tuple":
        return st.fixed_dictionaries({part["name"]: values_of(part) for part in entry["components"]})
    if kind.startswith("uint"):
        return st.integers(0, 2 ** int(kind[4:]) - 1)
    if kind.startswith("int"):
        return st.integers(-(2 ** (int(kind[3:]) - 1)), 2 ** (int(kind[3:]) - 1) - 1)
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(to_checksum_address)
    if kind == "bool":
        return st.booleans()
    if kind == "bytes":
        return st.binary(max_size=70)
    if kind.startswith("bytes"):
        return st.binary(min_size=int(kind[5:]), max_size=int(kind[5:]))
    return st.text(max_size=40)


def positional(value: Any, entry: dict[str, Any]) -> Any:
    if entry["type"].endswith("]"):
        inner = {**entry, "type": entry["type"][: entry["type"].rindex("[")]}
        return [positional(part, inner) for part in value]
    if entry["type"] == "tuple":
        return tuple(positional(value[part["name"]], part) for part in entry["components"])
    return value


def log_of(kind: Kind, args: dict[str, Any]) -> dict[str, Any]:
    """As a node writes it."""
    indexed = [entry for entry in kind.inputs if entry["indexed"]]
    plain = [entry for entry in kind.inputs if not entry["indexed"]]
    topics = [kind.topic] + [encode([stored_type(entry)], [args[entry["name"]]]) for entry in indexed]
    data = encode([abi_type(e) for e in plain], [positional(args[e["name"]], dict(e)) for e in plain])
    return {
        "address": "0x" + kind.address[2:].lower(),
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + data.hex(),
        "logIndex": "0x5",
        "transactionHash": "0x" + "ab" * 32,
    }


@given(st.data())
def test_row__of_any_event_of_the_suite__then_its_words_come_back_as_they_were(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    args = data.draw(st.fixed_dictionaries({e["name"]: values_of(dict(e), bool(e["indexed"])) for e in kind.inputs}))
    log = log_of(kind, args)
    row = Decoder(KINDS, IDS).row(9, log)
    assert row is not None
    assert from_json(row.args, kind.inputs) == args
    assert row.args == decoded(kind, log["topics"], log["data"])
    assert row.args == json.dumps(json.loads(row.args), sort_keys=True, separators=(",", ":"))
    assert (row.block, row.log_index, row.kind) == (9, 5, IDS[kind.address, kind.topic])
    raw = [bytes.fromhex(topic[2:]) for topic in log["topics"][1:]]
    assert [row.topic1, row.topic2, row.topic3] == raw + [None] * (3 - len(raw))


@given(st.binary(min_size=20, max_size=20))
def test_checksummed__of_any_account__then_as_eth_utils_has_it(account: bytes) -> None:
    assert checksummed(account.hex()) == to_checksum_address(account)


def kind_named(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def test_row__of_a_name_that_is_no_utf8__then_is_kept_and_stops_nobody() -> None:
    kind = kind_named("ModelRegistered")
    log = log_of(kind, {"model": 1, "builder": BOOK["OpenToken"], "isBase": True, "name": "abcd"})
    log["data"] = log["data"].replace(b"abcd".hex(), "ff00fe41")
    row = Decoder(KINDS, IDS).row(1, log)
    assert row is not None and from_json(row.args, kind.inputs)["name"] == "\\xff\x00\\xfeA"
    row.args.encode("utf-8")
    assert "\x00" not in row.args  # PostgreSQL's text has no place for it


def test_row__of_a_strangers_log__then_is_none() -> None:
    log = log_of(kind_named("Approval"), {"owner": BOOK["OpenToken"], "spender": BOOK["OpenToken"], "value": 1})
    assert Decoder(KINDS, IDS).row(1, {**log, "address": "0x" + "99" * 20}) is None


def test_row__of_an_event_that_the_abi_does_not_know__then_stops_and_says_what_to_do() -> None:
    log = log_of(kind_named("Approval"), {"owner": BOOK["OpenToken"], "spender": BOOK["OpenToken"], "value": 1})
    with pytest.raises(UnknownEvent, match=r"OpenToken .* block 7: .*make abis.*Nothing was skipped"):
        Decoder(KINDS, IDS).row(7, {**log, "topics": ["0x" + "11" * 32]})

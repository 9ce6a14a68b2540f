"""Canonical bytes, row hashes and trees: the same for everybody, for ever."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.datanets.calls import Terms, checksummed, extend, relayed
from oracle.datanets.canonical import canonical, clean, row_hash
from oracle.datanets.kinds import KIND_BY_WORD
from oracle.datanets.merkle import NotInTree, RowTree, proves, row_leaf, rows_root
from oracle.datanets.shapes import BadRow, Normaliser
from oracle.types import Address, DatanetId, Hash32, RowHash

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
ROWS = json.loads((VECTORS / "rows.json").read_text(encoding="utf-8"))
HASHES = json.loads((VECTORS / "hashes.json").read_text())
OWNER = Address(HASHES["signer"])


def row(content: dict[str, Any], kind: str) -> bytes:
    return canonical(Normaliser(KIND_BY_WORD[kind])(content))


@pytest.mark.parametrize("vector", ROWS["rows"], ids=lambda vector: vector["what"])
def test_row__of_a_golden_vector__then_its_bytes_and_hash_are_those(vector: dict[str, Any]) -> None:
    made = row(vector["given"], vector["kind"])
    assert made.decode() == vector["canonical"]
    assert "0x" + row_hash(made).hex() == vector["hash"]


def test_root__of_the_golden_rows__then_it_is_the_golden_root() -> None:
    hashes = [RowHash(bytes.fromhex(vector["hash"][2:])) for vector in ROWS["rows"]]
    assert "0x" + rows_root(Address(ROWS["contributor"]), hashes).hex() == ROWS["root"]


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@given(TEXT)
def test_clean__of_any_text__then_once_is_enough(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(TEXT.filter(str.strip), TEXT.filter(str.strip))
def test_row__however_it_is_written__then_has_the_same_bytes(prompt: str, completion: str) -> None:
    made = row({"prompt": prompt, "completion": completion}, "training-row")
    windows = {
        "completion": completion.replace("\n", "\r\n") if "\r" not in completion else completion,
        "prompt": prompt,
    }
    assert row(windows, "training-row") == made
    decomposed = {"prompt": unicodedata.normalize("NFD", prompt), "completion": completion, "more": 1}
    assert row(decomposed, "training-row") == made
    assert row(json.loads(made), "training-row") == made
    assert b"\n" not in made


@pytest.mark.parametrize(
    "content, kind, code",
    [
        ({"foo": "bar"}, "training-row", "unknown_shape"),
        ({"prompt": "a", "completion": 1}, "training-row", "wrong_type"),
        ({"prompt": "a", "completion": " \n"}, "training-row", "empty"),
        ({"messages": "hello"}, "training-row", "wrong_type"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "training-row", "empty"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "training-row", "wrong_type"),
        ({"prompt": "a", "completion": "b"}, "document", "unknown_shape"),
        ({"receipt": "0x12", "correction": "b"}, "correction", "bad_reference"),
        ({"contribution": "0x" + "1" * 64, "verdict": "maybe"}, "review", "wrong_type"),
        ({"contribution": "0x" + "1" * 64, "verdict": "reject"}, "review", "empty"),
        ({"question": "a", "answer": "b", "choices": "c"}, "evaluation-item", "wrong_type"),
    ],
)
def test_row__of_no_shape__then_says_what_is_wrong(content: dict[str, Any], kind: str, code: str) -> None:
    with pytest.raises(BadRow) as caught:
        row(content, kind)
    assert caught.value.code == code


def test_leaf__of_a_row__then_it_is_the_contracts() -> None:
    assert "0x" + row_leaf(OWNER, row_hash(b"row")).hex() == HASHES["rowLeaf"]


def test_name__of_a_contribution__then_it_is_the_contracts() -> None:
    vector = json.loads((VECTORS / "messages.json").read_text())["SignedContribution"]["content"]["contribution"]
    terms = Terms(
        vector["contributor"],
        DatanetId(int(vector["datanet"])),
        int(vector["kind"]),
        Hash32(bytes.fromhex(vector["rowsRoot"][2:])),
        int(vector["count"]),
        Hash32(bytes.fromhex(vector["manifestHash"][2:])),
    )
    assert "0x" + terms.name.hex() == HASHES["contributionName"]
    head = int(terms.contributor, 16) << 96 | terms.kind << 88 | terms.count << 40 | 77
    assert relayed(terms.datanet, (head, terms.rows_root, terms.manifest_hash)) == terms
    assert checksummed(bytes.fromhex(terms.contributor[2:].lower())) == terms.contributor


def test_extend__of_three_names__then_it_is_the_contracts_accumulator() -> None:
    from eth_utils.crypto import keccak

    reached = Hash32(bytes(32))
    for name in ("first", "second", "third"):
        reached = extend(reached, keccak(text=name))  # type: ignore[arg-type]
    assert int.from_bytes(reached[26:], "big") == 3


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70, unique=True), st.randoms())
def test_tree__of_any_rows__then_proves_each_whatever_their_order(rows: list[bytes], dice: Any) -> None:
    hashes = [RowHash(each) for each in rows]
    tree = RowTree(OWNER, hashes)
    for each in hashes:
        assert proves(tree.root, row_leaf(OWNER, each), tree.proof(each))
    dice.shuffle(hashes)
    assert rows_root(OWNER, hashes) == tree.root
    with pytest.raises(NotInTree):
        tree.proof(RowHash(bytes(31) + b"!"))


def test_root__of_no_row__then_is_zero() -> None:
    assert rows_root(OWNER, []) == bytes(32)

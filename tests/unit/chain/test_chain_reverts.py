"""Refusals in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from oracle.chain.pool import Answer, meaning
from oracle.chain.reverts import Reverts, is_revert, revert_data
from oracle.chain.transport import NodeError

REVERTS = Reverts.of_suite(Path(__file__).resolve().parents[3] / "deployments")


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


@pytest.mark.parametrize(
    "data, words",
    [
        (selector("WrongEpoch(uint256,uint256)") + encode(["uint256"] * 2, [3, 4]), "WrongEpoch(given=3, expected=4)"),
        (selector("EmptyRoot()"), "EmptyRoot()"),
        (selector("Error(string)") + encode(["string"], ["no\n\x1b[31mway"]), "no??[31mway"),
        (selector("Error(string)") + encode(["bytes"], [b"\xff"]), "\\xff"),
        (selector("Panic(uint256)") + encode(["uint256"], [0x11]), "panic: a number overflowed"),
        (b"\xde\xad\xbe\xef", "an error that the suite does not know, 0xdeadbeef"),
        (selector("WrongEpoch(uint256,uint256)"), f"reverted with 0x{selector('WrongEpoch(uint256,uint256)').hex()}"),
    ],
)
def test_words__of_what_a_contract_answers__then_a_person_understands(data: bytes, words: str) -> None:
    assert REVERTS.words(NodeError(3, "execution reverted", "0x" + data.hex())) == words


def test_words__without_data__then_what_the_node_said() -> None:
    assert REVERTS.words(NodeError(-32000, "out of gas")) == "out of gas"
    assert len(REVERTS.words(NodeError(3, "x" * 10_000))) == 300


@pytest.mark.parametrize("data", ["0x1234", "Reverted 0x1234", {"data": "0x1234"}, {"result": "0x1234"}])
def test_revert_data__wherever_a_node_puts_it__then_is_found(data: object) -> None:
    assert revert_data(NodeError(3, "", data)) == b"\x12\x34"


def test_is_revert__of_a_node_that_fails_itself__then_is_false() -> None:
    assert not is_revert(NodeError(-32000, "header not found"))
    assert is_revert(NodeError(-32000, "execution reverted: no"))
    assert is_revert(NodeError(-32015, "VM execution error: Reverted 0x"))


@pytest.mark.parametrize(
    "said, answer",
    [
        ("already known", Answer.TAKEN),
        ("transaction already imported", Answer.TAKEN),
        ("AlreadyKnown", Answer.TAKEN),
        ("nonce too low: next nonce 5, tx nonce 3", Answer.SPENT),
        ("OldNonce", Answer.SPENT),
        ("replacement transaction underpriced", Answer.TOO_CHEAP),
        ("transaction underpriced: tip needed 1, tip permitted 0", Answer.TOO_CHEAP),
        ("max fee per gas less than block base fee", Answer.TOO_CHEAP),
        ("FeeTooLow", Answer.TOO_CHEAP),
        ("insufficient funds for gas * price + value", Answer.NO_FUNDS),
        ("txpool is full", Answer.UNKNOWN),
    ],
)
def test_meaning__of_what_clients_say__then_what_to_do_follows(said: str, answer: Answer) -> None:
    assert meaning(NodeError(-32000, said))[0] is answer

"""Receipts looked through by whoever trusts nobody; the purse that signs nothing above its cap; the card."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.agents.card import Card, Registration
from oracle.agents.purse import OtherEscrow, OverTheCap, VoucherPurse
from oracle.agents.tools import wei_of
from oracle.agents.verifying import Heard, verified
from oracle.client.wallet import VOUCHER_HEADER, Wallet
from oracle.errors import NeedsPerson
from oracle.settlement.hashing import keccak
from oracle.settlement.receipts import receipt_hash, receipt_preimage
from oracle.store.paid import Receipt
from oracle.types import Address, ChainId, Hash32, Timestamp, Wei

OPERATOR, CONSUMER = Wallet(bytes(31) + b"\x01"), Wallet(bytes(31) + b"\x02")
ESCROW = Address("0x052de04022b2550a01001a9Cc2407587024B0527")
CHAIN = ChainId(31337)
SALT = bytes(32)
HEARD = Heard([{"content": "Who?", "role": "user"}], ["Nobody."], SALT)
RECEIPT = Receipt(
    id=Hash32(b"\x01" * 32), consumer=CONSUMER.address, key=CONSUMER.address, model=2, version=1,
    weights=Hash32(b"\x02" * 32), prompt=keccak(SALT + b'[{"content":"Who?","role":"user"}]'),
    output=keccak(SALT + b'["Nobody."]'), prompt_tokens=10, output_tokens=3, input_price=Wei(1000),
    output_price=Wei(1001), fee=Wei(14), lane_total=Wei(40), terms=Hash32(bytes(32)), conditions=Hash32(bytes(32)),
    code=Hash32(b"\x03" * 32), served_at=Timestamp(1_800_000_000),
)  # fmt: skip


def told(receipt: Receipt = RECEIPT, signer: Wallet = OPERATOR) -> dict[str, Any]:
    name = receipt_hash(receipt)
    signature = signer.sign(keccak(receipt_preimage(name, CHAIN, ESCROW)))
    return {
        **json.loads(receipt.as_json()), "hash": "0x" + name.hex(), "signature": "0x" + signature.hex(),
        "operator": OPERATOR.address, "chain": CHAIN, "escrow": ESCROW,
    }  # fmt: skip


def failing(content: dict[str, Any], heard: Heard | None = None, operator: str | None = None) -> list[str]:
    return [check.what for check in verified(content, operator, heard) if not check.holds]


def test_receipt__as_it_was_signed__then_every_check_holds() -> None:
    assert failing(told(), HEARD, OPERATOR.address) == []


@pytest.mark.parametrize("field", ["prompt_tokens", "output_tokens", "model", "served_at"])
def test_receipt__with_a_changed_number__then_its_hash_is_another(field: str) -> None:
    content = told()
    assert "hash" in failing({**content, field: content[field] + 1})


def test_receipt__signed_by_somebody_else__then_it_is_told() -> None:
    assert failing(told(signer=CONSUMER)) == ["signature"]
    assert failing(told(), operator=CONSUMER.address) == ["signature"]


def test_receipt__that_charges_too_much__then_it_is_told_though_it_is_signed() -> None:
    assert failing(told(replace(RECEIPT, fee=Wei(15)))) == ["price"]


def test_receipt__about_another_question_or_answer__then_it_is_told() -> None:
    assert failing(told(), replace(HEARD, outputs=["Somebody."])) == ["answer"]
    assert failing(told(), replace(HEARD, prompt=[])) == ["question"]


def test_receipt__that_is_none__then_it_is_told() -> None:
    assert failing({"id": "0x00"}) == ["form"]


class Lanes:
    """An API that says whatever it likes of a lane."""

    def __init__(self, total: int, escrow: str = ESCROW) -> None:
        self.total, self.escrow = total, escrow

    async def get(self, path: str) -> dict[str, Any]:
        return {"chain": CHAIN, "escrow": self.escrow, "total": str(self.total)}


@given(totals=st.lists(st.integers(0, 200), max_size=8), mosts=st.integers(0, 150))
def test_purse__whatever_the_api_says_was_spent__then_no_voucher_is_above_the_cap(
    totals: list[int], mosts: int
) -> None:
    for total in totals:
        purse = VoucherPurse(CONSUMER, Lanes(total), Wei(100), CHAIN, ESCROW)  # type: ignore[arg-type]
        try:
            header = asyncio.run(purse.headers(Wei(mosts)))[VOUCHER_HEADER]
        except OverTheCap:
            assert total + mosts > 100
        else:
            signed = [int(voucher["cumulative"]) for voucher in json.loads(base64.b64decode(header))]
            # One ends where the lane does: without it, what was delivered could never be settled.
            assert set(signed) == {total, total + mosts} and max(signed) <= 100


def test_purse__when_the_api_names_another_escrow__then_nothing_is_signed() -> None:
    purse = VoucherPurse(CONSUMER, Lanes(0, OPERATOR.address), Wei(100), CHAIN, ESCROW)  # type: ignore[arg-type]
    with pytest.raises(OtherEscrow, match=ESCROW):
        asyncio.run(purse.headers(Wei(1)))


def test_amounts__in_open__then_they_are_exact() -> None:
    assert [wei_of(text) for text in ("1", "0.25", ".000000000000000001")] == [10**18, 25 * 10**16, 1]
    for text in ("", "-1", "1e3", "0.0000000000000000001", "½"):
        with pytest.raises(NeedsPerson):
            wei_of(text)


def test_card__of_a_service__then_it_has_what_erc_8004_asks_for() -> None:
    card = Card(
        "OpenLedger", "Models.", "https://api.example/", OPERATOR.address, CHAIN, True,
        registrations=(Registration("eip155:1:0x8004A169FB4a3325136EB29fA0ceB6D2e539a432", 7),),
    ).as_told()  # fmt: skip
    assert card["type"] == "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"
    assert {
        "name",
        "description",
        "services",
        "x402Support",
        "active",
        "registrations",
        "supportedTrust",
    } <= card.keys()
    assert {"name": "OpenAI", "endpoint": "https://api.example/v1", "version": "v1"} in card["services"]
    assert card["registrations"] == [
        {"agentId": 7, "agentRegistry": "eip155:1:0x8004A169FB4a3325136EB29fA0ceB6D2e539a432"}
    ]

"""What the API is made without, and what its client agrees on with settlement and with Solidity."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from oracle.api.limits import Limits
from oracle.api.refusals import Refusal
from oracle.chain.typed_data import digest
from oracle.client.receipts import BadReceipt, _message, _struct, check
from oracle.store.receipts import Receipt
from oracle.types import Address, ChainId, Hash32, Timestamp, Wei

VECTOR = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "receipts.json").read_text())


def test_api__when_imported__then_no_torch_comes_with_it() -> None:
    program = "import sys, oracle.api.app; print([m for m in ('torch', 'transformers', 'x402') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_client__when_imported__then_no_daemon_comes_with_it() -> None:
    program = (
        "import sys, oracle.client.wallet, oracle.client.receipts, oracle.client.account, oracle.client.paying;"
        "print([m for m in ('torch', 'sqlalchemy', 'celery', 'fastapi', 'sha3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def text(value: str) -> Hash32:
    return Hash32(keccak(text=value))


def made() -> Receipt:
    return Receipt(
        id=text("id"), consumer=Address(VECTOR["consumer"]), key=Address(VECTOR["key"]), model=2, version=1,
        weights=text("weights"), prompt=text("prompt"), output=text("output"), prompt_tokens=1_000, output_tokens=500,
        input_price=Wei(10), output_price=Wei(30), fee=Wei(25), lane_total=Wei(1_025), terms=text("terms"),
        conditions=text("conditions"), code=text("code"), served_at=Timestamp(1_800_000_000),
    )  # fmt: skip


def test_receipt__by_typed_data_as_wallets_do__then_its_hash_is_that_of_settlement() -> None:
    from oracle.settlement.receipts import receipt_hash, receipt_preimage

    one, escrow = made(), Address(VECTOR["escrow"])
    message = _message(json.loads(one.as_json()))
    assert _struct(message, ChainId(1), escrow) == receipt_hash(one)
    signed = digest("OpenLedger Receipts", "Receipt", message, ChainId(1), escrow)
    assert signed == keccak(receipt_preimage(receipt_hash(one), ChainId(1), escrow))


def test_check__when_anything_of_a_receipt_is_changed__then_it_is_noticed() -> None:
    from oracle.client.wallet import Wallet
    from oracle.settlement.receipts import receipt_hash, receipt_preimage

    operator, escrow, one = Wallet(b"\x05" * 32), Address(VECTOR["escrow"]), made()
    name = receipt_hash(one)
    signature = operator.sign(keccak(receipt_preimage(name, ChainId(1), escrow)))
    shown = {**json.loads(one.as_json()), "hash": "0x" + name.hex(), "signature": "0x" + signature.hex()}
    assert check(shown, ChainId(1), escrow, operator.address).hash == name
    for field in json.loads(one.as_json()):
        value = shown[field]
        other = value + 1 if isinstance(value, int) else value[:-1] + ("1" if value[-1] != "1" else "2")
        with pytest.raises(BadReceipt):
            check({**shown, field: other}, ChainId(1), escrow, operator.address)
    with pytest.raises(BadReceipt):
        check(shown, ChainId(2), escrow, operator.address)


def test_limits__when_more_come_than_a_minute_allows__then_they_are_told_when_to_come_again() -> None:
    now = [0.0]
    limits = Limits(2, "wallet", lambda: now[0])
    limits.count("a")
    limits.count("a")
    limits.count("b")
    with pytest.raises(Refusal) as refused:
        limits.count("a")
    assert refused.value.status == 429 and refused.value.retry_after == 30
    now[0] = 30.0
    limits.count("a")

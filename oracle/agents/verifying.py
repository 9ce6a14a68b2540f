"""A receipt looked through without trusting who sent it: its hash, its signature, its sum, the texts it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from oracle.settlement.hashing import keccak
from oracle.settlement.receipts import receipt_hash, receipt_preimage, recovered
from oracle.store.paid import RECEIPT_FIELDS, Receipt
from oracle.types import Address, ChainId


@dataclass(frozen=True)
class Heard:
    """What was said, as the hashes of a receipt cover it."""

    prompt: Any
    outputs: Sequence[str]
    salt: bytes


@dataclass(frozen=True)
class Check:
    what: str
    holds: bool
    found: str


def verified(told: Mapping[str, Any], operator: str | None = None, heard: Heard | None = None) -> list[Check]:
    """`told` is what /v1/receipts/ID answers; the operator's account is compared where the caller knows it."""
    try:
        receipt = Receipt.from_json({name: told[name] for name in RECEIPT_FIELDS})
        claimed, signature = str(told["hash"]), bytes.fromhex(str(told["signature"])[2:])
        chain, escrow = ChainId(int(told["chain"])), Address(told["escrow"])
    except (KeyError, ValueError, TypeError) as error:
        return [Check("form", False, f"not a receipt: {type(error).__name__} {error}")]
    hash_ = receipt_hash(receipt)
    signer = recovered(keccak(receipt_preimage(hash_, chain, escrow)), signature)
    due = -(-(receipt.prompt_tokens * receipt.input_price + receipt.output_tokens * receipt.output_price) // 1000)
    expected = operator or told.get("operator")
    checks = [
        Check("hash", claimed == "0x" + hash_.hex(), f"its fields hash to 0x{hash_.hex()}"),
        Check("signature", signer is not None and signer == expected, f"signed by {signer}, expected {expected}"),
        Check("price", receipt.fee == due, f"charged {receipt.fee}, tokens times prices come to {due}"),
        Check("lane", receipt.lane_total >= receipt.fee, f"the lane's total after it is {receipt.lane_total}"),
    ]
    if heard is not None:
        prompt = keccak(heard.salt + _canonical(heard.prompt))
        output = keccak(heard.salt + _canonical(list(heard.outputs)))
        checks += [
            Check("question", prompt == receipt.prompt, "the receipt is about the question that was asked"),
            Check("answer", output == receipt.output, "the receipt is about the answer that came"),
        ]
    return checks


def _canonical(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

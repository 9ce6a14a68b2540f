"""Whether a receipt is what it says: its hash, its operator's signature, and the texts behind its hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coincurve import PublicKey
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from oracle.chain.typed_data import digest, typed_data
from oracle.errors import NeedsPerson
from oracle.types import Address, ChainId

CONTRACT = "OpenLedger Receipts"
_NAMES = {
    "weights": "weightsHash", "prompt": "promptHash", "output": "outputHash", "prompt_tokens": "promptTokens",
    "output_tokens": "outputTokens", "input_price": "inputPrice", "output_price": "outputPrice",
    "lane_total": "laneTotal", "terms": "termsHash", "conditions": "conditionsHash", "code": "codeHash",
    "served_at": "servedAt",
}  # fmt: skip
_HASHES = ("id", "weights", "prompt", "output", "terms", "conditions", "code")
_PLAIN = ("id", "consumer", "key", "model", "version", "fee")


class BadReceipt(NeedsPerson):
    """It is not what it says; the message tells in what."""


@dataclass(frozen=True)
class Checked:
    """A receipt that is sound, and by whom it is signed."""

    hash: bytes
    operator: Address


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, whether it holds, and what was found."""

    what: str
    holds: bool
    found: str


@dataclass(frozen=True)
class Heard:
    """What was said, as the hashes of a receipt cover it: the messages or the prompt, and each choice's text."""

    prompt: Any
    outputs: Sequence[str] | None
    salt: bytes


def check(
    receipt: Mapping[str, Any], chain: ChainId, escrow: Address, operator: Address, *, said: Any = None,
    texts: Sequence[str] | None = None,
) -> Checked:  # fmt: skip
    """`said` is what was asked (the messages or the prompt, as sent), `texts` what was answered, choice by choice."""
    heard = Heard(said, texts, bytes.fromhex(str(receipt.get("salt", "0x"))[2:]))
    for each in checks(receipt, chain, escrow, operator, heard):
        if not each.holds:
            raise BadReceipt(f"{each.what}: {each.found}")
    return Checked(bytes.fromhex(receipt["hash"][2:]), operator)


def checks(
    receipt: Mapping[str, Any], chain: ChainId, escrow: Address, operator: Address, heard: Heard | None = None
) -> list[Check]:
    """Everything that can be looked at without trusting whoever sent it."""
    try:
        message, claimed = _message(receipt), str(receipt["hash"])
        signature = bytes.fromhex(str(receipt["signature"])[2:])
        name = _struct(message, chain, escrow)
        signer = _signer(digest(CONTRACT, "Receipt", message, chain, escrow), signature)
    except (
        Exception
    ) as error:  # it comes from a stranger: the encoder has an exception for everything that can be wrong
        return [Check("form", False, f"not a receipt: {type(error).__name__} {error}")]
    due = -(
        -(message["promptTokens"] * message["inputPrice"] + message["outputTokens"] * message["outputPrice"]) // 1000
    )
    fee, total = message["fee"], message["laneTotal"]
    found = [
        Check("hash", claimed == "0x" + name.hex(), f"its fields hash to 0x{name.hex()}, it says {claimed}"),
        Check("signature", signer == operator, f"it is signed by {signer or 'nobody'}, expected {operator}"),
        Check("price", fee == due, f"the fee is {fee} wei; tokens and prices make {due}"),
        Check("lane", total >= fee, f"the lane's total after it is {total}"),
    ]
    parts = () if heard is None else (("question", "prompt", heard.prompt), ("answer", "output", heard.outputs))
    for what, field, content in parts:
        if heard is not None and content is not None:
            hashed = "0x" + keccak(heard.salt + _canonical(content)).hex()
            found.append(Check(what, hashed == receipt[field], f"what was said hashes to {hashed}"))
    return found


def _message(receipt: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (*_PLAIN, *_NAMES):
        value = receipt[name]
        if name in _HASHES:
            value = bytes.fromhex(value[2:])
        elif name not in ("consumer", "key"):
            value = int(value)
        found[_NAMES.get(name, name)] = value
    return found


def _struct(message: Mapping[str, Any], chain: ChainId, escrow: Address) -> bytes:
    return bytes(encode_typed_data(full_message=typed_data(CONTRACT, "Receipt", message, chain, escrow)).body)


def _signer(digest: bytes, signature: bytes) -> Address | None:
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception:  # libsecp256k1's binding raises bare Exception where there is no such point on the curve
        return None
    return Address(to_checksum_address(keccak(key.format(compressed=False)[1:])[-20:]))


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

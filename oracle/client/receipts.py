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


def check(
    receipt: Mapping[str, Any], chain: ChainId, escrow: Address, operator: Address, *, said: Any = None,
    texts: Sequence[str] | None = None,
) -> Checked:  # fmt: skip
    """`said` is what was asked (the messages or the prompt, as sent), `texts` what was answered, choice by choice."""
    message = _message(receipt)
    name = _struct(message, chain, escrow)
    if "0x" + name.hex() != receipt["hash"]:
        raise BadReceipt(f"the receipt's hash is 0x{name.hex()}, it says {receipt['hash']}")
    signer = _signer(digest(CONTRACT, "Receipt", message, chain, escrow), bytes.fromhex(receipt["signature"][2:]))
    if signer != operator:
        raise BadReceipt(f"the receipt is signed by {signer}, not by {operator}")
    salt = bytes.fromhex(receipt["salt"][2:]) if "salt" in receipt else b""
    for what, content in (("prompt", said), ("output", None if texts is None else list(texts))):
        if content is not None and "0x" + keccak(salt + _canonical(content)).hex() != receipt[what]:
            raise BadReceipt(f"the receipt is for another {what}")
    due = message["promptTokens"] * message["inputPrice"] + message["outputTokens"] * message["outputPrice"]
    if message["fee"] != -(-due // 1000):
        raise BadReceipt(f"the fee is {message['fee']} wei; tokens and prices make {-(-due // 1000)}")
    return Checked(name, signer)


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


def _signer(digest: bytes, signature: bytes) -> Address:
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception:
        raise BadReceipt("the receipt's signature is none") from None
    return Address(to_checksum_address(keccak(key.format(compressed=False)[1:])[-20:]))


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

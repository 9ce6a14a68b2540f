"""Accounts that are contracts: they have no key, and say themselves whose signature holds for them (ERC-1271)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from oracle.chain.reverts import is_revert
from oracle.chain.transport import NodeError
from oracle.types import Address

Ask = Callable[..., Any]  # a method of a node and its parameters
_ASKED = keccak(text="isValidSignature(bytes32,bytes)")[:4]
_YES = _ASKED.ljust(32, b"\0")
_GAS = hex(200_000)  # as the suite's contracts grant it
LONGEST = 4096  # bytes of a signature: several owners' side by side


def vouches(ask: Ask, account: Address, digest: bytes, signature: bytes) -> bool:
    """Whether there is code at the account, and it says yes. Where it refuses to answer, that is no."""
    if len(signature) > LONGEST or ask("eth_getCode", account, "latest") in ("0x", None):
        return False
    data = "0x" + (_ASKED + encode(["bytes32", "bytes"], [digest, signature])).hex()
    try:
        answer = ask("eth_call", {"to": account, "data": data, "gas": _GAS}, "latest")
    except NodeError as error:
        if is_revert(error):
            return False
        raise
    return bytes.fromhex(answer[2:])[:32] == _YES

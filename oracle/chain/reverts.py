"""Why a call is refused, in words: the suite's custom errors by their ABI, Solidity's own by their meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from oracle.chain.contracts import CONTRACTS, read_abi
from oracle.chain.decoding import abi_type
from oracle.chain.transport import NodeError

_ERROR, _PANIC = bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")
_PANICS = {
    0x01: "an assertion failed",
    0x11: "a number overflowed",
    0x12: "a division by zero",
    0x21: "a value that its enum does not have",
    0x31: "an empty array was popped",
    0x32: "an index beyond the end of an array",
    0x41: "too much memory was asked for",
}
_LONGEST = 300  # of a reason: whoever wrote the contract chose it


class Reverts:
    def __init__(self, errors: Mapping[bytes, tuple[str, Mapping[str, Any]]]) -> None:
        self._errors = errors

    @classmethod
    def of_suite(cls, deployments: Path) -> Reverts:
        found: dict[bytes, tuple[str, Mapping[str, Any]]] = {}
        for contract in CONTRACTS:
            for entry in read_abi(deployments, contract):
                if entry["type"] == "error":
                    types = ",".join(abi_type(part) for part in entry["inputs"])
                    found.setdefault(keccak(text=f"{entry['name']}({types})")[:4], (contract, entry))
        return cls(found)

    def words(self, error: NodeError) -> str:
        """`WrongEpoch(given=3, expected=4)` rather than 0x…"""
        data = revert_data(error)
        if not data:
            return _clean(error.message) or "reverted without a reason"
        try:
            return self._decoded(data)
        except (DecodingError, ValueError, OverflowError):
            return f"reverted with 0x{data[:100].hex()}"

    def _decoded(self, data: bytes) -> str:
        selector, rest = data[:4], data[4:]
        if selector == _ERROR:
            return _clean(decode(["bytes"], rest)[0].decode("utf-8", errors="backslashreplace"))
        if selector == _PANIC:
            code = decode(["uint256"], rest)[0]
            return f"panic: {_PANICS.get(code, hex(code))}"
        if selector not in self._errors:
            return f"an error that the suite does not know, 0x{data[:100].hex()}"
        _, entry = self._errors[selector]
        values = decode([abi_type(part).replace("string", "bytes") for part in entry["inputs"]], rest)
        said = ", ".join(f"{part['name']}={_shown(value)}" for part, value in zip(entry["inputs"], values))
        return f"{entry['name']}({said})"


def is_revert(error: NodeError) -> bool:
    """Whether the call itself fails, in contrast to the node."""
    said = error.message.lower()
    return (
        error.code == 3
        or "revert" in said
        or any(
            words in said
            for words in ("evm error", "invalid opcode", "out of gas", "stack underflow", "gas required exceeds")
        )
    )


def revert_data(error: NodeError) -> bytes:
    """Nodes put it into different places, some behind the word Reverted."""
    data = error.data
    if isinstance(data, Mapping):
        data = data.get("data") or data.get("result") or ""
    found = re.search(r"0x([0-9a-fA-F]*)$", data) if isinstance(data, str) else None
    return bytes.fromhex(found[1]) if found and len(found[1]) % 2 == 0 else b""


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value)


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_LONGEST]

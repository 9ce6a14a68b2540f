"""Transactions of EIP-1559 as bytes: what is signed, and what is sent."""

from __future__ import annotations

from dataclasses import dataclass

import rlp  # type: ignore[import-untyped]
from eth_utils.crypto import keccak

from oracle.store.broadcasts import Fees
from oracle.types import Address, ChainId, TxHash, Wei

_TYPE = b"\x02"


@dataclass(frozen=True)
class Signature:
    parity: int
    r: int
    s: int

    def as_bytes(self) -> bytes:
        """65 bytes, as contracts and wallets take them."""
        return self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big") + bytes([27 + self.parity])


@dataclass(frozen=True)
class Transaction:
    chain: ChainId
    nonce: int
    to: Address
    value: Wei
    data: bytes
    gas: int
    fees: Fees

    def _fields(self) -> list[object]:
        return [
            self.chain,
            self.nonce,
            self.fees.tip,
            self.fees.max_fee,
            self.gas,
            bytes.fromhex(self.to[2:]),
            self.value,
            self.data,
            [],
        ]

    def unsigned(self) -> bytes:
        """The hash of these bytes is what gets signed."""
        return _TYPE + bytes(rlp.encode(self._fields()))

    def signed(self, signature: Signature) -> bytes:
        return _TYPE + bytes(rlp.encode([*self._fields(), signature.parity, signature.r, signature.s]))


def transaction_hash(raw: bytes) -> TxHash:
    return TxHash(keccak(raw))

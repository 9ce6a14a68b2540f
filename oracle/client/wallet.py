"""What a consumer signs: vouchers of a lane, spending caps, sign-ins."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coincurve import PrivateKey
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from oracle.chain.typed_data import digest
from oracle.types import Address, ChainId, Wei

VOUCHER_HEADER = "OpenLedger-Voucher"
_CONTRACT = "OpenLedger InferenceEscrow"
_LATEST = 2**40 - 1


class Wallet:
    """A key in memory. It is neither shown nor pickled."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        point = self._key.public_key.format(compressed=False)
        self.address = Address(to_checksum_address(keccak(point[1:])[-20:]))

    @classmethod
    def new(cls) -> Wallet:
        return cls(secrets.token_bytes(32))

    def sign(self, digest: bytes) -> bytes:
        made = self._key.sign_recoverable(digest, hasher=None)
        return made[:64] + bytes([27 + made[64]])

    def sign_text(self, text: str) -> bytes:
        """As wallets sign a sign-in (personal_sign)."""
        return self._signed(encode_defunct(text=text))

    def sign_typed(self, data: Mapping[str, Any]) -> bytes:
        """As wallets sign typed data (eth_signTypedData_v4)."""
        return self._signed(encode_typed_data(full_message=dict(data)))

    def lane(self, chain: ChainId, escrow: Address, consumer: Address | None = None) -> Lane:
        """Its own, or as the session key of another consumer."""
        return Lane(self, chain, escrow, consumer or self.address)

    def _signed(self, signable: Any) -> bytes:
        return self.sign(keccak(b"\x19" + signable.version + signable.header + signable.body))

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> Any:
        raise TypeError("a key is not pickled")


@dataclass(frozen=True)
class Lane:
    """Signs "up to this much of mine, in total"."""

    wallet: Wallet
    chain: ChainId
    escrow: Address
    consumer: Address

    def voucher(self, cumulative: int, deadline: int = _LATEST) -> dict[str, str]:
        content = {
            "consumer": self.consumer,
            "key": self.wallet.address,
            "cumulative": Wei(cumulative),
            "deadline": deadline,
        }
        signature = self.wallet.sign(digest(_CONTRACT, "Voucher", content, self.chain, self.escrow))
        return {**{name: str(value) for name, value in content.items()}, "signature": "0x" + signature.hex()}

    def header(self, *cumulatives: int, deadline: int = _LATEST) -> dict[str, str]:
        """For any HTTP client: as `default_headers` of a stock one, say."""
        listed = [self.voucher(cumulative, deadline) for cumulative in cumulatives]
        return {VOUCHER_HEADER: base64.b64encode(json.dumps(listed).encode()).decode()}

"""Secrets of the API: keyed hashes of API keys, sealed session keys, salts. All follow from the master key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from coincurve import PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eth_utils.address import to_checksum_address

from oracle.settlement.hashing import keccak
from oracle.store.vault import Vault, read_master_key
from oracle.types import Address, Hash32

PREFIX = "ol_"
_HELD = 10_000  # keys
_HELD_S = 60.0  # as long may another process still read what was forgotten here


class Keyring:
    """What only this operator can compute."""

    def __init__(self, master_key: Path) -> None:
        master = read_master_key(master_key)
        self._hashing = _derived(master, b"api keys")
        self._salting = _derived(master, b"receipt salts")
        self._sealing = AESGCM(_derived(master, b"session keys"))

    def new_api_key(self) -> str:
        return PREFIX + secrets.token_urlsafe(32)

    def hash(self, api_key: str) -> Hash32:
        return Hash32(hmac.digest(self._hashing, api_key.encode(), hashlib.sha256))

    def salt(self, identity: Hash32) -> bytes:
        """Of one receipt: without it, a short prompt could be guessed from its hash."""
        return hmac.digest(self._salting, identity, hashlib.sha256)

    def seal(self, about: bytes, content: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._sealing.encrypt(nonce, content, about)

    def unseal(self, about: bytes, sealed: bytes) -> bytes:
        return self._sealing.decrypt(sealed[:12], sealed[12:], about)


class SessionKey:
    """The key of one session: signs vouchers and is never shown."""

    def __init__(self, secret: bytes) -> None:
        self._key = PrivateKey(secret)
        point = self._key.public_key.format(compressed=False)
        self.address = Address(to_checksum_address(keccak(point[1:])[-20:]))

    def sign(self, preimage: bytes) -> bytes:
        made = self._key.sign_recoverable(keccak(preimage), hasher=None)
        return made[:64] + bytes([27 + made[64]])

    def __repr__(self) -> str:
        return f"SessionKey({self.address})"


class Answers(Vault):
    """The vault, with its keys in memory for a while: a folder would be asked several times for each answer."""

    def __init__(self, keys: str, master_key: Path, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(keys, master_key)
        self._clock = clock
        self._held: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def _key(self, owner: bytes, create: bool) -> bytes:
        held = self._held.get(owner)
        if held is None or held[0] < self._clock():
            held = self._held[owner] = (self._clock() + _HELD_S, super()._key(owner, create))
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        return held[1]

    def destroy(self, owner: bytes) -> None:
        super().destroy(owner)
        self._held.pop(owner, None)


def _derived(master: bytes, purpose: bytes) -> bytes:
    return hmac.digest(master, b"openledger " + purpose, hashlib.sha256)

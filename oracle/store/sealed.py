"""Exchanges under seal: the vault keeps one key for each consumer, and forgetting a consumer is destroying it."""

from __future__ import annotations

from io import BytesIO

import orjson

from oracle.store.answers import Exchange
from oracle.store.vault import Vault
from oracle.types import Address


def owner_of(consumer: Address) -> bytes:
    """The name of a consumer's key: their address, with zeros before it to 32 bytes."""
    return bytes(12) + bytes.fromhex(consumer.removeprefix("0x"))


def seal_exchange(vault: Vault, consumer: Address, exchange: Exchange) -> bytes:
    return b"".join(vault.seal(owner_of(consumer), [exchange.as_json()]))


def open_exchange(vault: Vault, consumer: Address, sealed: bytes) -> Exchange:
    """Raises KeyDestroyed where the consumer was forgotten, BadSeal where the bytes are not theirs."""
    content = b"".join(vault.unseal(owner_of(consumer), BytesIO(sealed)))
    return Exchange.from_json(orjson.loads(content))

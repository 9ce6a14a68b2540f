"""Who pays a call, from what came with it: an API key, vouchers, an x402 payment, or nobody."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection

from oracle.api.keys import PREFIX, Keyring, SessionKey
from oracle.api.ledger import Payer
from oracle.api.refusals import Refusal, bad, unpaid
from oracle.settlement.hashing import keccak
from oracle.settlement.receipts import checksummed, recovered, voucher_preimage
from oracle.store import api_keys
from oracle.store.api_keys import ApiKey
from oracle.store.receipts import Lane, Voucher
from oracle.types import Address, ChainId, Timestamp, Wei

VOUCHER_HEADER = "openledger-voucher"
_ACCOUNT = re.compile("(0x)?[0-9a-fA-F]{40}")
_MOST_VOUCHERS = 4
_LARGEST = 2**96 - 1
_KNOWN_S = 5.0  # as long may a revoked API key still be taken
_KNOWN = 10_000


@dataclass(frozen=True)
class Opened:
    """An API key that was shown, with what signs for it."""

    made: ApiKey
    session: SessionKey


class ApiKeys:
    """Looked up by their keyed hash; nobody learns anything from how long that takes."""

    def __init__(self, chain: ChainId, keyring: Keyring, clock: Callable[[], float] = time.monotonic) -> None:
        self._chain, self._keyring, self._clock = chain, keyring, clock
        self._known: OrderedDict[bytes, tuple[float, Opened]] = OrderedDict()

    def known(self, shown: str) -> Opened | None:
        """Without asking the database."""
        held = self._known.get(self._keyring.hash(shown))
        return held[1] if held is not None and held[0] > self._clock() else None

    def find(self, connection: Connection, shown: str) -> Opened:
        name = self._keyring.hash(shown)
        made = api_keys.by_hash(connection, name)
        if made is None or made.chain != self._chain:
            raise Refusal(401, "invalid_api_key", "this API key is not known; sign in with the wallet to get one")
        if made.state != "open":
            raise Refusal(401, "api_key_revoked", "this API key was revoked")
        opened = Opened(made, SessionKey(self._keyring.unseal(bytes.fromhex(made.key[2:]), made.secret)))
        self._known[name] = (self._clock() + _KNOWN_S, opened)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return opened

    def forget(self) -> None:
        self._known.clear()


def bearer(headers: Mapping[str, str]) -> str | None:
    """An API key of ours; whatever else stock clients send as a placeholder is no payment."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    value = value.strip()
    return value if kind.lower() == "bearer" and value.startswith(PREFIX) else None


def by_vouchers(header: str, chain: ChainId, escrow: Address, margin: int, now: Timestamp) -> Payer:
    """Every voucher is checked before anything is done; all have to be of one lane."""
    vouchers = tuple(_checked(voucher, chain, escrow, margin, now) for voucher in parsed(header))
    lane = vouchers[0].lane
    if any(voucher.lane != lane for voucher in vouchers):
        raise bad("voucher_invalid", "the vouchers of one call have to be of one consumer and key", VOUCHER_HEADER)
    return Payer(lane, vouchers)


def parsed(header: str) -> list[Voucher]:
    """Base64 (either alphabet) of JSON: one voucher, or a list of up to four."""
    try:
        content = orjson.loads(base64.b64decode(header.translate({45: "+", 95: "/"}) + "==", validate=False))
        listed = content if isinstance(content, list) else [content]
        if not 0 < len(listed) <= _MOST_VOUCHERS:
            raise bad("voucher_invalid", f"between one and {_MOST_VOUCHERS} vouchers, please", VOUCHER_HEADER)
        return [_voucher(each) for each in listed]
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise bad(
            "voucher_invalid",
            "not a voucher: base64 of JSON with consumer, key, cumulative, deadline and signature",
            VOUCHER_HEADER,
        ) from None


def _voucher(content: Mapping[str, object]) -> Voucher:
    people = []
    for name in ("consumer", "key"):
        account = content[name]
        if not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
            raise ValueError(name)
        people.append(checksummed(bytes.fromhex(account.removeprefix("0x"))))
    cumulative, deadline = int(str(content["cumulative"])), int(str(content["deadline"]))
    if not 0 <= cumulative <= _LARGEST or not 0 <= deadline < 2**63:
        raise ValueError("amount")
    signature = bytes.fromhex(str(content["signature"]).removeprefix("0x"))
    return Voucher(people[0], people[1], Wei(cumulative), Timestamp(deadline), signature)


def _checked(voucher: Voucher, chain: ChainId, escrow: Address, margin: int, now: Timestamp) -> Voucher:
    if voucher.deadline < now + margin:
        raise unpaid(
            "voucher_expired", f"the voucher ends at {voucher.deadline}; it has to be good for {margin} s from now",
            deadline=voucher.deadline,
        )  # fmt: skip
    signer = recovered(keccak(voucher_preimage(voucher, chain, escrow)), voucher.signature)
    if signer != voucher.key:
        raise unpaid(
            "voucher_wrong_signer",
            f"the voucher is signed by {signer or 'nobody'}, not by {voucher.key}; was it signed for chain {chain} and"
            f" the escrow {escrow}?",
            chain=chain, escrow=escrow,
        )  # fmt: skip
    return voucher


def lane_of(opened: Opened) -> Lane:
    return Lane(opened.made.consumer, opened.made.key)

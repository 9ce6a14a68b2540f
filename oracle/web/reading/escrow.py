"""What an account has in the escrow, what it asked back, and which keys may spend it: as the contract has it now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from sqlalchemy import Connection

from oracle.settlement.onchain import call_data
from oracle.store.events import events, topic
from oracle.types import Address, Timestamp, Wei
from oracle.web.site import Site

CONTRACT = "InferenceEscrow"
_MOST = 20  # keys that a page shows


@dataclass(frozen=True)
class Key:
    address: Address
    cap: Wei
    spent: Wei
    expires_at: Timestamp

    def is_open(self, now: int) -> bool:
        return self.expires_at > now and self.spent < self.cap


@dataclass(frozen=True)
class Held:
    balance: Wei
    withdrawing: Wei
    ready_at: Timestamp
    notice: int
    keys: tuple[Key, ...]


def held(site: Site, connection: Connection, who: Address) -> Held:
    """Asks the node: money that somebody may take back has to be shown as it is."""
    named = keys_of(connection, site, who)
    asked: list[tuple[str, list[Any], list[str]]] = [
        ("accountOf(address)", [who], ["uint96", "uint96"]),
        ("withdrawalOf(address)", [who], ["uint96", "uint40"]),
        ("notice()", [], ["uint256"]),
        *(("sessionOf(address,address)", [who, key], ["uint96", "uint96", "uint40"]) for key in named),
    ]
    account, withdrawal, notice, *sessions = _ask(site, asked)
    keys = tuple(Key(key, Wei(cap), Wei(spent), Timestamp(ends)) for key, (cap, spent, ends) in zip(named, sessions))
    return Held(Wei(account[0]), Wei(withdrawal[0]), Timestamp(withdrawal[1]), notice[0], keys)


def keys_of(connection: Connection, site: Site, who: Address) -> list[Address]:
    """The newest first."""
    opened = events(connection, site.chain, CONTRACT, "SessionOpened", topic1=topic(who))
    return list(dict.fromkeys(Address(event.args["key"]) for event in reversed(opened)))[:_MOST]


def _ask(site: Site, asked: Sequence[tuple[str, list[Any], list[str]]]) -> list[tuple[Any, ...]]:
    def call(signature: str, values: list[Any]) -> tuple[str, tuple[Any, ...]]:
        data = "0x" + call_data(signature, values).hex()
        return "eth_call", ({"to": site.book[CONTRACT], "data": data}, "latest")

    answers = site.ground.rpc.batch([call(signature, values) for signature, values, _ in asked])
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return [decode(kinds, bytes.fromhex(answer[2:])) for answer, (_, _, kinds) in zip(answers, asked)]

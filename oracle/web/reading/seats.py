"""The attestors, as the events of their set tell of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from oracle.store.batches import ATTESTATIONS
from oracle.store.events import Event, events
from oracle.types import Address, ChainId

_TOLD = (
    "AttestorAdmitted", "AttestorJoined", "BondRaised", "KeyRotated", "ExitAnnounced", "BondWithdrawn",
    "AttestorExpelled", "AttestorSlashed",
)  # fmt: skip


@dataclass
class Seat:
    operator: Address
    signer: Address | None = None
    bond: int = 0
    state: str = "admitted"
    since: int = 0
    slashed: int = 0
    signed: int = 0
    objected: int = 0


def seats(connection: Connection, chain: ChainId) -> list[Seat]:
    """By bond, the largest first."""
    told: list[Event] = []
    for name in _TOLD:
        told += events(connection, chain, "AttestorSet", name)
    found: dict[str, Seat] = {}
    for event in sorted(told, key=lambda one: one.cursor):
        operator = event.args["operator"]
        _follow(found.setdefault(operator, Seat(operator, since=event.timestamp)), event)
    vouched, objected = _words(connection)
    for seat in found.values():
        seat.signed, seat.objected = vouched[seat.signer or ""], objected[seat.signer or ""]
    return sorted(found.values(), key=lambda seat: (-seat.bond, seat.operator))


def _follow(seat: Seat, event: Event) -> None:
    args = event.args
    if event.name == "AttestorJoined":
        seat.signer, seat.bond, seat.state, seat.since = args["signer"], args["bond"], "seated", event.timestamp
    elif event.name == "BondRaised":
        seat.bond = args["bond"]
    elif event.name == "KeyRotated":
        seat.signer = args["newSigner"]
    elif event.name == "ExitAnnounced":
        seat.state = "leaving"
    elif event.name == "BondWithdrawn":
        seat.bond, seat.state = 0, "left"
    elif event.name == "AttestorExpelled":
        seat.state = "expelled"
    elif event.name == "AttestorSlashed":
        seat.slashed, seat.bond, seat.state = seat.slashed + args["bond"], 0, "slashed"


def _words(connection: Connection) -> tuple[Counter[str], Counter[str]]:
    """How often each key vouched, and how often it objected."""
    vouched: Counter[str] = Counter()
    objected: Counter[str] = Counter()
    asked = select(ATTESTATIONS.c.signer, ATTESTATIONS.c.objection.is_(None), func.count())
    for signer, good, count in connection.execute(
        asked.group_by(ATTESTATIONS.c.signer, ATTESTATIONS.c.objection.is_(None))
    ):
        (vouched if good else objected)[signer] += count
    return vouched, objected

"""What the oracle wants to do on a chain, each once: intents, and the states they go through.

planned → reserved → broadcast → mined → final        mined and broadcast go back when a reorg takes the block away
   │         │           │          └──→ failed       included in a final block, but reverted
   ├─────────┴→ refused  └→ parked                     the simulation reverts; a person has to look
   └→ parked → planned
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain as chained
from itertools import count
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import Stop
from oracle.store.columns import METADATA, AddressColumn, HashColumn, Id, WeiColumn
from oracle.types import Address, BlockHash, BlockNumber, ChainId, TxHash, Wei

INTENTS = Table(
    "chain_intents",
    METADATA,
    Column("position", Id, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("chain", BigInteger, nullable=False),
    Column("to", AddressColumn, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("value", WeiColumn, nullable=False),
    Column("gas_limit", BigInteger, nullable=True),
    Column("purpose", String, nullable=False),
    Column("after", String, nullable=True),
    Column("state", String, nullable=False),
    Column("sender", AddressColumn, nullable=True),
    Column("nonce", BigInteger, nullable=True),
    Column("tx", HashColumn, nullable=True),
    Column("block", BigInteger, nullable=True),
    Column("block_hash", HashColumn, nullable=True),
    Column("succeeded", BigInteger, nullable=True),
    Column("reason", Text, nullable=True),
    # One nonce, one intent, for ever: two intents can never compete for a place in the lane.
    UniqueConstraint("chain", "sender", "nonce"),
)
Index("ix_chain_intents_state", INTENTS.c.chain, INTENTS.c.state)

# Its own transaction is final, or a stranger's with its nonce (parked; refused where it was only to fill a gap).
_SPENT_FOR_GOOD = and_(
    INTENTS.c.state.in_(("final", "failed", "parked", "refused")),
    INTENTS.c.nonce.is_not(None),
    INTENTS.c.block.is_not(None),
)

# What pays people and what they are paid by goes before all else that waits to be sent.
SETTLES, POSTS, REFILLS = "settles vouchers", "posts a root", "refills"
PRESSING = (SETTLES, POSTS, REFILLS)

OPEN_STATES = ("planned", "reserved", "broadcast", "mined")
END_STATES = ("final", "failed", "refused", "parked")

# Every change of state there is.
_PREDECESSORS = {
    "reserved": ("planned",),
    "broadcast": ("reserved", "broadcast", "mined"),
    "mined": ("broadcast", "mined"),
    "final": ("mined",),
    "failed": ("mined",),
    "refused": ("planned", "reserved"),
    "parked": ("planned", "reserved", "broadcast"),
    "planned": ("parked",),
}


class WrongState(Stop):
    """An intent is not where its next step expected it: two senders, or a fault in this code."""


class OtherContent(Stop):
    """The same idempotency key for something else."""


class UnknownIntent(Stop):
    """It was never planned."""


@dataclass(frozen=True)
class Intent:
    """One transaction that the oracle wants mined once. `after` names an intent that has to be mined before."""

    key: str
    chain: ChainId
    to: Address
    data: bytes
    value: Wei
    purpose: str
    gas_limit: int | None = None
    after: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of an intent. Only `final` and `failed` are past recall; `succeeded` may still change while mined."""

    key: str
    state: str
    tx: TxHash | None
    block: BlockNumber | None
    succeeded: bool | None
    reason: str | None


@dataclass(frozen=True)
class Journaled:
    """An intent with its place in the lane, as the sender works on it.

    `block` is that of its transaction; while it is broadcast or parked, one after which its nonce was seen spent by
    something else.
    """

    intent: Intent
    position: int
    state: str
    sender: Address | None
    nonce: int | None
    tx: TxHash | None
    block: BlockNumber | None
    block_hash: BlockHash | None
    succeeded: bool | None
    reason: str | None

    @property
    def key(self) -> str:
        return self.intent.key


def plan(connection: Connection, intent: Intent, by: Address | None = None) -> None:
    """Inside the caller's own transaction: what it decided and what is to be sent are written together, or not.

    `by` is whose transaction it has to be: somebody's bond, contribution or datanet is no other key's to send, and
    several keys may work on one store. Without it, whichever key comes first sends it.
    """
    if not intent.key:
        raise ValueError("an intent needs an idempotency key")
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {**vars(intent), "state": "planned", "sender": by}
    # Two workers may plan the same at the same moment: the second waits for the first and finds its row.
    put = dialect.insert(INTENTS).values(row).on_conflict_do_nothing(index_elements=["key"])
    if connection.execute(put.returning(INTENTS.c.position)).first() is not None:
        return
    before = journaled(connection, intent.key).intent
    differing = [name for name in vars(intent) if getattr(before, name) != getattr(intent, name)]
    if differing:
        raise OtherContent(
            f"intent {intent.key}: planned before with another {', '.join(differing)}; a key stands for one"
            " transaction, so give the new one a key of its own"
        )


def outcome(connection: Connection, key: str) -> Outcome:
    found = journaled(connection, key)
    return Outcome(key, found.state, found.tx, found.block, found.succeeded, found.reason)


def journaled(connection: Connection, key: str) -> Journaled:
    row = connection.execute(select(INTENTS).where(INTENTS.c.key == key)).one_or_none()
    if row is None:
        raise UnknownIntent(f"intent {key}: never planned")
    return _journaled(row)


def in_states(
    connection: Connection, chain: ChainId, states: tuple[str, ...], limit: int | None = None, newest: bool = False,
    sender: Address | None = None,
) -> list[Journaled]:  # fmt: skip
    """In the order of the lane where they have a place, then those that press, then as they were planned; or the last
    planned first. With a sender: its own, and those that are nobody's yet."""
    pressing = case((INTENTS.c.purpose.in_(PRESSING), 0), else_=1)
    place = (func.coalesce(INTENTS.c.nonce, 2**62), pressing, INTENTS.c.position)
    whose = [] if sender is None else [or_(INTENTS.c.sender.is_(None), INTENTS.c.sender == sender)]
    found = connection.execute(
        select(INTENTS)
        .where(INTENTS.c.chain == chain, INTENTS.c.state.in_(states), *whose)
        .order_by(*((INTENTS.c.position.desc(),) if newest else place))
        .limit(limit)
    )
    return [_journaled(row) for row in found]


def count_by_state(connection: Connection, chain: ChainId) -> dict[str, int]:
    found = connection.execute(
        select(INTENTS.c.state, func.count()).where(INTENTS.c.chain == chain).group_by(INTENTS.c.state)
    )
    return {row[0]: row[1] for row in found}


def move(connection: Connection, key: str, state: str, *, only_from: tuple[str, ...] = (), **fields: Any) -> None:
    """To a state from one that may precede it, or WrongState."""
    allowed = only_from or _PREDECESSORS[state]
    moved = connection.execute(
        update(INTENTS).where(INTENTS.c.key == key, INTENTS.c.state.in_(allowed)).values(state=state, **fields)
    )
    if moved.rowcount != 1:
        raise WrongState(
            f"intent {key}: cannot become {state} from {journaled(connection, key).state};"
            f" allowed is {' or '.join(allowed)}"
        )


def ended_from(connection: Connection, chain: ChainId, sender: Address, nonce: int) -> list[Journaled]:
    """Those that ended because a final block spent their nonce, from this nonce on."""
    found = connection.execute(
        select(INTENTS)
        .where(INTENTS.c.chain == chain, INTENTS.c.sender == sender, INTENTS.c.nonce >= nonce, _SPENT_FOR_GOOD)
        .order_by(INTENTS.c.nonce)
    )
    return [_journaled(row) for row in found]


def reopen_above(connection: Connection, chain: ChainId, block: int) -> int:
    """After a reorg deeper than finality: what ended in a later block is followed again."""
    reopened = connection.execute(
        update(INTENTS)
        .where(INTENTS.c.chain == chain, INTENTS.c.block > block, _SPENT_FOR_GOOD)
        .values(state="broadcast", tx=None, block=None, block_hash=None, succeeded=None, reason=None)
    )
    return reopened.rowcount


def highest_nonce(connection: Connection, chain: ChainId, sender: Address) -> int:
    """The last place of the lane that an intent holds; -1 where none does."""
    highest = connection.execute(
        select(func.max(INTENTS.c.nonce)).where(INTENTS.c.chain == chain, INTENTS.c.sender == sender)
    ).scalar_one()
    return -1 if highest is None else int(highest)


def unused_key(connection: Connection, wanted: str) -> str:
    known = set(connection.execute(select(INTENTS.c.key).where(INTENTS.c.key.startswith(wanted))).scalars())
    return next(key for key in chained([wanted], (f"{wanted}:{again}" for again in count(2))) if key not in known)


def nonces_taken(connection: Connection, chain: ChainId, sender: Address, at_least: int) -> set[int]:
    """The places of the lane that an intent holds, from a number on."""
    found = connection.execute(
        select(INTENTS.c.nonce).where(INTENTS.c.chain == chain, INTENTS.c.sender == sender, INTENTS.c.nonce >= at_least)
    )
    return {row.nonce for row in found}


def _intent(row: Row[Any]) -> Intent:
    return Intent(row.key, row.chain, row.to, bytes(row.data), Wei(row.value), row.purpose, row.gas_limit, row.after)


def _journaled(row: Row[Any]) -> Journaled:
    return Journaled(
        _intent(row),
        row.position,
        row.state,
        row.sender,
        row.nonce,
        row.tx,
        row.block,
        row.block_hash,
        None if row.succeeded is None else bool(row.succeeded),
        row.reason,
    )

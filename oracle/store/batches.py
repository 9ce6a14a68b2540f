"""Batches, the states they go through, and what attestors said of them.

open → closed → published → attested → posted → active
          │         │           │         │
          └─────────┴───────────┴─────────┴──→ vetoed → reopened     its receipts wait for the next attempt at the epoch

Of one chain at most one batch is on its way; the next epoch opens when the last one is active. Whatever a state holds
follows from the receipts that the batch took when it closed, so that a step which died is simply done again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import NeedsPerson, Retry, Stop
from oracle.store.columns import METADATA, AddressColumn, Document, HashColumn, Id, Time, WeiColumn
from oracle.store.intents import INTENTS
from oracle.types import Address, ChainId, Cid, Epoch, Hash32, Timestamp, Wei


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    PUBLISHED = "published"
    ATTESTED = "attested"
    POSTED = "posted"
    ACTIVE = "active"
    VETOED = "vetoed"
    REOPENED = "reopened"


PREDECESSORS: dict[State, tuple[State, ...]] = {
    State.OPEN: (),
    State.CLOSED: (State.OPEN,),
    State.PUBLISHED: (State.CLOSED,),
    State.ATTESTED: (State.PUBLISHED,),
    State.POSTED: (State.ATTESTED,),
    State.ACTIVE: (State.POSTED,),
    State.VETOED: (State.CLOSED, State.PUBLISHED, State.ATTESTED, State.POSTED),
    State.REOPENED: (State.VETOED,),
}
ON_ITS_WAY = (State.OPEN, State.CLOSED, State.PUBLISHED, State.ATTESTED, State.POSTED, State.VETOED)

BATCHES = Table(
    "batches",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("chain", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_at", Time, nullable=False),
    Column("closed_at", Time),
    Column("reason", Text),
    # From closing on: what the batch stands on.
    Column("round", BigInteger),
    Column("previous_root", HashColumn),
    Column("previous_document", String),
    Column("lanes", Document),  # [consumer, key, cumulative, before] of the vouchers that pay for it
    # From publishing on: what follows from its receipts.
    Column("root", HashColumn),
    Column("total", WeiColumn),
    Column("fees", WeiColumn),
    Column("receipt_count", BigInteger),
    Column("content_hash", HashColumn),
    Column("document", String),
    Column("header", LargeBinary),
    # From posting on.
    Column("activates_at", Time),
    UniqueConstraint("chain", "epoch", "attempt"),
)
Index("ix_batches_state", BATCHES.c.chain, BATCHES.c.state)

ATTESTATIONS = Table(
    "batch_attestations",
    METADATA,
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("signer", AddressColumn, primary_key=True),
    Column("signature", LargeBinary, nullable=False),
    Column("objection", Text),  # NULL: vouches for it
)


class WrongBatchState(Stop):
    """A batch is not where its next step expected it: another daemon, or a fault in this code."""


class Overtaken(Retry):
    """Another daemon has done this step."""


class NoSuchBatch(NeedsPerson):
    """Nothing is known of it."""


@dataclass(frozen=True)
class Batch:
    """One attempt at one epoch. What is None has not come yet."""

    id: int
    chain: ChainId
    epoch: Epoch
    attempt: int
    state: State
    opened_at: Timestamp
    closed_at: Timestamp | None
    reason: str | None
    round: int | None
    previous_root: Hash32 | None
    previous_document: Cid | None
    lanes: tuple[tuple[Address, Address, Wei, Wei], ...]
    root: Hash32 | None
    total: Wei | None
    fees: Wei | None
    receipt_count: int | None
    content_hash: Hash32 | None
    document: Cid | None
    header: bytes | None
    activates_at: Timestamp | None

    @property
    def name(self) -> str:
        return f"batch {self.chain}/{self.epoch}" + (f"#{self.attempt}" if self.attempt > 1 else "")


@dataclass(frozen=True)
class Attestation:
    signer: Address
    signature: bytes
    objection: str | None = None


def on_its_way(connection: Connection, chain: ChainId) -> Batch | None:
    """The one that has to be brought further, locked against a second daemon where the database can."""
    asked = select(BATCHES).where(BATCHES.c.chain == chain, BATCHES.c.state.in_(ON_ITS_WAY)).order_by(BATCHES.c.id)
    rows = connection.execute(asked).all()
    if len(rows) > 1:
        raise WrongBatchState(f"chain {chain}: {len(rows)} batches are on their way; there may be one")
    return _batch(rows[0]) if rows else None


def newest(connection: Connection, chain: ChainId, *states: State) -> Batch | None:
    row = connection.execute(
        select(BATCHES)
        .where(BATCHES.c.chain == chain, BATCHES.c.state.in_(states or tuple(State)))
        .order_by(BATCHES.c.epoch.desc(), BATCHES.c.attempt.desc())
        .limit(1)
    ).one_or_none()
    return _batch(row) if row else None


def batches(connection: Connection, chain: ChainId, *states: State) -> list[Batch]:
    found = connection.execute(
        select(BATCHES)
        .where(BATCHES.c.chain == chain, BATCHES.c.state.in_(states or tuple(State)))
        .order_by(BATCHES.c.epoch, BATCHES.c.attempt)
    )
    return [_batch(row) for row in found]


def count_by_state(connection: Connection, chain: ChainId) -> dict[str, int]:
    """Every state, also those that no batch is in: a metric does not vanish."""
    asked = select(BATCHES.c.state, func.count()).where(BATCHES.c.chain == chain).group_by(BATCHES.c.state)
    found = {row[0]: row[1] for row in connection.execute(asked)}
    return {state.value: found.get(state.value, 0) for state in State}


def batch(connection: Connection, number: int, lock: bool = False) -> Batch:
    """`lock`: until the end of the transaction no other daemon moves it. (SQLite has one writer anyway.)"""
    asked = select(BATCHES).where(BATCHES.c.id == number)
    row = connection.execute(asked.with_for_update() if lock else asked).one_or_none()
    if row is None:
        raise NoSuchBatch(f"batch {number}: there is none; `openledger settle status` lists them")
    return _batch(row)


def begin(connection: Connection, chain: ChainId, epoch: Epoch, now: Timestamp) -> bool:
    """Opens the next attempt at an epoch, unless one is on its way; says whether it did. Two daemons open one."""
    if on_its_way(connection, chain) is not None:
        return False
    attempts = connection.execute(
        select(BATCHES.c.attempt, BATCHES.c.state).where(BATCHES.c.chain == chain, BATCHES.c.epoch == epoch)
    ).all()
    if any(state != State.REOPENED for _, state in attempts):
        raise WrongBatchState(f"chain {chain}: epoch {epoch} has its batch already")
    row = {
        "chain": chain,
        "epoch": epoch,
        "attempt": 1 + max((attempt for attempt, _ in attempts), default=0),
        "state": State.OPEN,
        "opened_at": now,
        "lanes": [],
    }
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    put = dialect.insert(BATCHES).values(row).on_conflict_do_nothing().returning(BATCHES.c.id)
    return connection.execute(put).first() is not None


def drop(connection: Connection, number: int, reason: str) -> None:
    """The chain has another batch of its epoch: this attempt is over, and its number is free for that one."""
    row = batch(connection, number, lock=True)
    values = {"state": State.REOPENED, "reason": reason}
    connection.execute(update(BATCHES).where(BATCHES.c.id == number, BATCHES.c.state == row.state).values(**values))


def adopt(connection: Connection, chain: ChainId, epoch: Epoch, now: Timestamp, **values: Any) -> int:
    """A batch that the chain knows and this database lost: active at once."""
    attempts = connection.execute(select(BATCHES.c.attempt).where(BATCHES.c.chain == chain, BATCHES.c.epoch == epoch))
    attempt = 1 + max(attempts.scalars(), default=0)
    row = {"chain": chain, "epoch": epoch, "attempt": attempt, "state": State.ACTIVE, "opened_at": now, "lanes": []}
    row |= values
    return int(connection.execute(insert(BATCHES).values(row).returning(BATCHES.c.id)).scalar_one())


def move(connection: Connection, number: int, state: State, **values: Any) -> None:
    """To a state from one that may precede it, or WrongBatchState."""
    moved = connection.execute(
        update(BATCHES)
        .where(BATCHES.c.id == number, BATCHES.c.state.in_(PREDECESSORS[state]))
        .values(state=state, **values)
    )
    if moved.rowcount != 1:
        raise WrongBatchState(
            f"{batch(connection, number).name}: cannot become {state} from {batch(connection, number).state};"
            f" allowed is {' or '.join(PREDECESSORS[state]) or 'nothing'}"
        )


def put_attestation(connection: Connection, number: int, attestation: Attestation) -> None:
    """A signer's word, once; an objection may be followed by a signature, not the other way round."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {"batch": number, **vars(attestation)}
    put = dialect.insert(ATTESTATIONS).values(row)
    connection.execute(
        put.on_conflict_do_update(
            index_elements=["batch", "signer"],
            set_={"signature": put.excluded.signature, "objection": put.excluded.objection},
            where=ATTESTATIONS.c.objection.is_not(None),
        )
    )


def attestations(connection: Connection, number: int) -> list[Attestation]:
    found = connection.execute(select(ATTESTATIONS).where(ATTESTATIONS.c.batch == number))
    said = [Attestation(row.signer, bytes(row.signature), row.objection) for row in found]
    return sorted(said, key=lambda one: int(one.signer, 16))


def planned(connection: Connection, key: str, prefix: bool = False) -> list[tuple[str, str | None]]:
    """State and reason of the intents with a key, or of all whose key begins with it."""
    named = INTENTS.c.key.startswith(key, autoescape=True) if prefix else INTENTS.c.key == key
    asked = select(INTENTS.c.state, INTENTS.c.reason).where(named).order_by(INTENTS.c.position)
    return [(row.state, row.reason) for row in connection.execute(asked)]


def _batch(row: Row[Any]) -> Batch:
    values = dict(row._mapping)
    values["state"] = State(values["state"])
    values["lanes"] = tuple((who, key, Wei(int(upto)), Wei(int(since))) for who, key, upto, since in values["lanes"])
    values["header"] = None if values["header"] is None else bytes(values["header"])
    return Batch(**values)

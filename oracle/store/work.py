"""What has to be done, once: the truth behind the queues. A message is a hint to look here.

waiting → running → done | waiting (again, later) | parked (until a person resumes it)
done → waiting, for work that is due whenever a state says so
running → running, under a new lease, when the old one has run out: whoever held it was killed

Whoever runs a step holds a lease and ends the step in the same transaction as its effects. If somebody else has taken
over meanwhile, that transaction fails as a whole.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from oracle.errors import NeedsPerson, Retry
from oracle.store.columns import METADATA, Id, Time
from oracle.store.prepared import Prepared
from oracle.types import Timestamp


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    PARKED = "parked"


WORK = Table(
    "work",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("step", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Time, nullable=False),  # when running: when the lease ends
    Column("lease", String(32)),
    Column("reason", Text),
    Column("requested_at", Time, nullable=False),
    Column("ended_at", Time),
    UniqueConstraint("step", "subject"),
    Index(None, "state", "due_at"),
)


class LeaseLost(Retry):
    """Somebody else has taken the work over; what was computed here is dropped."""


class NoSuchWork(NeedsPerson):
    """There is nothing to resume."""


@dataclass(frozen=True)
class Item:
    step: str
    subject: str
    state: State
    attempts: int
    due_at: Timestamp
    reason: str | None


@dataclass(frozen=True)
class Lease:
    step: str
    subject: str
    attempt: int
    token: str


_REQUEST = Prepared(
    lambda dialect: (
        dialect.insert(WORK)
        .values({name: bindparam(name) for name in ("step", "subject", "state", "attempts", "due_at", "requested_at")})
        .on_conflict_do_nothing()
        .returning(WORK.c.id)
    )
)


def request(connection: Connection, step: str, subject: str, now: Timestamp) -> bool:
    """Asks for the work, once for all times; says whether it was new."""
    values = {"step": step, "subject": subject, "state": State.WAITING.value, "attempts": 0}
    return _REQUEST(connection, **values, due_at=now, requested_at=now).fetchone() is not None


def renew(connection: Connection, step: str, subject: str, now: Timestamp) -> bool:
    """Asks for work that may be due more than once; says whether it was not waiting, running or parked already."""
    if request(connection, step, subject, now):
        return True
    renewed = connection.execute(
        update(WORK)
        .where(WORK.c.step == step, WORK.c.subject == subject, WORK.c.state == State.DONE)
        .values(state=State.WAITING, due_at=now, attempts=0)
    )
    return renewed.rowcount == 1


def take(connection: Connection, step: str, subject: str, seconds: int, now: Timestamp) -> Lease | None:
    """A lease, if the work is due and nobody else holds it."""
    token = secrets.token_hex(16)
    attempts = connection.execute(
        update(WORK)
        .where(WORK.c.step == step, WORK.c.subject == subject, _due(now))
        .values(state=State.RUNNING, attempts=WORK.c.attempts + 1, due_at=now + seconds, lease=token)
        .returning(WORK.c.attempts)
    ).scalar_one_or_none()
    return None if attempts is None else Lease(step, subject, attempts, token)


def keep(connection: Connection, lease: Lease, seconds: int, now: Timestamp) -> None:
    """Holds on to it: for steps that last longer than a lease."""
    _change(connection, lease, due_at=now + seconds)


def finish(connection: Connection, lease: Lease, now: Timestamp) -> None:
    _change(connection, lease, state=State.DONE, lease=None, reason=None, ended_at=now)


def again(connection: Connection, lease: Lease, reason: str, due_at: Timestamp) -> None:
    _change(connection, lease, state=State.WAITING, lease=None, reason=reason, due_at=due_at)


def park(connection: Connection, lease: Lease, reason: str) -> None:
    _change(connection, lease, state=State.PARKED, lease=None, reason=reason)


def resume(connection: Connection, step: str, subject: str, now: Timestamp) -> None:
    """A person has mended what it was parked for."""
    changed = connection.execute(
        update(WORK)
        .where(WORK.c.step == step, WORK.c.subject == subject, WORK.c.state == State.PARKED)
        .values(state=State.WAITING, due_at=now, attempts=0)
    )
    if changed.rowcount != 1:
        raise NoSuchWork(f"{step} {subject}: is not parked")


def due(connection: Connection, now: Timestamp, limit: int) -> list[Item]:
    """What somebody should look at now, the longest due first."""
    return _items(connection, _due(now), limit)


def find(connection: Connection, step: str, subject: str) -> Item | None:
    return next(iter(_items(connection, (WORK.c.step == step) & (WORK.c.subject == subject), 1)), None)


def parked(connection: Connection, limit: int) -> list[Item]:
    return _items(connection, WORK.c.state == State.PARKED, limit)


def tally(connection: Connection) -> dict[tuple[str, State], int]:
    rows = connection.execute(select(WORK.c.step, WORK.c.state, func.count()).group_by(WORK.c.step, WORK.c.state))
    return {(step, State(state)): count for step, state, count in rows}


def _due(now: Timestamp) -> ColumnElement[bool]:
    return or_(
        and_(WORK.c.state == State.WAITING, WORK.c.due_at <= now),
        and_(WORK.c.state == State.RUNNING, WORK.c.due_at < now),
    )


def _change(connection: Connection, held: Lease, /, **values: object) -> None:
    changed = connection.execute(
        update(WORK)
        .where(
            WORK.c.step == held.step,
            WORK.c.subject == held.subject,
            WORK.c.state == State.RUNNING,
            WORK.c.lease == held.token,
        )
        .values(**values)
    )
    if changed.rowcount != 1:
        raise LeaseLost(f"{held.step} {held.subject}: attempt {held.attempt} took too long, another one has begun")


def _items(connection: Connection, condition: ColumnElement[bool], limit: int) -> list[Item]:
    rows = connection.execute(select(WORK).where(condition).order_by(WORK.c.due_at, WORK.c.id).limit(limit))
    return [
        Item(row.step, row.subject, State(row.state), row.attempts, Timestamp(row.due_at), row.reason) for row in rows
    ]

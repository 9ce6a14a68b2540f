"""The loops that run again and again: who runs one now, and when each finished last.

A daemon is well when its loops have finished lately; an open port says nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Integer, String, Table, Text, select, update
from sqlalchemy.dialects import postgresql, sqlite

from oracle.store.columns import METADATA, Time
from oracle.types import Timestamp

LOOPS = Table(
    "loops",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("every", Integer, nullable=False),  # seconds
    Column("lease", String(32)),
    Column("lease_until", Time, nullable=False),
    Column("finished_at", Time),
    Column("took_ms", Integer),
    Column("failure", Text),  # of the last round, if it did not finish
)


@dataclass(frozen=True)
class Loop:
    name: str
    every: int
    finished_at: Timestamp | None
    took_ms: int | None
    failure: str | None

    def is_late(self, now: Timestamp, patience: int) -> bool:
        return self.finished_at is None or now - self.finished_at > max(patience, 3 * self.every)


def enter(connection: Connection, name: str, every: int, seconds: int, now: Timestamp) -> str | None:
    """A token for one round, unless another process is in one."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(LOOPS).values(name=name, every=every, lease_until=0).on_conflict_do_nothing())
    token = secrets.token_hex(16)
    entered = connection.execute(
        update(LOOPS)
        .where(LOOPS.c.name == name, (LOOPS.c.lease.is_(None)) | (LOOPS.c.lease_until < now))
        .values(every=every, lease=token, lease_until=now + seconds)
    )
    return token if entered.rowcount == 1 else None


def leave(connection: Connection, name: str, token: str, now: Timestamp, took_ms: int) -> None:
    """The round finished."""
    _leave(connection, name, token, finished_at=now, took_ms=took_ms, failure=None)


def fail(connection: Connection, name: str, token: str, failure: str) -> None:
    """The round did not; the time of the last good one stays."""
    _leave(connection, name, token, failure=failure)


def loops(connection: Connection) -> list[Loop]:
    rows = connection.execute(select(LOOPS).order_by(LOOPS.c.name))
    return [Loop(row.name, row.every, row.finished_at, row.took_ms, row.failure) for row in rows]


def _leave(connection: Connection, name: str, token: str, **values: object) -> None:
    # A round that lasted longer than its lease has nothing to say any more.
    connection.execute(
        update(LOOPS).where(LOOPS.c.name == name, LOOPS.c.lease == token).values(lease=None, lease_until=0, **values)
    )

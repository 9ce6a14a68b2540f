"""The table of events as the indexer writes it. Who reads events reads oracle.store.events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
)

from oracle.store.arguments import Inputs
from oracle.store.columns import METADATA, AddressColumn, HashColumn, Id
from oracle.types import Address, ChainId

KINDS = Table(
    "chain_event_kinds",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("chain", BigInteger, nullable=False),
    Column("address", AddressColumn, nullable=False),
    Column("topic", HashColumn, nullable=False),
    Column("contract", String, nullable=False),
    Column("name", String, nullable=False),
    Column("inputs", Text, nullable=False),
    UniqueConstraint("chain", "address", "topic"),
)

EVENTS = Table(
    "chain_events",
    METADATA,
    Column("position", Id, primary_key=True),
    Column("chain", BigInteger, nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("tx", HashColumn, nullable=False),
    Column("topic1", HashColumn),
    Column("topic2", HashColumn),
    Column("topic3", HashColumn),
    Column("args", Text, nullable=False),
    UniqueConstraint("chain", "block", "log_index"),
    # A position is never given twice, not even to what replaces an unwound event.
    sqlite_autoincrement=True,
)
Index("ix_chain_events_kind", EVENTS.c.kind, EVENTS.c.block, EVENTS.c.log_index)
for _topic in (EVENTS.c.topic1, EVENTS.c.topic2, EVENTS.c.topic3):
    _given = _topic.is_not(None)
    Index(
        f"ix_chain_events_{_topic.name}",
        _topic,
        EVENTS.c.kind,
        EVENTS.c.block,
        sqlite_where=_given,
        postgresql_where=_given,
    )


@dataclass(frozen=True)
class Kind:
    """One event of one contract's ABI at one address."""

    chain: ChainId
    address: Address
    topic: bytes
    contract: str
    name: str
    inputs: Inputs


class NewEvent(NamedTuple):
    """An event on its way into the table; `args` is canonical JSON already."""

    block: int
    log_index: int
    kind: int
    tx: bytes
    topic1: bytes | None
    topic2: bytes | None
    topic3: bytes | None
    args: str


def register_kinds(connection: Connection, kinds: Sequence[Kind]) -> dict[tuple[Address, bytes], int]:
    """(address, first topic) → id in the table, for all of them."""
    known = _kind_ids(connection, kinds[0].chain) if kinds else {}
    for kind in kinds:
        if (kind.address, kind.topic) not in known:
            row = {**vars(kind), "inputs": json.dumps(kind.inputs, sort_keys=True)}
            connection.execute(insert(KINDS).values(row))
    return _kind_ids(connection, kinds[0].chain) if kinds else {}


def _kind_ids(connection: Connection, chain: ChainId) -> dict[tuple[Address, bytes], int]:
    found = connection.execute(select(KINDS.c.address, KINDS.c.topic, KINDS.c.id).where(KINDS.c.chain == chain))
    return {(row.address, row.topic): row.id for row in found}


def put_events(connection: Connection, chain: ChainId, new: Sequence[NewEvent]) -> None:
    """In the order of the log, so that positions grow with it."""
    if not new:
        return
    columns = ("chain", *NewEvent._fields)
    rows = [(chain, *event) for event in new]
    # Past SQLAlchemy's handling of each value: these are bytes, numbers and text on either database.
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO chain_events ({', '.join(columns)}) VALUES ({marks})", rows)
        return
    driver = connection.connection.driver_connection
    assert driver is not None, "a connection that executes has its driver"
    with driver.cursor() as cursor, cursor.copy(f"COPY chain_events ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def remove_events_above(connection: Connection, chain: ChainId, number: int) -> int:
    return connection.execute(delete(EVENTS).where(EVENTS.c.chain == chain, EVENTS.c.block > number)).rowcount


def count_events(connection: Connection, chain: ChainId) -> int:
    return connection.execute(select(func.count()).select_from(EVENTS).where(EVENTS.c.chain == chain)).scalar_one()

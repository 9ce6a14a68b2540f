"""Every event of the suite in the order of the log, and how far each consumer of events has come."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    RootTransaction,
    Row,
    Select,
    String,
    Table,
    and_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import Retry, Stop
from oracle.store.arguments import from_json
from oracle.store.blocks import BLOCKS, progress
from oracle.store.columns import METADATA
from oracle.store.event_table import EVENTS, KINDS
from oracle.types import BlockHash, BlockNumber, ChainId, Timestamp, TxHash

CURSORS = Table(
    "chain_cursors",
    METADATA,
    Column("consumer", String, primary_key=True),
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("contract", String, primary_key=True),
    Column("block", BigInteger, nullable=False),
    Column("log_index", Integer, nullable=False),
)


class CursorMoved(Retry):
    """Another worker has counted the event already; this transaction must not count it again."""


class NotFinal(Stop):
    """A consumer tried to count an event that the chain may still take back."""


class Cursor(NamedTuple):
    """A place in the log of a chain: everything up to and including it."""

    block: BlockNumber
    log_index: int


@dataclass(frozen=True)
class Event:
    """One log of one contract of the suite, decoded."""

    position: int
    chain: ChainId
    contract: str
    name: str
    args: Mapping[str, Any]
    block: BlockNumber
    block_hash: BlockHash
    timestamp: Timestamp
    tx: TxHash
    log_index: int

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.block, self.log_index)


def topic(value: int | bool | str | bytes) -> bytes:
    """A value as the chain writes it into a topic: `events(…, topic1=topic(datanet))`. Text is an account."""
    if isinstance(value, int):
        return (int(value) % 2**256).to_bytes(32, "big")
    if isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x")).rjust(32, b"\0")
    return value.ljust(32, b"\0")


def events(
    connection: Connection,
    chain: ChainId,
    contract: str,
    name: str,
    *,
    topic1: bytes | None = None,
    topic2: bytes | None = None,
    topic3: bytes | None = None,
    after: Cursor | None = None,
    until: BlockNumber | None = None,
    limit: int | None = None,
) -> list[Event]:
    """The events of one name in the order of the log, also of blocks that are not final yet.

    The chain's own indexed arguments are the look-up: `topic1` is the first of them, 32 bytes; see `topic`.
    """
    found = [
        _of_kind(connection, kind, _wanted(topic1, topic2, topic3), after, until, limit)
        for kind in _kinds(connection, chain, contract, [name])
    ]
    return list(_first(heapq.merge(*found, key=lambda event: event.cursor), limit))


def final_events(
    connection: Connection, chain: ChainId, consumer: str, contract: str, names: Iterable[str], limit: int
) -> list[Event]:
    """The next events of one contract that the consumer has not counted and that the chain cannot take back.

    Called in the transaction that also counts them and moves the cursor: the cursor stays locked until its end. (In a
    transaction that only reads it is a look ahead.)
    A consumer keeps one cursor for each contract and always asks for the same names.
    """
    reached = progress(connection, chain)
    if reached is None or reached.final is None:
        return []
    after = _locked_cursor(connection, consumer, chain, contract)
    _READ.setdefault(_transaction(connection), set()).add((consumer, chain, contract))
    # One short walk along an index for each kind; a single question over all would sort the whole rest of the log.
    found = [
        _of_kind(connection, kind, {}, after, reached.final, limit)
        for kind in _kinds(connection, chain, contract, names)
    ]
    return list(_first(heapq.merge(*found, key=lambda event: event.cursor), limit))


def advance_cursor(connection: Connection, consumer: str, event: Event) -> None:
    """Everything of this contract up to and including the event is counted. Only forward, only over final events."""
    key = (consumer, event.chain, event.contract)
    if key not in _READ.get(_transaction(connection), ()):
        raise Stop(
            f"consumer {consumer}: final_events was not asked in this transaction; what it answered before may have"
            " been counted by another worker since. Ask again inside the transaction that counts"
        )
    reached = progress(connection, event.chain)
    if reached is None or reached.final is None or event.block > reached.final:
        raise NotFinal(
            f"consumer {consumer}: {event.name} in block {event.block} of chain {event.chain} is not final"
            f" (final is {reached.final if reached else None}); read with final_events"
        )
    before = or_(
        CURSORS.c.block < event.block, and_(CURSORS.c.block == event.block, CURSORS.c.log_index < event.log_index)
    )
    moved = connection.execute(
        update(CURSORS)
        .where(*_key(consumer, event.chain, event.contract), before)
        .values(block=event.block, log_index=event.log_index)
    )
    if moved.rowcount == 1:
        return
    if cursor(connection, consumer, event.chain, event.contract) is not None:
        raise CursorMoved(
            f"consumer {consumer}: {event.contract} of chain {event.chain} was counted beyond block {event.block},"
            f" log {event.log_index} already; this work is undone and read anew"
        )
    _place(connection, consumer, event.chain, event.contract, event.cursor)  # SQLite's first: it is the only writer


def cursor(connection: Connection, consumer: str, chain: ChainId, contract: str) -> Cursor | None:
    row = connection.execute(select(CURSORS).where(*_key(consumer, chain, contract))).one_or_none()
    return Cursor(row.block, row.log_index) if row else None


def consumers_beyond(connection: Connection, chain: ChainId, block: BlockNumber) -> list[tuple[str, str, Cursor]]:
    """(consumer, contract, cursor) of all that have counted something of this block or a later one."""
    found = connection.execute(
        select(CURSORS)
        .where(CURSORS.c.chain == chain, CURSORS.c.block >= block)
        .order_by(CURSORS.c.consumer, CURSORS.c.contract)
    )
    return [(row.consumer, row.contract, Cursor(row.block, row.log_index)) for row in found]


_START = Cursor(BlockNumber(-1), -1)

# Which cursors each transaction has read (and on PostgreSQL locked). Gone with the transaction.
_READ: WeakKeyDictionary[RootTransaction, set[tuple[str, ChainId, str]]] = WeakKeyDictionary()


def _transaction(connection: Connection) -> RootTransaction:
    current = connection.get_transaction()
    assert current is not None, "events are read and counted inside a transaction"
    return current


def _key(consumer: str, chain: ChainId, contract: str) -> tuple[Any, ...]:
    return CURSORS.c.consumer == consumer, CURSORS.c.chain == chain, CURSORS.c.contract == contract


def _locked_cursor(connection: Connection, consumer: str, chain: ChainId, contract: str) -> Cursor | None:
    """On PostgreSQL a second worker waits here until the first has counted. On SQLite its whole transaction waits."""
    if connection.dialect.name == "sqlite" or connection.get_execution_options().get("postgresql_readonly"):
        return cursor(connection, consumer, chain, contract)
    _place(connection, consumer, chain, contract, _START)
    row = connection.execute(select(CURSORS).where(*_key(consumer, chain, contract)).with_for_update()).one()
    return Cursor(row.block, row.log_index)


def _place(connection: Connection, consumer: str, chain: ChainId, contract: str, at: Cursor) -> None:
    row = {"consumer": consumer, "chain": chain, "contract": contract, "block": at.block, "log_index": at.log_index}
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(CURSORS).values(row).on_conflict_do_nothing())


def _kinds(connection: Connection, chain: ChainId, contract: str, names: Iterable[str]) -> list[Row[Any]]:
    return list(
        connection.execute(
            select(KINDS).where(KINDS.c.chain == chain, KINDS.c.contract == contract, KINDS.c.name.in_(sorted(names)))
        )
    )


def _wanted(*topics: bytes | None) -> dict[str, bytes]:
    return {f"topic{number}": value for number, value in enumerate(topics, 1) if value is not None}


def _of_kind(
    connection: Connection,
    kind: Row[Any],
    topics: Mapping[str, bytes],
    after: Cursor | None,
    until: BlockNumber | None,
    limit: int | None,
) -> list[Event]:
    asked: Select[Any] = (
        select(EVENTS, BLOCKS.c.hash, BLOCKS.c.timestamp)
        .join(BLOCKS, and_(BLOCKS.c.chain == EVENTS.c.chain, BLOCKS.c.number == EVENTS.c.block))
        .where(EVENTS.c.kind == kind.id, *(EVENTS.c[name] == value for name, value in topics.items()))
        .order_by(EVENTS.c.block, EVENTS.c.log_index)
        .limit(limit)
    )
    if after is not None:
        past = and_(EVENTS.c.block == after.block, EVENTS.c.log_index > after.log_index)
        asked = asked.where(EVENTS.c.block >= after.block, or_(EVENTS.c.block > after.block, past))
    if until is not None:
        asked = asked.where(EVENTS.c.block <= until)
    inputs = json.loads(kind.inputs)
    return [
        Event(
            row.position,
            row.chain,
            kind.contract,
            kind.name,
            from_json(row.args, inputs),
            row.block,
            row.hash,
            row.timestamp,
            row.tx,
            row.log_index,
        )
        for row in connection.execute(asked)
    ]


def _first(found: Iterator[Event], limit: int | None) -> Iterator[Event]:
    for number, event in enumerate(found):
        if number == limit:
            return
        yield event

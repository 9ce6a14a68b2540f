"""Every event of the suite in the order of the log, and how far each consumer of events has come."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, or_, select

from oracle.errors import Stop
from oracle.store.arguments import from_json
from oracle.store.blocks import BLOCKS, progress
from oracle.store.cursors import Cursor, CursorMoved, locked_cursor, move_cursor
from oracle.store.event_table import EVENTS, KINDS
from oracle.types import BlockHash, BlockNumber, ChainId, Timestamp, TxHash

__all__ = ["Cursor", "CursorMoved", "Event", "NotFinal", "advance_cursor", "events", "final_events", "topic"]


class NotFinal(Stop):
    """A consumer tried to count an event that the chain may still take back."""


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
    after = locked_cursor(connection, consumer, chain, contract)
    # One short walk along an index for each kind; a single question over all would sort the whole rest of the log.
    found = [
        _of_kind(connection, kind, {}, after, reached.final, limit)
        for kind in _kinds(connection, chain, contract, names)
    ]
    return list(_first(heapq.merge(*found, key=lambda event: event.cursor), limit))


def advance_cursor(connection: Connection, consumer: str, event: Event) -> None:
    """Everything of this contract up to and including the event is counted. Only forward, only over final events."""
    reached = progress(connection, event.chain)
    if reached is None or reached.final is None or event.block > reached.final:
        raise NotFinal(
            f"consumer {consumer}: {event.name} in block {event.block} of chain {event.chain} is not final"
            f" (final is {reached.final if reached else None}); read with final_events"
        )
    move_cursor(connection, consumer, event.chain, event.contract, event.cursor)


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

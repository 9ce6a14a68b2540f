"""How far each chain has been read: blocks, the progress over them, and the marks that stop it.

Of final blocks only those that carry events are kept, besides the last one; of blocks that may still be replaced, all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Integer, String, Table, delete, insert, select, update

from oracle.errors import Retry
from oracle.store.columns import METADATA, HashColumn, Id, Time
from oracle.types import BlockHash, BlockNumber, ChainId, Timestamp

BLOCKS = Table(
    "chain_blocks",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", HashColumn, nullable=False),
    Column("parent", HashColumn, nullable=False),
    Column("timestamp", Time, nullable=False),
    Column("events", Integer, nullable=False),
)

PROGRESS = Table(
    "chain_progress",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("top", BigInteger, nullable=False),
    Column("top_hash", HashColumn, nullable=False),
    Column("final", BigInteger, nullable=True),
)

STOPS = Table(
    "chain_stops",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("chain", BigInteger, nullable=False, index=True),
    Column("block", BigInteger, nullable=False),
    Column("was", HashColumn, nullable=False),
    Column("now", HashColumn, nullable=False),
    Column("raised_at", Time, nullable=False),
    Column("cleared_at", Time, nullable=True),
    Column("cleared_because", String, nullable=True),
)


class ProgressMoved(Retry):
    """Another indexer wrote in between."""


@dataclass(frozen=True, slots=True)
class Block:
    number: BlockNumber
    hash: BlockHash
    parent: BlockHash
    timestamp: Timestamp
    events: int


@dataclass(frozen=True)
class Progress:
    """Blocks `first` to `top` of a chain have been read; up to `final` they count for money."""

    chain: ChainId
    first: BlockNumber
    top: BlockNumber
    top_hash: BlockHash
    final: BlockNumber | None


@dataclass(frozen=True)
class StopMark:
    """A block that had been final and was replaced. Settlement stands still until a person has cleared it."""

    id: int
    chain: ChainId
    block: BlockNumber
    was: BlockHash
    now: BlockHash
    raised_at: Timestamp


def progress(connection: Connection, chain: ChainId) -> Progress | None:
    row = connection.execute(select(PROGRESS).where(PROGRESS.c.chain == chain)).one_or_none()
    return Progress(**row._mapping) if row else None


def all_progress(connection: Connection) -> list[Progress]:
    """Of every chain that this database knows."""
    return [Progress(**row._mapping) for row in connection.execute(select(PROGRESS).order_by(PROGRESS.c.chain))]


def blocks_from(connection: Connection, chain: ChainId, number: int) -> list[Block]:
    """The blocks kept at and above a number, in their order."""
    found = connection.execute(
        select(BLOCKS).where(BLOCKS.c.chain == chain, BLOCKS.c.number >= number).order_by(BLOCKS.c.number)
    )
    return [Block(row.number, row.hash, row.parent, row.timestamp, row.events) for row in found]


def put_blocks(connection: Connection, chain: ChainId, blocks: Iterable[Block]) -> None:
    rows = [
        {"chain": chain, "number": b.number, "hash": b.hash, "parent": b.parent, "timestamp": b.timestamp,
         "events": b.events} for b in blocks
    ]  # fmt: skip
    if rows:
        connection.execute(insert(BLOCKS), rows)


def move(connection: Connection, before: Progress | None, after: Progress) -> None:
    """From exactly the progress that was read to a new one; raises ProgressMoved where somebody else was faster."""
    if before is None:
        if progress(connection, after.chain) is not None:
            raise ProgressMoved(f"chain {after.chain}: another indexer began it; is a second daemon running?")
        connection.execute(insert(PROGRESS).values(vars(after)))
        return
    moved = connection.execute(
        update(PROGRESS)
        .where(
            PROGRESS.c.chain == before.chain,
            PROGRESS.c.top == before.top,
            PROGRESS.c.top_hash == before.top_hash,
            PROGRESS.c.final.is_not_distinct_from(before.final),
        )
        .values(top=after.top, top_hash=after.top_hash, final=after.final)
    )
    if moved.rowcount != 1:
        raise ProgressMoved(
            f"chain {before.chain}: another indexer went on from block {before.top}; is a second daemon running?"
        )


def remove_blocks_above(connection: Connection, chain: ChainId, number: int) -> None:
    connection.execute(delete(BLOCKS).where(BLOCKS.c.chain == chain, BLOCKS.c.number > number))


def forget_chain(connection: Connection, chain: ChainId) -> None:
    """As if it had never been read; its events have to be gone already."""
    connection.execute(delete(BLOCKS).where(BLOCKS.c.chain == chain))
    connection.execute(delete(PROGRESS).where(PROGRESS.c.chain == chain))


def forget_empty_blocks_below(connection: Connection, chain: ChainId, number: int) -> None:
    """Final blocks without events: nobody will ask for them."""
    connection.execute(delete(BLOCKS).where(BLOCKS.c.chain == chain, BLOCKS.c.number < number, BLOCKS.c.events == 0))


def raise_stop(
    connection: Connection, chain: ChainId, block: BlockNumber, was: BlockHash, now: BlockHash, at: Timestamp
) -> None:
    if open_stop(connection, chain) is None:
        connection.execute(insert(STOPS).values(chain=chain, block=block, was=was, now=now, raised_at=at))


def open_stop(connection: Connection, chain: ChainId) -> StopMark | None:
    row = connection.execute(
        select(STOPS).where(STOPS.c.chain == chain, STOPS.c.cleared_at.is_(None)).order_by(STOPS.c.id).limit(1)
    ).one_or_none()
    return StopMark(row.id, row.chain, row.block, row.was, row.now, row.raised_at) if row else None


def clear_stop(connection: Connection, mark: StopMark, because: str, at: Timestamp) -> bool:
    """From open to cleared, once, in the transaction that removes what was read from the replaced block on."""
    cleared = connection.execute(
        update(STOPS)
        .where(STOPS.c.id == mark.id, STOPS.c.cleared_at.is_(None))
        .values(cleared_at=at, cleared_because=because)
    )
    return cleared.rowcount == 1

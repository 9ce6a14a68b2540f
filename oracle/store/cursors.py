"""How far each consumer of events has come, on each chain and contract; moved in the transaction that counts."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    RootTransaction,
    String,
    Table,
    and_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import Retry, Stop
from oracle.store.columns import METADATA
from oracle.types import BlockNumber, ChainId

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


class NotAsked(Stop):
    """A consumer counts what it read in another transaction: somebody else may have counted it meanwhile."""


class Cursor(NamedTuple):
    """A place in the log of a chain: everything up to and including it."""

    block: BlockNumber
    log_index: int


_START = Cursor(BlockNumber(-1), -1)

# Which cursors each transaction has read (and on PostgreSQL locked). Gone with the transaction.
_ASKED: WeakKeyDictionary[RootTransaction, set[tuple[str, ChainId, str]]] = WeakKeyDictionary()


def cursor(connection: Connection, consumer: str, chain: ChainId, contract: str) -> Cursor | None:
    row = connection.execute(select(CURSORS).where(*_key(consumer, chain, contract))).one_or_none()
    return Cursor(row.block, row.log_index) if row else None


def locked_cursor(connection: Connection, consumer: str, chain: ChainId, contract: str) -> Cursor | None:
    """On PostgreSQL a second worker waits here until the first has counted. On SQLite its whole transaction waits."""
    _ASKED.setdefault(_transaction(connection), set()).add((consumer, chain, contract))
    if connection.dialect.name == "sqlite" or connection.get_execution_options().get("postgresql_readonly"):
        return cursor(connection, consumer, chain, contract)
    _place(connection, consumer, chain, contract, _START)
    row = connection.execute(select(CURSORS).where(*_key(consumer, chain, contract)).with_for_update()).one()
    return Cursor(row.block, row.log_index)


def move_cursor(connection: Connection, consumer: str, chain: ChainId, contract: str, to: Cursor) -> None:
    """Only ever forward, and only in the transaction that asked where it stands."""
    if (consumer, chain, contract) not in _ASKED.get(_transaction(connection), ()):
        raise NotAsked(
            f"consumer {consumer}: final_events was not asked in this transaction; what it answered before may have"
            " been counted by another worker since. Ask again inside the transaction that counts"
        )
    behind = or_(CURSORS.c.block < to.block, and_(CURSORS.c.block == to.block, CURSORS.c.log_index < to.log_index))
    moved = connection.execute(
        update(CURSORS).where(*_key(consumer, chain, contract), behind).values(block=to.block, log_index=to.log_index)
    )
    if moved.rowcount == 1:
        return
    if cursor(connection, consumer, chain, contract) is not None:
        raise CursorMoved(
            f"consumer {consumer}: {contract} of chain {chain} was counted beyond block {to.block}, log {to.log_index}"
            " already; this work is undone and read anew"
        )
    _place(connection, consumer, chain, contract, to)  # the first on SQLite, where nobody else writes


def consumers_beyond(connection: Connection, chain: ChainId, block: BlockNumber) -> list[tuple[str, str, Cursor]]:
    """(consumer, contract, cursor) of all that have counted something of this block or a later one."""
    found = connection.execute(
        select(CURSORS)
        .where(CURSORS.c.chain == chain, CURSORS.c.block >= block)
        .order_by(CURSORS.c.consumer, CURSORS.c.contract)
    )
    return [(row.consumer, row.contract, Cursor(row.block, row.log_index)) for row in found]


def _transaction(connection: Connection) -> RootTransaction:
    current = connection.get_transaction()
    assert current is not None, "events are read and counted inside a transaction"
    return current


def _key(consumer: str, chain: ChainId, contract: str) -> tuple[Any, ...]:
    return CURSORS.c.consumer == consumer, CURSORS.c.chain == chain, CURSORS.c.contract == contract


def _place(connection: Connection, consumer: str, chain: ChainId, contract: str, at: Cursor) -> None:
    row = {"consumer": consumer, "chain": chain, "contract": contract, "block": at.block, "log_index": at.log_index}
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(CURSORS).values(row).on_conflict_do_nothing())

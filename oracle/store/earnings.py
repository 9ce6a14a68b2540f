"""What published documents say of each account, so that a statement is a look-up and not a reading of all of them.

Written once for each document, by whoever comes to it first; documents never change, so neither does this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Index, Integer, String, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from oracle.store.batches import BATCHES, State
from oracle.store.columns import METADATA, AddressColumn, Document, WeiColumn
from oracle.types import Address, ChainId, Cid, Wei

EARNINGS = Table(
    "earnings",
    METADATA,
    Column("document", String(128), primary_key=True),
    Column("account", AddressColumn, primary_key=True),
    Column("name", String(80), primary_key=True),  # a contribution's, or a role's
    Column("influenced", Integer, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("earned", WeiColumn, nullable=False),
    Column("paid", Integer, nullable=False),
    Column("receipts", Document, nullable=False),  # [hash, wei] of the newest
)
Index("ix_earnings_account", EARNINGS.c.account)

READ = Table("earnings_read", METADATA, Column("document", String(128), primary_key=True))
_AT_ONCE = 1000
_OPEN = (State.POSTED, State.ACTIVE)


@dataclass(frozen=True)
class Earned:
    account: Address
    name: str
    influenced: int
    lost: int
    earned: Wei
    paid: int
    receipts: tuple[tuple[str, Wei], ...]


def unread(connection: Connection, chain: ChainId, limit: int) -> list[Cid]:
    """Documents of posted and active batches that nobody has read yet, the oldest first."""
    asked = (
        select(BATCHES.c.document)
        .where(BATCHES.c.chain == chain, BATCHES.c.state.in_(_OPEN), BATCHES.c.document.is_not(None))
        .where(BATCHES.c.document.not_in(select(READ.c.document)))
        .order_by(BATCHES.c.epoch)
        .limit(limit)
    )
    return [Cid(row.document) for row in connection.execute(asked)]


def put(connection: Connection, document: Cid, found: Iterable[Earned]) -> None:
    """All of one document, once."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    mark = dialect.insert(READ).values(document=document).on_conflict_do_nothing().returning(READ.c.document)
    if connection.execute(mark).first() is None:
        return  # another process was faster
    waiting: list[dict[str, Any]] = []
    for one in found:
        receipts = [[name, str(amount)] for name, amount in one.receipts]
        waiting.append({**vars(one), "receipts": receipts, "document": document})
        if len(waiting) == _AT_ONCE:
            connection.execute(insert(EARNINGS), waiting)
            waiting = []
    if waiting:
        connection.execute(insert(EARNINGS), waiting)


def of(connection: Connection, chain: ChainId, account: Address) -> Iterator[tuple[Earned, Cid, bool]]:
    """Of one account, the oldest batch first, each with its document and whether its root is active."""
    asked = (
        select(EARNINGS, BATCHES.c.state)
        .join(BATCHES, BATCHES.c.document == EARNINGS.c.document)
        .where(EARNINGS.c.account == account, BATCHES.c.chain == chain, BATCHES.c.state.in_(_OPEN))
        .order_by(BATCHES.c.epoch, EARNINGS.c.name)
    )
    for row in connection.execute(asked):
        receipts = tuple((name, Wei(int(amount))) for name, amount in row.receipts)
        one = Earned(row.account, row.name, row.influenced, row.lost, row.earned, row.paid, receipts)
        yield one, Cid(row.document), row.state == State.ACTIVE

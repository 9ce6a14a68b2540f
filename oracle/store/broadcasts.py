"""The journal of what was signed, written before it is sent; and the lanes: one for each key, held by one sender."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    String,
    Table,
    and_,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import Retry
from oracle.store.columns import METADATA, AddressColumn, HashColumn, Id, Time, WeiColumn
from oracle.types import Address, BlockNumber, ChainId, Timestamp, TxHash, Wei

BROADCASTS = Table(
    "chain_broadcasts",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("tx", HashColumn, nullable=False, unique=True),
    Column("intent", String, nullable=False, index=True),
    Column("nonce", BigInteger, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("max_fee", WeiColumn, nullable=False),
    Column("tip", WeiColumn, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("at_block", BigInteger, nullable=False),
    Column("at_time", Time, nullable=False),
)

LANES = Table(
    "chain_lanes",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("sender", AddressColumn, primary_key=True),
    Column("holder", String, nullable=False),
    Column("held_until", Time, nullable=False),
)


class LaneTaken(Retry):
    """Another daemon sends with this key."""


@dataclass(frozen=True)
class Fees:
    """Both fees of EIP-1559, per unit of gas."""

    max_fee: Wei
    tip: Wei


@dataclass(frozen=True)
class Broadcast:
    """A signed transaction. `at_block` and `at_time` are the chain's height and clock when it was signed."""

    tx: TxHash
    intent: str
    nonce: int
    gas: int
    fees: Fees
    raw: bytes
    at_block: BlockNumber
    at_time: Timestamp

    def __repr__(self) -> str:
        return f"Broadcast(0x{self.tx.hex()}, intent={self.intent!r}, nonce={self.nonce}, {self.fees})"


def put_broadcast(connection: Connection, broadcast: Broadcast) -> None:
    """The same bytes again are the same row."""
    row = {
        "tx": broadcast.tx,
        "intent": broadcast.intent,
        "nonce": broadcast.nonce,
        "gas": broadcast.gas,
        "max_fee": broadcast.fees.max_fee,
        "tip": broadcast.fees.tip,
        "raw": broadcast.raw,
        "at_block": broadcast.at_block,
        "at_time": broadcast.at_time,
    }
    known = connection.execute(select(BROADCASTS.c.id).where(BROADCASTS.c.tx == broadcast.tx)).one_or_none()
    if known is None:
        connection.execute(insert(BROADCASTS).values(row))


def broadcasts_of(connection: Connection, intents: Iterable[str]) -> dict[str, list[Broadcast]]:
    """For each intent what was signed for it, the first first."""
    keys = list(intents)
    found: dict[str, list[Broadcast]] = {key: [] for key in keys}
    rows = connection.execute(select(BROADCASTS).where(BROADCASTS.c.intent.in_(keys)).order_by(BROADCASTS.c.id))
    for row in rows:
        fees = Fees(Wei(row.max_fee), Wei(row.tip))
        found[row.intent].append(
            Broadcast(row.tx, row.intent, row.nonce, row.gas, fees, bytes(row.raw), row.at_block, row.at_time)
        )
    return found


def hold_lane(
    connection: Connection, chain: ChainId, sender: Address, holder: str, now: Timestamp, until: Timestamp
) -> None:
    """Takes a lane that is free or run out, or keeps one's own; raises LaneTaken."""
    row = {"chain": chain, "sender": sender, "holder": holder, "held_until": until}
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(LANES).values(row).on_conflict_do_nothing())
    held = connection.execute(
        update(LANES)
        .where(
            LANES.c.chain == chain,
            LANES.c.sender == sender,
            or_(LANES.c.holder == holder, LANES.c.held_until <= now),
        )
        .values(holder=holder, held_until=until)
    )
    if held.rowcount != 1:
        other = connection.execute(select(LANES).where(LANES.c.chain == chain, LANES.c.sender == sender)).one()
        raise LaneTaken(
            f"chain {chain}: {other.holder} sends with {sender} (until {other.held_until}, now {now}); this daemon"
            " waits. Is a second one running?"
        )


def keep_lane(connection: Connection, chain: ChainId, sender: Address, holder: str, until: Timestamp) -> None:
    """In the transaction that writes: raises LaneTaken if the lane was lost, and keeps others from it until the end."""
    kept = connection.execute(
        update(LANES)
        .where(and_(LANES.c.chain == chain, LANES.c.sender == sender, LANES.c.holder == holder))
        .values(held_until=until)
    )
    if kept.rowcount != 1:
        raise LaneTaken(f"chain {chain}: the lane of {sender} went to another daemon; this one waits")


def release_lane(connection: Connection, chain: ChainId, sender: Address, holder: str) -> None:
    """A daemon that ends in order lets the next one begin at once."""
    connection.execute(
        update(LANES)
        .where(LANES.c.chain == chain, LANES.c.sender == sender, LANES.c.holder == holder)
        .values(held_until=0)
    )

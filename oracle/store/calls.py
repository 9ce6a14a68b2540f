"""Calls that cost something: reserved before the model runs, settled to what was delivered, never both twice.

running → done       delivered and charged, with its receipt
running → void       nothing was charged: refused by the engine, failed, or over its time
void    → running    the same idempotency key again

A running call reserves the most that it can cost until `until`. Whoever was killed leaves it running; after that moment
it counts for nothing, and can no longer be ended. So a crash charges nothing, and blocks nothing for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import Retry
from oracle.store.columns import METADATA, AddressColumn, HashColumn, Time, WeiColumn
from oracle.store.prepared import Prepared
from oracle.store.receipts import Lane
from oracle.types import Address, ChainId, Hash32, Timestamp, Wei

LANES = Table(
    "lanes",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("consumer", AddressColumn, primary_key=True),
    Column("key", AddressColumn, primary_key=True),
    Column("total", WeiColumn, nullable=False),  # of the fees of all its receipts
    Column("signed", WeiColumn, nullable=False),  # the highest voucher that was shown
    Column("unsigned", BigInteger, nullable=False),  # receipts behind the last voucher that ends where one does
)

CALLS = Table(
    "calls",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("id", HashColumn, primary_key=True),  # the receipt's, too
    Column("consumer", AddressColumn, nullable=False),
    Column("key", AddressColumn, nullable=False),
    Column("request", HashColumn, nullable=False),  # what was asked: an idempotency key stands for one request
    Column("state", String(16), nullable=False),
    Column("most", WeiColumn, nullable=False),
    Column("until", Time, nullable=False),
    Column("attempt", BigInteger, nullable=False),
    Column("answer", LargeBinary),  # sealed; kept for whoever sends the same idempotency key again
)
Index("ix_calls_running", CALLS.c.chain, CALLS.c.consumer, CALLS.c.until, sqlite_where=CALLS.c.state == "running",
      postgresql_where=CALLS.c.state == "running")  # fmt: skip
Index("ix_calls_until", CALLS.c.until)

# What a hash in a receipt stands for, in canonical JSON: conditions with what held, code and engine.
DOCUMENTS = Table(
    "receipt_documents",
    METADATA,
    Column("hash", HashColumn, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)


class TooLate(Retry):
    """The call's time was over, or another attempt has taken it: what was computed is not charged."""


@dataclass(frozen=True)
class LaneState:
    lane: Lane
    total: Wei
    signed: Wei
    unsigned: int


@dataclass(frozen=True)
class Call:
    id: Hash32
    lane: Lane
    request: Hash32
    state: str
    most: Wei
    until: Timestamp
    attempt: int
    answer: bytes | None


_ALONE = Prepared(lambda _: select(func.pg_advisory_xact_lock(bindparam("name", type_=BigInteger))))
_LANES_OF = Prepared(
    lambda _: (
        select(LANES.c.key, LANES.c.total, LANES.c.signed, LANES.c.unsigned)
        .where(LANES.c.chain == bindparam("on"), LANES.c.consumer == bindparam("of"))
        .with_for_update()
    )
)
_OPEN_LANE = Prepared(lambda dialect: dialect.insert(LANES).values(_bound(LANES)).on_conflict_do_nothing())
_SET_LANE = Prepared(
    lambda _: (
        update(LANES)
        .where(LANES.c.chain == bindparam("on"), LANES.c.consumer == bindparam("of"), LANES.c.key == bindparam("by"))
        .values({name: bindparam(f"new_{name}") for name in ("total", "signed", "unsigned")})
    )
)
_RESERVED = Prepared(
    lambda _: select(CALLS.c.key, CALLS.c.most).where(
        CALLS.c.chain == bindparam("on"),
        CALLS.c.consumer == bindparam("of"),
        CALLS.c.state == "running",
        CALLS.c.until > bindparam("now"),
    )
)
_CALL = Prepared(
    lambda _: select(
        CALLS.c.id, CALLS.c.consumer, CALLS.c.key, CALLS.c.request, CALLS.c.state, CALLS.c.most, CALLS.c.until,
        CALLS.c.attempt, CALLS.c.answer,
    ).where(CALLS.c.chain == bindparam("on"), CALLS.c.id == bindparam("named"))
)  # fmt: skip
_BEGIN = Prepared(lambda dialect: dialect.insert(CALLS).values(_bound(CALLS)).on_conflict_do_nothing())
_END = Prepared(
    lambda _: (
        update(CALLS)
        .where(
            CALLS.c.chain == bindparam("on"),
            CALLS.c.id == bindparam("named"),
            CALLS.c.attempt == bindparam("by"),
            CALLS.c.state == "running",
            CALLS.c.until > bindparam("now"),
        )
        .values(state=bindparam("new_state"), answer=bindparam("new_answer"))
    )
)


def lanes_of(connection: Connection, chain: ChainId, consumer: Address) -> dict[Address, LaneState]:
    """Locked until the end of the transaction: two reservations of one consumer see each other, also its first two."""
    if connection.dialect.name == "postgresql":  # rows that are not there yet cannot be locked
        _ALONE(connection, name=int.from_bytes(bytes.fromhex(consumer[2:18]), "big", signed=True))
    return {
        key: LaneState(Lane(consumer, key), Wei(int(total)), Wei(int(signed)), unsigned)
        for key, total, signed, unsigned in _LANES_OF(connection, on=chain, of=consumer).fetchall()
    }


def open_lane(connection: Connection, chain: ChainId, lane: Lane) -> None:
    _OPEN_LANE(connection, chain=chain, consumer=lane.consumer, key=lane.key, total=0, signed=0, unsigned=0)


def set_lane(connection: Connection, chain: ChainId, state: LaneState) -> None:
    _SET_LANE(
        connection, on=chain, of=state.lane.consumer, by=state.lane.key, new_total=state.total,
        new_signed=state.signed, new_unsigned=state.unsigned,
    )  # fmt: skip


def reach(connection: Connection, chain: ChainId, lane: Lane, total: Wei) -> None:
    """The lane has come so far at least: receipts that a restored backup had lost are back, and the next one follows
    them."""
    open_lane(connection, chain, lane)
    behind = (LANES.c.chain == chain, LANES.c.consumer == lane.consumer, LANES.c.key == lane.key, LANES.c.total < total)
    connection.execute(update(LANES).where(*behind).values(total=total, unsigned=0))


def reserved(connection: Connection, chain: ChainId, consumer: Address, now: Timestamp) -> dict[Address, int]:
    """What running calls may still come to, by key."""
    found: dict[Address, int] = {}
    for key, most in _RESERVED(connection, on=chain, of=consumer, now=now).fetchall():
        found[key] = found.get(key, 0) + int(most)
    return found


def find_call(connection: Connection, chain: ChainId, identity: Hash32) -> Call | None:
    row = _CALL(connection, on=chain, named=identity).fetchone()
    if row is None:
        return None
    name, consumer, key, request, state, most, until, attempt, answer = row
    kept = None if answer is None else bytes(answer)
    lane = Lane(consumer, key)
    return Call(Hash32(bytes(name)), lane, Hash32(bytes(request)), state, Wei(int(most)), until, attempt, kept)


def begin(connection: Connection, chain: ChainId, call: Call, before: Call | None) -> None:
    """`before` is the void call of the same idempotency key; only whoever saw it so may begin it anew."""
    row = {
        "consumer": call.lane.consumer, "key": call.lane.key, "request": call.request, "state": "running",
        "most": call.most, "until": call.until, "attempt": call.attempt, "answer": None,
    }  # fmt: skip
    if before is None:
        begun = _BEGIN(connection, chain=chain, id=call.id, **row).rowcount
    else:
        begun = connection.execute(update(CALLS).where(*_attempt(chain, call.id, before.attempt)).values(row)).rowcount
    if begun != 1:
        raise TooLate(f"call 0x{call.id.hex()}: somebody else has begun it")


def end(
    connection: Connection, chain: ChainId, call: Call, state: str, now: Timestamp, answer: bytes | None = None
) -> None:
    """Once, and only while its time is not over: else it was not reserved any more when it is charged."""
    ended = _END(
        connection, on=chain, named=call.id, by=call.attempt, now=now, new_state=state, new_answer=answer
    )  # fmt: skip
    if ended.rowcount != 1:
        raise TooLate(f"call 0x{call.id.hex()}: its time was over before it was done; nothing is charged")


def forget_calls(connection: Connection, before: Timestamp) -> int:
    """Those that nobody will ask for again under their idempotency key; says how many."""
    return connection.execute(delete(CALLS).where(CALLS.c.until < before)).rowcount


def forget_answers(connection: Connection, chain: ChainId, consumer: Address) -> int:
    """What was kept for repetitions, of one consumer."""
    theirs = (CALLS.c.chain == chain, CALLS.c.consumer == consumer, CALLS.c.answer.is_not(None))
    return connection.execute(update(CALLS).where(*theirs).values(answer=None)).rowcount


def put_document(connection: Connection, name: Hash32, content: bytes) -> None:
    row = {"hash": name, "content": content}
    connection.execute(_dialect(connection).insert(DOCUMENTS).values(row).on_conflict_do_nothing())


def document(connection: Connection, name: Hash32) -> bytes | None:
    found = connection.execute(select(DOCUMENTS.c.content).where(DOCUMENTS.c.hash == name)).scalar_one_or_none()
    return None if found is None else bytes(found)


def _bound(table: Table) -> dict[str, Any]:
    return {column.name: bindparam(column.name) for column in table.columns}


def _attempt(chain: ChainId, identity: Hash32, attempt: int):  # type: ignore[no-untyped-def]
    return CALLS.c.chain == chain, CALLS.c.id == identity, CALLS.c.attempt == attempt


def _dialect(connection: Connection):  # type: ignore[no-untyped-def]
    return postgresql if connection.dialect.name == "postgresql" else sqlite

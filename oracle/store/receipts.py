"""Receipts, the terms they were made under, and the vouchers that pay for them. The API writes them, settlement reads.

delivered → final            once its attribution is fixed; a receipt that cannot be attributed has an empty one
final     → in a batch       `batch` names it; NULL again when that batch was stopped

A *lane* is what vouchers are cumulative in: a consumer and a key. `lane_total` of a receipt is the sum of the fees of
all receipts of its lane up to and including itself; the voucher that pays for it says exactly so much, or pays for a
later one too. `content` is canonical JSON of what the operator signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from oracle.errors import NeedsPerson, Stop
from oracle.store.columns import METADATA, AddressColumn, HashColumn, Id, WeiColumn
from oracle.store.prepared import Prepared
from oracle.types import Address, BasisPoints, ChainId, Hash32, Timestamp, Wei

TERMS = Table(
    "receipt_terms",
    METADATA,
    Column("hash", HashColumn, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

RECEIPTS = Table(
    "receipts",
    METADATA,
    Column("position", Id, primary_key=True),
    Column("chain", BigInteger, nullable=False),
    Column("id", HashColumn, nullable=False),
    Column("hash", HashColumn, nullable=False),
    Column("state", String(16), nullable=False),
    Column("consumer", AddressColumn, nullable=False),
    Column("key", AddressColumn, nullable=False),
    Column("fee", WeiColumn, nullable=False),
    Column("lane_total", WeiColumn, nullable=False),
    Column("batch", BigInteger),
    UniqueConstraint("chain", "hash"),
    # One answer, one receipt: whoever asks twice with one key is charged once.
    UniqueConstraint("chain", "id"),
)
Index("ix_receipts_lane", RECEIPTS.c.chain, RECEIPTS.c.consumer, RECEIPTS.c.key, RECEIPTS.c.lane_total)
Index("ix_receipts_batch", RECEIPTS.c.batch, RECEIPTS.c.hash)

# Apart from the rows that closing an epoch walks and marks: a million of them would otherwise be two gigabytes.
CONTENTS = Table(
    "receipt_contents",
    METADATA,
    Column("receipt", BigInteger, primary_key=True, autoincrement=False),  # its position
    Column("content", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("attribution", LargeBinary),
)

VOUCHERS = Table(
    "vouchers",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("consumer", AddressColumn, primary_key=True),
    Column("key", AddressColumn, primary_key=True),
    Column("cumulative", WeiColumn, primary_key=True),
    Column("deadline", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)


class OtherReceipt(Stop):
    """The same hash for another content, or an attribution that was fixed already as another one."""


class NoSuchReceipt(NeedsPerson):
    """Nothing is known of it."""


class Lane(NamedTuple):
    consumer: Address
    key: Address


class Credit(NamedTuple):
    """What attribution says of one contribution. `holder` is the earliest owner of its near-duplicate cluster."""

    contribution: Hash32
    owner: Address
    weight: int
    holder: Address | None = None

    @property
    def account(self) -> Address:
        return self.owner if self.holder is None else self.holder


@dataclass(frozen=True)
class Attribution:
    """Integer weights: attribution turned its scores into them, and no float comes below that line."""

    credits: tuple[Credit, ...] = ()
    unattributed: int = 0

    @property
    def weight(self) -> int:
        return self.unattributed + sum(credit.weight for credit in self.credits)

    def as_json(self) -> bytes:
        listed = [
            ["0x" + c.contribution.hex(), c.owner, str(c.weight), c.holder] for c in sorted(self.credits, key=_order)
        ]
        return orjson.dumps({"credits": listed, "unattributed": str(self.unattributed)})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Attribution:
        credited = tuple(
            Credit(Hash32(bytes.fromhex(name[2:])), owner, int(weight), holder)
            for name, owner, weight, holder in content["credits"]
        )
        return cls(credited, int(content["unattributed"]))


@dataclass(frozen=True)
class Terms:
    """Who has a part in a version's fees, as the registries said at the time of the answer."""

    split: tuple[BasisPoints, ...]  # six, in the order of the contracts' roles without Commons
    builder: Address
    treasury: Address
    commons: Address
    upstream: tuple[tuple[Address, int], ...] = ()
    reviewers: tuple[tuple[Address, int], ...] = ()
    attestors: tuple[tuple[Address, int], ...] = ()

    def as_json(self) -> bytes:
        content: dict[str, Any] = {**vars(self), "split": list(self.split)}
        for name in ("upstream", "reviewers", "attestors"):
            content[name] = [[account, str(weight)] for account, weight in sorted(content[name])]
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Terms:
        closed: dict[str, Any] = {
            name: tuple((account, int(weight)) for account, weight in content[name])
            for name in ("upstream", "reviewers", "attestors")
        }
        named: dict[str, Any] = {name: content[name] for name in ("builder", "treasury", "commons")}
        return cls(split=tuple(BasisPoints(part) for part in content["split"]), **named, **closed)


@dataclass(frozen=True)
class Receipt:
    """What one answer cost and how it was made; hashes in the place of texts."""

    id: Hash32
    consumer: Address
    key: Address
    model: int
    version: int
    weights: Hash32
    prompt: Hash32
    output: Hash32
    prompt_tokens: int
    output_tokens: int
    input_price: Wei
    output_price: Wei
    fee: Wei
    lane_total: Wei
    terms: Hash32
    conditions: Hash32
    code: Hash32
    served_at: Timestamp

    def as_json(self) -> bytes:
        content = {name: "0x" + v.hex() if isinstance(v, bytes) else v for name, v in vars(self).items()}
        for name in _AMOUNTS:
            content[name] = str(content[name])
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Receipt:
        values = dict(content)
        for name in _HASHES:
            values[name] = bytes.fromhex(values[name][2:])
        for name in _AMOUNTS:
            values[name] = int(values[name])
        return cls(**values)

    @property
    def lane(self) -> Lane:
        return Lane(self.consumer, self.key)


@dataclass(frozen=True)
class Voucher:
    """ "The operator may take up to `cumulative` of mine, in total", by the lane's key."""

    consumer: Address
    key: Address
    cumulative: Wei
    deadline: Timestamp
    signature: bytes

    @property
    def lane(self) -> Lane:
        return Lane(self.consumer, self.key)


class Stored(NamedTuple):
    """A receipt as it goes into a batch: canonical bytes, not yet parsed."""

    hash: Hash32
    content: bytes
    signature: bytes
    attribution: bytes


@dataclass(frozen=True)
class Found:
    """A receipt with what became of it. `attribution` is None until it is fixed, `batch` until one took it."""

    hash: Hash32
    receipt: Receipt
    signature: bytes
    state: str
    attribution: Attribution | None
    batch: int | None


class LaneStep(NamedTuple):
    """One receipt's place in its lane."""

    lane: Lane
    total: Wei
    fee: Wei
    final: bool


_AMOUNTS = ("fee", "lane_total", "input_price", "output_price")
_HASHES = ("id", "weights", "prompt", "output", "terms", "conditions", "code")
RECEIPT_FIELDS = tuple(sorted(field.name for field in fields(Receipt)))


def put_terms(connection: Connection, name: Hash32, terms: Terms) -> None:
    row = {"hash": name, "content": terms.as_json()}
    connection.execute(_dialect(connection).insert(TERMS).values(row).on_conflict_do_nothing())


def terms(connection: Connection) -> dict[Hash32, bytes]:
    return {row.hash: bytes(row.content) for row in connection.execute(select(TERMS))}


_PUT = Prepared(
    lambda dialect: (
        dialect.insert(RECEIPTS)
        .values({column.name: bindparam(column.name) for column in RECEIPTS.columns if column.name != "position"})
        .on_conflict_do_nothing()
        .returning(RECEIPTS.c.position)
    )
)
_PUT_CONTENT = Prepared(
    lambda _: insert(CONTENTS).values({column.name: bindparam(column.name) for column in CONTENTS.columns})
)
_PUT_VOUCHER = Prepared(
    lambda dialect: (
        dialect.insert(VOUCHERS)
        .values({column.name: bindparam(column.name) for column in VOUCHERS.columns})
        .on_conflict_do_nothing()
    )
)


def put_receipt(connection: Connection, chain: ChainId, name: Hash32, receipt: Receipt, signature: bytes) -> None:
    """Once: in the transaction that also counts its fee against the lane. The same again changes nothing."""
    content = receipt.as_json()
    row = {
        "chain": chain,
        "id": receipt.id,
        "hash": name,
        "state": "delivered",
        "consumer": receipt.consumer,
        "key": receipt.key,
        "fee": receipt.fee,
        "lane_total": receipt.lane_total,
        "batch": None,
    }
    position = _PUT(connection, **row).fetchone()
    if position is not None:
        _PUT_CONTENT(connection, receipt=position[0], content=content, signature=signature, attribution=None)
        return
    there = connection.execute(_WHOLE.where(*_named(chain, name)).with_only_columns(CONTENTS.c.content)).scalar()
    if there is None or bytes(there) != content:
        raise OtherReceipt(f"receipt 0x{receipt.id.hex()}: another one was stored under this id or hash before")


def fix_attribution(connection: Connection, chain: ChainId, name: Hash32, attribution: Attribution) -> None:
    """The receipt is final. Attribution is fixed once: what was paid for cannot be reckoned anew."""
    content = attribution.as_json()
    if _final(connection, chain, name, content, RECEIPTS.c.state == "delivered"):
        return
    row = connection.execute(_WHOLE.where(*_named(chain, name))).one_or_none()
    if row is None:
        raise NoSuchReceipt(f"receipt 0x{name.hex()}: not stored on chain {chain}; its attribution belongs to nothing")
    if row.attribution is None or bytes(row.attribution) != content:
        raise OtherReceipt(f"receipt 0x{name.hex()}: its attribution was fixed before, as another one")


def keep_voucher(connection: Connection, chain: ChainId, voucher: Voucher) -> None:
    """Every voucher is kept until settled: the highest may ask for more than was delivered."""
    _PUT_VOUCHER(connection, chain=chain, **vars(voucher))


def find(connection: Connection, chain: ChainId, identity: Hash32) -> Found | None:
    """The receipt of an answer, for whoever asks by its id."""
    row = connection.execute(_WHOLE.where(RECEIPTS.c.chain == chain, RECEIPTS.c.id == identity)).one_or_none()
    if row is None:
        return None
    fixed = None if row.attribution is None else Attribution.from_json(orjson.loads(bytes(row.attribution)))
    receipt = Receipt.from_json(orjson.loads(bytes(row.content)))
    return Found(row.hash, receipt, bytes(row.signature), row.state, fixed, row.batch)


# What settlement asks


def lane_steps(connection: Connection, chain: ChainId) -> Iterator[LaneStep]:
    """Receipts that are in no batch, by lane and in the order of their lane."""
    asked = (
        select(RECEIPTS.c.consumer, RECEIPTS.c.key, RECEIPTS.c.lane_total, RECEIPTS.c.fee, RECEIPTS.c.state)
        .where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_(None))
        .order_by(RECEIPTS.c.consumer, RECEIPTS.c.key, RECEIPTS.c.lane_total, RECEIPTS.c.fee.desc())
    )
    for consumer, key, total, fee, state in connection.execute(asked.execution_options(yield_per=20_000)):
        yield LaneStep(Lane(consumer, key), total, fee, state == "final")


def settled_totals(connection: Connection, chain: ChainId) -> dict[Lane, Wei]:
    """How far each lane has come into batches."""
    found = connection.execute(
        select(RECEIPTS.c.consumer, RECEIPTS.c.key, func.max(RECEIPTS.c.lane_total))
        .where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_not(None))
        .group_by(RECEIPTS.c.consumer, RECEIPTS.c.key)
    )
    return {Lane(consumer, key): Wei(int(total)) for consumer, key, total in found}


def vouchers(connection: Connection, chain: ChainId) -> dict[Lane, list[Voucher]]:
    """By lane, the lowest first."""
    found: dict[Lane, list[Voucher]] = {}
    rows = connection.execute(select(VOUCHERS).where(VOUCHERS.c.chain == chain).order_by(VOUCHERS.c.cumulative))
    for row in rows:
        kept = Voucher(row.consumer, row.key, Wei(row.cumulative), Timestamp(row.deadline), bytes(row.signature))
        found.setdefault(kept.lane, []).append(kept)
    return found


def unpaid_lanes(connection: Connection, chain: ChainId) -> set[Lane]:
    """Those that have a receipt in no batch."""
    asked = select(RECEIPTS.c.consumer, RECEIPTS.c.key).where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_(None))
    return {Lane(consumer, key) for consumer, key in connection.execute(asked.distinct())}


def forget_vouchers(connection: Connection, chain: ChainId, settled: Iterable[tuple[Lane, Wei]]) -> None:
    """Vouchers below what a batch in force has settled: they can move nothing any more."""
    old = delete(VOUCHERS).where(
        VOUCHERS.c.chain == chain,
        VOUCHERS.c.consumer == bindparam("of_consumer"),
        VOUCHERS.c.key == bindparam("of_key"),
        VOUCHERS.c.cumulative < bindparam("reach"),
    )
    lanes = [{"of_consumer": lane.consumer, "of_key": lane.key, "reach": total} for lane, total in settled]
    if lanes:
        connection.execute(old, lanes)


def take(connection: Connection, chain: ChainId, batch: int, reach: Mapping[Lane, Wei]) -> int:
    """Puts every final receipt up to a lane's reach into a batch, unless it is in one; says how many."""
    before = _count(connection, batch)
    if reach:
        connection.execute(
            update(RECEIPTS)
            .where(
                RECEIPTS.c.chain == chain,
                RECEIPTS.c.consumer == bindparam("of_consumer"),
                RECEIPTS.c.key == bindparam("of_key"),
                RECEIPTS.c.lane_total <= bindparam("reach"),
                RECEIPTS.c.state == "final",
                RECEIPTS.c.batch.is_(None),
            )
            .values(batch=batch),
            [
                {"of_consumer": lane.consumer, "of_key": lane.key, "reach": total}
                for lane, total in sorted(reach.items())
            ],
        )
    return _count(connection, batch) - before


def restore(
    connection: Connection,
    chain: ChainId,
    batch: int,
    paid: Iterable[tuple[Hash32, Receipt, bytes, Attribution]],
) -> int:
    """What a published batch paid, whether this database still knew of it or not; says how many."""
    count = 0
    for name, receipt, signature, attribution in paid:
        put_receipt(connection, chain, name, receipt, signature)
        count += _final(connection, chain, name, attribution.as_json(), batch=batch)
    return count


def release(connection: Connection, batch: int) -> int:
    """The batch was stopped: its receipts wait for the next one."""
    return connection.execute(update(RECEIPTS).where(RECEIPTS.c.batch == batch).values(batch=None)).rowcount


def of_batch(connection: Connection, batch: int) -> Iterator[Stored]:
    """In the order of their hashes, which is that of the batch."""
    asked = (
        select(RECEIPTS.c.hash, CONTENTS.c.content, CONTENTS.c.signature, CONTENTS.c.attribution)
        .join(CONTENTS, CONTENTS.c.receipt == RECEIPTS.c.position)
        .where(RECEIPTS.c.batch == batch)
        .order_by(RECEIPTS.c.hash)
    )
    for row in connection.execute(asked.execution_options(yield_per=20_000)):
        yield Stored(row[0], bytes(row[1]), bytes(row[2]), bytes(row[3]))


def waiting(connection: Connection, chain: ChainId) -> dict[str, int]:
    """Receipts in no batch, by state."""
    found = connection.execute(
        select(RECEIPTS.c.state, func.count())
        .where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_(None))
        .group_by(RECEIPTS.c.state)
    )
    return {row[0]: row[1] for row in found}


_WHOLE = select(RECEIPTS, CONTENTS).join(CONTENTS, CONTENTS.c.receipt == RECEIPTS.c.position)


def _final(
    connection: Connection,
    chain: ChainId,
    name: Hash32,
    attribution: bytes,
    *conditions: ColumnElement[bool],
    **values: object,
) -> bool:
    moved = connection.execute(
        update(RECEIPTS)
        .where(*_named(chain, name), *conditions)
        .values(state="final", **values)
        .returning(RECEIPTS.c.position)
    ).scalar_one_or_none()
    if moved is not None:
        fixed = update(CONTENTS).where(CONTENTS.c.receipt == moved).values(attribution=attribution)
        connection.execute(fixed)
    return moved is not None


def _count(connection: Connection, batch: int) -> int:
    return int(connection.execute(select(func.count()).where(RECEIPTS.c.batch == batch)).scalar_one())


def _named(chain: ChainId, name: Hash32) -> tuple[Any, ...]:
    return RECEIPTS.c.chain == chain, RECEIPTS.c.hash == name


def _order(credit: Credit) -> tuple[Hash32, str, int, str]:
    return credit.contribution, credit.owner, credit.weight, credit.holder or ""


def _dialect(connection: Connection) -> Any:
    return postgresql if connection.dialect.name == "postgresql" else sqlite

"""What settlement asks of receipts: how far lanes have come, and what a batch takes, pays or gives back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    String,
    any_,
    bindparam,
    func,
    literal,
    select,
    type_coerce,
    update,
)

from oracle.store.database import roomy
from oracle.store.paid import Attribution, Lane, LaneStep, Receipt, Stored
from oracle.store.prepared import Prepared
from oracle.store.receipts import CONTENTS, RECEIPTS, finalise, put_receipt
from oracle.types import Address, ChainId, Hash32, Wei

_TAKEN_AT_ONCE = 20_000
_PAGE = 10_000


def lane_steps(connection: Connection, chain: ChainId) -> Iterator[LaneStep]:
    """Receipts that are in no batch, by lane and in the order of their lane."""
    # As the driver has them: the column's own type would make a number of each by several calls.
    amounts = [type_coerce(column, String) for column in (RECEIPTS.c.lane_total, RECEIPTS.c.fee)]
    asked = (
        select(RECEIPTS.c.consumer, RECEIPTS.c.key, *amounts, RECEIPTS.c.state, RECEIPTS.c.position)
        .where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_(None))
        .order_by(RECEIPTS.c.consumer, RECEIPTS.c.key, RECEIPTS.c.lane_total, RECEIPTS.c.fee.desc())
    )
    lane = Lane(Address(""), Address(""))
    for consumer, key, total, fee, state, position in connection.execute(asked.execution_options(yield_per=20_000)):
        if consumer != lane.consumer or key != lane.key:
            lane = Lane(consumer, key)
        yield LaneStep(lane, Wei(int(total)), Wei(int(fee)), state == "final", position)


def settled_totals(connection: Connection, chain: ChainId) -> dict[Lane, Wei]:
    """How far each lane has come into batches."""
    found = connection.execute(
        select(RECEIPTS.c.consumer, RECEIPTS.c.key, func.max(RECEIPTS.c.lane_total))
        .where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_not(None))
        .group_by(RECEIPTS.c.consumer, RECEIPTS.c.key)
    )
    return {Lane(consumer, key): Wei(int(total)) for consumer, key, total in found}


def unpaid_lanes(connection: Connection, chain: ChainId) -> set[Lane]:
    """Those that have a receipt in no batch."""
    asked = select(RECEIPTS.c.consumer, RECEIPTS.c.key).where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_(None))
    return {Lane(consumer, key) for consumer, key in connection.execute(asked.distinct())}


def take(connection: Connection, batch: int, positions: Sequence[int]) -> int:
    """Puts receipts into a batch, unless they are in one or not final; says how many.

    In the order in which they lie, whatever lane they are of: each page of the table is then written once.
    """
    count = 0
    ordered = sorted(positions)
    with roomy(connection):
        for start in range(0, len(ordered), _TAKEN_AT_ONCE):
            count += connection.execute(
                update(RECEIPTS)
                .where(
                    _lies_at(connection, ordered[start : start + _TAKEN_AT_ONCE]),
                    RECEIPTS.c.state == "final",
                    # Written so that no index serves for it: all that waits would be walked for each of these.
                    func.coalesce(RECEIPTS.c.batch, 0) == 0,
                )
                .values(batch=batch)
            ).rowcount
    return count


def _lies_at(connection: Connection, positions: list[int]) -> ColumnElement[bool]:
    """One value, however many they are."""
    if connection.dialect.name == "postgresql":
        return RECEIPTS.c.position == any_(literal(positions, ARRAY(BigInteger)))
    listed = func.json_each(json.dumps(positions)).table_valued("value")
    return RECEIPTS.c.position.in_(select(listed.c.value))


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
        count += finalise(connection, chain, name, attribution.as_json(), batch=batch)
    return count


def release(connection: Connection, batch: int) -> int:
    """The batch was stopped: its receipts wait for the next one."""
    return connection.execute(update(RECEIPTS).where(RECEIPTS.c.batch == batch).values(batch=None)).rowcount


def fees_of(connection: Connection, batch: int) -> Wei:
    """What its receipts come to."""
    return Wei(sum(connection.execute(select(RECEIPTS.c.fee).where(RECEIPTS.c.batch == batch)).scalars()))


_NEXT_OF_BATCH = Prepared(
    lambda _: (
        select(RECEIPTS.c.hash, CONTENTS.c.content, CONTENTS.c.signature, CONTENTS.c.attribution)
        .join(CONTENTS, CONTENTS.c.receipt == RECEIPTS.c.position)
        .where(RECEIPTS.c.batch == bindparam("batch"), RECEIPTS.c.hash > bindparam("after", type_=LargeBinary))
        .order_by(RECEIPTS.c.hash)
        .limit(_PAGE)
    ),
    binary=True,
)


def of_batch(connection: Connection, batch: int) -> Iterator[Stored]:
    """In the order of their hashes, which is that of the batch. In pages, each of which begins behind the last: neither
    database then sorts gigabytes to say who is first, and no driver holds them."""
    after = b""
    while page := _NEXT_OF_BATCH(connection, batch=batch, after=after).fetchall():
        yield from map(Stored._make, page)
        after = page[-1][0]


def waiting(connection: Connection, chain: ChainId) -> dict[str, int]:
    """Receipts in no batch, by state."""
    found = connection.execute(
        select(RECEIPTS.c.state, func.count())
        .where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_(None))
        .group_by(RECEIPTS.c.state)
    )
    return {row[0]: row[1] for row in found}

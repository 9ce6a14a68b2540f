"""What settlement asks of receipts: how far lanes have come, and what a batch takes, pays or gives back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection, bindparam, func, select, update

from oracle.store.paid import Attribution, Lane, LaneStep, Receipt, Stored
from oracle.store.receipts import CONTENTS, RECEIPTS, finalise, put_receipt
from oracle.types import ChainId, Hash32, Wei


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


def unpaid_lanes(connection: Connection, chain: ChainId) -> set[Lane]:
    """Those that have a receipt in no batch."""
    asked = select(RECEIPTS.c.consumer, RECEIPTS.c.key).where(RECEIPTS.c.chain == chain, RECEIPTS.c.batch.is_(None))
    return {Lane(consumer, key) for consumer, key in connection.execute(asked.distinct())}


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
        count += finalise(connection, chain, name, attribution.as_json(), batch=batch)
    return count


def release(connection: Connection, batch: int) -> int:
    """The batch was stopped: its receipts wait for the next one."""
    return connection.execute(update(RECEIPTS).where(RECEIPTS.c.batch == batch).values(batch=None)).rowcount


def fees_of(connection: Connection, batch: int) -> Wei:
    """What its receipts come to."""
    return Wei(sum(connection.execute(select(RECEIPTS.c.fee).where(RECEIPTS.c.batch == batch)).scalars()))


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


def _count(connection: Connection, batch: int) -> int:
    return int(connection.execute(select(func.count()).where(RECEIPTS.c.batch == batch)).scalar_one())

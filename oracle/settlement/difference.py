"""What settling now would change, account by account, without writing anything."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from oracle.settlement import batch as batching
from oracle.settlement.batch import balances_of
from oracle.settlement.coverage import SETTLING_S, covered
from oracle.settlement.document import End, Head
from oracle.settlement.hashing import NOTHING
from oracle.settlement.onchain import Onchain
from oracle.store import batches, owing, receipts
from oracle.store.batches import State
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.receipts import Lane
from oracle.types import Address, Epoch, Timestamp, Wei


@dataclass(frozen=True)
class Difference:
    """The next batch against the last one."""

    epoch: Epoch
    end: End | None  # None: nothing can be paid now
    changes: Sequence[tuple[Address, Wei, Wei]]  # account, before, after
    waiting: dict[Lane, str]


class _DryRun(Exception):
    pass


def difference(database: Database, blobs: Blobs, onchain: Onchain, operator: Address) -> Difference:
    """Closes the epoch in a transaction that is taken back, and writes its document where nobody looks."""
    facts, chain = onchain.facts(), onchain.book.chain
    with database.reading() as connection:
        unpaid = owing.unpaid_lanes(connection, chain)
        kept = {lane: known for lane, known in receipts.vouchers(connection, chain).items() if lane in unpaid}
    funds, balances = onchain.funds(kept.keys())
    found: Difference | None = None
    try:
        with database.transaction() as connection, tempfile.TemporaryDirectory() as folder:
            last = batches.newest(connection, chain, State.ACTIVE)
            current = batches.on_its_way(connection, chain)
            if current is None:
                batches.begin(connection, chain, Epoch(last.epoch + 1 if last else 1), facts.now)
                current = batches.on_its_way(connection, chain)
            assert current is not None
            root = last.root if last and last.root else NOTHING
            total = last.total if last and last.total is not None else Wei(0)
            document = last.document if last else None
            waiting: dict[Lane, str] = {}
            if current.state == State.OPEN:
                settled = owing.settled_totals(connection, chain)
                steps = owing.lane_steps(connection, chain)
                plan = covered(steps, settled, kept, funds, balances, Timestamp(facts.now + SETTLING_S))
                waiting = dict(plan.waiting)
                if not plan.vouchers:
                    found = Difference(current.epoch, None, (), waiting)
                    raise _DryRun
                stands_on = {"round": facts.round, "previous_root": root, "previous_document": document}
                batching.close(connection, current, plan, facts.now, **stands_on)
                current = batches.batch(connection, current.id)
            contracts = (onchain.escrow, onchain.distributor, onchain.models)
            head = Head(chain, current.epoch, *contracts, operator, root, total)
            before = balances_of(blobs, document)
            made = batching.make(connection, blobs, current, head, Blobs(folder))
            after = balances_of(Blobs(folder), made.document)
            earlier = dict(before)
            changes = [(name, earlier.get(name, Wei(0)), amount) for name, amount in after]
            changed = [change for change in changes if change[1] != change[2]]
            found = Difference(current.epoch, made.end, changed, waiting)
            raise _DryRun
    except _DryRun:
        pass
    assert found is not None
    return found

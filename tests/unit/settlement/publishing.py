"""From a world to a bundle, without a chain: what the settler does, with an escrow that covers everything."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection
from unit.settlement.world import Person, World

from oracle.settlement import batch as batching
from oracle.settlement.batch import Made
from oracle.settlement.coverage import Covered, Funds, covered
from oracle.settlement.document import Head
from oracle.settlement.hashing import NOTHING, Statement
from oracle.settlement.verify import Signed
from oracle.store import batches, owing, receipts
from oracle.store.batches import State
from oracle.store.blobs import Blobs
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.types import Address, ChainId, Epoch, Timestamp, Wei

CHAIN = ChainId(31337)
ESCROW, DISTRIBUTOR, MODELS = (Address(f"0x{number:040d}") for number in (1, 2, 3))
ATTESTORS = [Person(f"attestor {number}") for number in range(3)]
RICH = Wei(10**30)


def new_world(**options: int) -> World:
    return World(CHAIN, ESCROW, **options)  # type: ignore[arg-type]


def new_store(folder: Path) -> tuple[Database, Blobs]:
    database = Database(f"sqlite:///{folder}/ledger.db")
    METADATA.create_all(database.engine)
    return database, Blobs(str(folder / "blobs"))


def plan(connection: Connection) -> Covered:
    kept = receipts.vouchers(connection, CHAIN)
    settled = owing.settled_totals(connection, CHAIN)
    funds = {lane: Funds(settled.get(lane, Wei(0))) for lane in kept}
    balances = {lane.consumer: RICH for lane in kept}
    return covered(owing.lane_steps(connection, CHAIN), settled, kept, funds, balances, Timestamp(0))


def publish(database: Database, blobs: Blobs, world: World) -> tuple[Made, Signed]:
    """Closes the next epoch and makes it active."""
    with database.transaction() as connection:
        last = batches.newest(connection, CHAIN, State.ACTIVE)
        root = last.root if last and last.root else NOTHING
        total = last.total if last and last.total is not None else Wei(0)
        batches.begin(connection, CHAIN, Epoch(last.epoch + 1 if last else 1), Timestamp(1))
        current = batches.on_its_way(connection, CHAIN)
        assert current is not None
        stands_on = {"round": 0, "previous_root": root, "previous_document": last.document if last else None}
        batching.close(connection, current, plan(connection), Timestamp(2), **stands_on)
        current = batches.batch(connection, current.id)
        head = Head(CHAIN, current.epoch, ESCROW, DISTRIBUTOR, MODELS, world.operator.address, root, total)
        made = batching.make(connection, blobs, current, head)
        found = {
            "root": made.end.root,
            "total": made.end.total,
            "fees": made.end.fees,
            "content_hash": made.header.hash,
            "document": made.document,
        }
        batches.move(connection, current.id, State.PUBLISHED, **found)
        for state in (State.ATTESTED, State.POSTED, State.ACTIVE):
            batches.move(connection, current.id, state)
    said = Statement(root, made.end.root, current.epoch, 0, made.end.total, made.header.hash)
    return made, sign(said, made)


def sign(said: Statement, made: Made) -> Signed:
    preimage = said.preimage(CHAIN, DISTRIBUTOR)
    signatures = {one.address: one.sign(preimage) for one in ATTESTORS}
    return Signed(CHAIN, DISTRIBUTOR, made.document, said, signatures)

"""The look-up of statements: the same as reading every document, read once, and bounded however many there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, update
from unit.settlement.publishing import CHAIN, new_world, publish
from unit.settlement.world import account

from oracle.settlement.earnings import NAMED, looked_up, read_new
from oracle.settlement.statement import statement
from oracle.store import batches, earnings
from oracle.store.batches import BATCHES, State
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.types import Cid, Wei

CHAIN_ID = CHAIN


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "blobs"))


def stands(database: Database, state: State) -> None:
    """The batch that was published, one of its later states on."""
    with database.transaction() as connection:
        connection.execute(update(BATCHES).values(state=state))


def away(database: Database, epoch: int) -> None:
    """A batch whose bytes are not on this machine."""
    row = {
        "chain": CHAIN_ID, "epoch": epoch, "attempt": 1, "state": State.ACTIVE, "opened_at": epoch, "lanes": [],
        "document": f"away{epoch}",
    }  # fmt: skip
    with database.transaction() as connection:
        connection.execute(insert(BATCHES), [row])


def test_look_up__of_everybody__then_it_says_what_the_document_says(database: Database, blobs: Blobs) -> None:
    world = new_world()
    with database.transaction() as connection:
        world.serve(connection, 30)
    made, _ = publish(database, blobs, world)
    document = Cid(made.document)
    stands(database, State.ACTIVE)
    assert read_new(database, blobs, CHAIN_ID, 4) == 1
    assert read_new(database, blobs, CHAIN_ID, 4) == 0
    for who in {*world.owed, account(3)}:
        with blobs.open(document) as published:
            whole = statement(who, [(1, published, True)], {}, Wei(7))  # type: ignore[list-item]
        found = looked_up(database, CHAIN_ID, who, {}, Wei(7))
        assert (found.earned, found.claimable, found.pending) == (whole.earned, whole.claimable, whole.pending)
        for one, other in zip(found.lines, whole.lines, strict=True):
            assert vars(one) | {"receipts": ()} == vars(other) | {"receipts": ()}
            assert one.receipts == other.receipts[-NAMED:]


def test_documents__that_are_not_here__then_the_others_are_read(database: Database, blobs: Blobs) -> None:
    world = new_world()
    with database.transaction() as connection:
        world.serve(connection, 3)
    publish(database, blobs, world)
    stands(database, State.ACTIVE)
    for epoch in range(100, 108):  # after it: reading goes from the oldest on
        away(database, epoch)
    assert read_new(database, blobs, CHAIN_ID, 1) == 1
    with database.reading() as connection:
        assert len(earnings.unread(connection, CHAIN_ID, 100)) == 8


def test_pending__while_a_root_waits_for_its_window__then_it_is_not_claimable(database: Database, blobs: Blobs) -> None:
    world = new_world()
    with database.transaction() as connection:
        world.serve(connection, 5)
    publish(database, blobs, world)
    stands(database, State.POSTED)
    read_new(database, blobs, CHAIN_ID, 1)
    found = looked_up(database, CHAIN_ID, world.builder, {}, Wei(0))
    assert found.claimable == 0 and found.pending == found.earned > 0
    with database.reading() as connection:
        assert batches.newest(connection, CHAIN_ID, State.ACTIVE) is None

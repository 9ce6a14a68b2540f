"""What a statement says of contributions: by whoever they were sent, accepted by whom, in which snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from unit.settlement.publishing import CHAIN, new_store, new_world, publish
from unit.settlement.world import account, text

from oracle.settlement.reports import Published, contributions_of, one_by_one
from oracle.settlement.statement import Known, statement
from oracle.store import contributions, snapshots
from oracle.store.arguments import to_json
from oracle.store.blocks import Block, put_blocks
from oracle.store.event_table import Kind, NewEvent, put_events, register_kinds
from oracle.types import BlockHash, BlockNumber, Cid, ContributionId, DatanetId, Epoch, Hash32, Timestamp, Wei

INPUTS = (
    {"name": "model", "type": "uint256", "indexed": True},
    {"name": "version", "type": "uint256", "indexed": True},
    {
        "name": "snapshots",
        "type": "tuple[]",
        "components": [{"name": "datanet", "type": "uint256"}, {"name": "version", "type": "uint256"}],
    },
)


def test_contributions__of_an_account__then_only_a_snapshot_that_holds_them_counts_as_training(tmp_path: Path) -> None:
    database, _ = new_store(tmp_path)
    owner, held, late, waiting = account(1), text("held"), text("late"), text("waiting")
    with database.transaction() as connection:
        for place, name in enumerate((held, late, waiting)):
            contributions.hear(
                connection,
                ContributionId(name),
                DatanetId(7),
                owner,
                0,
                text("root"),
                10,
                text("manifest"),
                place,
                Wei(0),
            )
        contributions.hear(
            connection,
            ContributionId(text("other")),
            DatanetId(7),
            account(2),
            0,
            text("root"),
            10,
            text("m"),
            3,
            Wei(0),
        )
        for name in (held, late):
            contributions.note(connection, name, recorded=text("accepted") + (8).to_bytes(8, "big") + text("why"))
        contributions.receive(
            connection, text("unsigned"), DatanetId(7), owner, 0, False, Cid("c"), "rows.jsonl", "CC0-1.0"
        )
        contributions.note(connection, text("unsigned"), name=text("its name"), count=4)
        fields = {"manifest": b"", "rows": "", "accumulator": text("a"), "manifest_hash": text("m"), "name": "seven"}
        fields |= {"version": 1, "number": 1, "root": text("r"), "count": 8}
        made = snapshots.put_snapshot(connection, DatanetId(7), {held: 8}, **fields)
        assert made.version == 1
        kind = Kind(CHAIN, account(9), text("topic"), "ModelRegistry", "VersionPublished", INPUTS)
        ids = register_kinds(connection, [kind])
        block = Block(BlockNumber(1), BlockHash(text("b")), BlockHash(text("p")), Timestamp(1), 1)
        put_blocks(connection, CHAIN, [block])
        args = {"model": 3, "version": 2, "snapshots": [{"datanet": 7, "version": 1}]}
        row = NewEvent(1, 0, ids[kind.address, kind.topic], text("tx"), None, None, None, to_json(args))
        put_events(connection, CHAIN, [row])
    with database.reading() as connection:
        found = contributions_of(connection, CHAIN, owner)
    assert found == {
        Hash32(held): Known(8, 10, ("model 3 version 2",)),
        Hash32(late): Known(8, 10, ()),
        Hash32(waiting): Known(None, 10, ()),
    }
    database.close()


def test_documents__of_many_epochs__then_one_is_open_at_a_time_and_the_statement_is_of_all(tmp_path: Path) -> None:
    database, blobs = new_store(tmp_path)
    world, made = new_world(), list[Cid]()
    for _ in range(4):
        with database.transaction() as connection:
            world.serve(connection, 6)
        made.append(publish(database, blobs, world)[0].document)
    database.close()
    at_once: list[int] = []

    def opened(document: Cid) -> Published:
        @contextmanager
        def read() -> Iterator[BinaryIO]:
            with blobs.open(document) as content:
                at_once.append(1)
                yield content
                at_once.append(-1)

        return Published(Epoch(1 + made.index(document)), True, read)

    found = statement(world.builder, one_by_one(map(opened, made)), {}, Wei(0))
    assert found.earned == found.claimable == world.owed[world.builder]
    assert at_once == [1, -1] * 4

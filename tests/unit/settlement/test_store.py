"""What the API writes and settlement reads: once, and never differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from unit.settlement.publishing import CHAIN, new_store, new_world, publish

from oracle.settlement.receipts import receipt_hash
from oracle.store import batches, owing, receipts
from oracle.store.batches import PREDECESSORS, Attestation, State, WrongBatchState
from oracle.store.database import Database
from oracle.store.receipts import Attribution, NoSuchReceipt, OtherReceipt
from oracle.types import Address, Epoch, Hash32, Timestamp, Wei


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened, _ = new_store(tmp_path)
    yield opened
    opened.close()


def test_put_receipt__twice__then_once_and_another_under_its_id_is_refused(database: Database) -> None:
    world = new_world()
    receipt = world.receipt(world.people[0], 10)
    name, signature = world.signed(receipt)
    with database.transaction() as connection:
        for _ in range(2):
            receipts.put_receipt(connection, CHAIN, name, receipt, signature)
        assert owing.waiting(connection, CHAIN) == {"delivered": 1}
        other = replace(receipt, fee=Wei(11))
        with pytest.raises(OtherReceipt):
            receipts.put_receipt(connection, CHAIN, receipt_hash(other), other, signature)
        found = receipts.find(connection, CHAIN, receipt.id)
        assert found is not None and (found.receipt, found.state, found.attribution) == (receipt, "delivered", None)
        assert receipts.find(connection, CHAIN, Hash32(bytes(32))) is None


def test_fix_attribution__twice__then_it_stays_as_it_was_fixed(database: Database) -> None:
    world = new_world()
    receipt, attribution = world.receipt(world.people[0]), world.attribution()
    name, signature = world.signed(receipt)
    with database.transaction() as connection:
        with pytest.raises(NoSuchReceipt):
            receipts.fix_attribution(connection, CHAIN, name, attribution)
        receipts.put_receipt(connection, CHAIN, name, receipt, signature)
        for _ in range(2):
            receipts.fix_attribution(connection, CHAIN, name, attribution)
        with pytest.raises(OtherReceipt):
            receipts.fix_attribution(connection, CHAIN, name, Attribution((), 1))
        found = receipts.find(connection, CHAIN, receipt.id)
        assert found is not None and found.attribution is not None
        assert set(found.attribution.credits) == set(attribution.credits)


def test_take__by_a_plan_of_before__then_takes_nothing_from_another_batch_and_nothing_unattributed(
    database: Database,
) -> None:
    """Whoever planned may come late: what is where then decides, and not what was when they looked."""
    world = new_world()
    with database.transaction() as connection:
        for final in (True, True, False):
            receipt = world.receipt(world.people[0])
            name, signature = world.signed(receipt)
            receipts.put_receipt(connection, CHAIN, name, receipt, signature)
            if final:
                receipts.fix_attribution(connection, CHAIN, name, world.attribution())
        places = [step.position for step in owing.lane_steps(connection, CHAIN)]
        assert len(set(places)) == 3
        assert owing.take(connection, 1, places[:1]) == 1
        assert owing.take(connection, 2, places) == 1
        taken = [len(list(owing.of_batch(connection, batch))) for batch in (1, 2)]
        assert taken == [1, 1]
        assert owing.waiting(connection, CHAIN) == {"delivered": 1}


def test_publish__in_any_order_of_arrival__then_the_same_root_and_the_same_bytes(tmp_path: Path) -> None:
    """Same inputs, same root: on any machine, in any order."""
    made = []
    for turn in range(2):
        folder = tmp_path / str(turn)
        folder.mkdir()
        opened, blobs = new_store(folder)
        world = new_world()
        with opened.transaction() as connection:
            receipts.put_terms(connection, world.terms_name, world.terms)
            served = [(world.receipt(person), world.attribution()) for person in world.people * 4]
            for receipt, attribution in reversed(served) if turn else served:
                name, signature = world.signed(receipt)
                receipts.put_receipt(connection, CHAIN, name, receipt, signature)
                receipts.fix_attribution(connection, CHAIN, name, attribution)
            for person in world.people:
                receipts.keep_voucher(connection, CHAIN, world.voucher(person))
        made.append(publish(opened, blobs, world)[0])
        opened.close()
    assert made[0] == made[1]


def test_move__from_every_state_to_every_other__then_only_as_the_table_says(database: Database) -> None:
    for epoch, (state, allowed) in enumerate(PREDECESSORS.items(), 1):
        for before in State:
            with database.transaction() as connection:
                number = batches.adopt(connection, CHAIN, Epoch(epoch), Timestamp(1))
                connection.execute(batches.BATCHES.update().where(batches.BATCHES.c.id == number).values(state=before))
                if before in allowed:
                    batches.move(connection, number, state)
                    assert batches.batch(connection, number).state == state
                else:
                    with pytest.raises(WrongBatchState):
                        batches.move(connection, number, state)


def test_begin__twice__then_one_batch_is_on_its_way(database: Database) -> None:
    with database.transaction() as connection:
        assert batches.begin(connection, CHAIN, Epoch(1), Timestamp(1))
        assert not batches.begin(connection, CHAIN, Epoch(1), Timestamp(1))


def test_attestations__when_an_objector_signs_after_all__then_it_counts_and_not_the_other_way_round(
    database: Database,
) -> None:
    low, high = Address("0x" + "00" * 19 + "01"), Address("0x" + "00" * 19 + "02")
    with database.transaction() as connection:
        for one in (
            Attestation(high, b"h"),
            Attestation(low, b"o", "shares: …"),
            Attestation(low, b"s"),
            Attestation(low, b"o", "again"),
        ):
            batches.put_attestation(connection, 1, one)
        assert batches.attestations(connection, 1) == [Attestation(low, b"s"), Attestation(high, b"h")]

"""The sample of a batch: even, the same for whoever draws it by the same block, and another for each attestor."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from unit.settlement.publishing import new_store, new_world, publish
from unit.settlement.world import Person, text

from oracle.settlement.disclosing import NotARequest, Request
from oracle.settlement.hashing import keccak
from oracle.settlement.receipts import recovered
from oracle.settlement.sampling import Drawn, sampled
from oracle.types import Address, BlockHash, BlockNumber, ChainId

DISTRIBUTOR = Address("0x" + "2" * 40)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Forty receipts."""
    folder: Path = tmp_path_factory.mktemp("published")
    database, blobs = new_store(folder)
    world = new_world()
    with database.transaction() as connection:
        world.serve(connection, 40)
    made, _ = publish(database, blobs, world)
    database.close()
    return blobs.read(made.document)


def ids(published: bytes, drawn: Drawn, attestor: str = "attestor 0") -> list[str]:
    found = drawn.of(BytesIO(published), text("content"), Person(attestor).address)
    return [receipt.id.hex() for receipt, _ in found]


def test_sample__by_one_block__then_the_same_for_both_sides_and_another_for_another_attestor(published: bytes) -> None:
    drawn = Drawn(BlockNumber(7), BlockHash(text("block")), 6)
    assert ids(published, drawn) == ids(published, drawn)
    assert len(set(ids(published, drawn))) == 6
    assert ids(published, drawn) != ids(published, drawn, "attestor 1")
    assert ids(published, drawn) != ids(published, replace(drawn, hash=BlockHash(text("another block"))))


def test_sample__of_many_blocks__then_every_receipt_comes_as_often(published: bytes) -> None:
    counted: Counter[str] = Counter()
    for number in range(400):
        counted.update(receipt.id.hex() for receipt, _ in sampled(BytesIO(published), 10, text(str(number))))
    assert len(counted) == 40
    assert all(60 <= count <= 140 for count in counted.values())  # 100 expected, five standard deviations of 8.7 around


def test_sample__of_more_than_there_is__then_all_of_it(published: bytes) -> None:
    assert len(sampled(BytesIO(published), 100, b"")) == 40
    assert sampled(BytesIO(published), 0, b"") == []


def test_request__over_the_wire__then_itself_and_whatever_is_none_is_refused() -> None:
    one = Person("attestor 0")
    asked = Request(text("content"), 3, BlockNumber(99), 16)
    signature = one.sign(asked.preimage(ChainId(5), DISTRIBUTOR))
    read, made = Request.read(asked.signed(signature))
    assert read == asked
    assert recovered(keccak(read.preimage(ChainId(5), DISTRIBUTOR)), made) == one.address
    assert (
        recovered(keccak(replace(read, block=BlockNumber(98)).preimage(ChainId(5), DISTRIBUTOR)), made) != one.address
    )
    for bad in (b"", b"[]", b"{}", b"null", asked.signed(b"short"), asked.signed(signature).replace(b"99", b"-9")):
        with pytest.raises(NotARequest):
            Request.read(bad)

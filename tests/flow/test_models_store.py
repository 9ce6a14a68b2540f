"""Models and answers on both databases: where the parts of the oracle meet."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from oracle.store import answers, models, snapshots
from oracle.store.answers import Exchange, ExplainedBefore, Passage
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.models import OtherModel, Parent, UnknownModel, Version, WrongState
from oracle.types import Address, BasisPoints, ChainId, Cid, DatanetId, Hash32, Timestamp, Wei

CHAIN = ChainId(5)
BUILDER = Address("0x00000000000000000000000000000000000A11cE")
SPLIT = tuple(BasisPoints(part) for part in (5000, 2000, 0, 1000, 500, 1500))
PRICES = (Wei(10**15), Wei(2 * 10**15))


@pytest.fixture
def ledger(database: Database) -> Database:
    METADATA.create_all(database.engine)
    return database


def name_of(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


def version(number: int = 1) -> Version:
    return Version(
        base="tiny",
        weights=name_of(number),
        manifest=name_of(2),
        evaluation=name_of(3),
        accuracy=name_of(0),
        split=SPLIT,
        files={"adapter_model.safetensors": Cid("bafy")},
        parents=(Parent("tiny", 1, BasisPoints(10_000)),),
        snapshots=((DatanetId(1), 2),),
        licences=("CC-BY-4.0",),
        retrieval=(DatanetId(7),),
    )


def test_prepare__of_versions__then_they_are_numbered_and_the_same_one_is_found_again(ledger: Database) -> None:
    with ledger.transaction() as connection:
        first = models.prepare(connection, CHAIN, "bees", BUILDER, PRICES, version(1))
        second = models.prepare(connection, CHAIN, "bees", BUILDER, PRICES, version(9))
        again = models.prepare(connection, CHAIN, "bees", BUILDER, PRICES, version(1))
    assert [each.id for each in (first, second, again)] == ["bees@1", "bees@2", "bees@1"]
    assert again.made == version(1)
    with ledger.transaction() as connection, pytest.raises(OtherModel, match="version 1 has these weights"):
        models.prepare(connection, CHAIN, "bees", BUILDER, PRICES, replace(version(1), about="more"))


def test_find__without_a_version__then_the_newest_that_is_served(ledger: Database) -> None:
    with ledger.transaction() as connection:
        first = models.prepare(connection, CHAIN, "bees", BUILDER, PRICES, version(1))
        models.prepare(connection, CHAIN, "bees", BUILDER, PRICES, version(9))
        assert models.find(connection, CHAIN, "bees").version == 2
        models.move(connection, first.position, "announced")
        models.move(connection, first.position, "published", model=4)
        assert models.find(connection, CHAIN, "bees").version == 1
        assert models.find(connection, CHAIN, "bees", 2).state == "prepared"
        models.set_price(connection, CHAIN, 4, (Wei(1), Wei(2)))
        found = models.by_number(connection, CHAIN, 4, 1)
        assert found is not None
        assert (found.input_price, found.output_price) == (1, 2)
        assert [each.id for each in models.listed(connection, CHAIN, "published")] == ["bees@1"]
        with pytest.raises(UnknownModel, match="in version 3"):
            models.find(connection, CHAIN, "bees", 3)
        models.move(connection, first.position, "withdrawn")
        with pytest.raises(WrongState, match="cannot become published"):
            models.move(connection, first.position, "published")


def test_numbers__from_the_registry__then_only_the_builder_s_own_versions_get_them(ledger: Database) -> None:
    other = Address("0x00000000000000000000000000000000000B0b01")
    with ledger.transaction() as connection:
        models.prepare(connection, CHAIN, "bees", BUILDER, PRICES, version(1))
        assert models.set_number(connection, CHAIN, "bees", other, 3) == 0
        assert models.set_number(connection, CHAIN, "bees", BUILDER, 4) == 1
        assert models.set_number(connection, CHAIN, "bees", BUILDER, 5) == 0  # the first one stands
        assert models.find(connection, CHAIN, "bees").model == 4
        models.set_builder(connection, CHAIN, 4, other)
        assert models.find(connection, CHAIN, "bees").builder == other


def test_uses__when_a_model_is_withdrawn__then_the_record_stays_and_is_not_live(ledger: Database) -> None:
    use = snapshots.Use(DatanetId(1), 2, name_of(8), "bees@1", True)
    with ledger.transaction() as connection:
        snapshots.put_use(connection, use)
        snapshots.end_use(connection, name_of(8))
        assert snapshots.uses_of(connection, DatanetId(1), [2]) == [replace(use, live=False)]


def test_answers__when_forgotten__then_the_explanation_stays(ledger: Database) -> None:
    said = Exchange((1, 2), (3,), "why?", "bees", (Passage(7, name_of(1), name_of(2), 0, 0),))
    assert Exchange.from_json(orjson.loads(said.as_json())) == said
    with ledger.transaction() as connection:
        answers.keep(connection, CHAIN, name_of(1), 1, b"sealed", Timestamp(10))
        answers.explain(connection, CHAIN, name_of(1), b"{}")
        answers.explain(connection, CHAIN, name_of(1), b"{}")
        assert answers.forget(connection, Timestamp(9)) == 0
        assert answers.forget(connection, Timestamp(10)) == 1
        kept = answers.find(connection, CHAIN, name_of(1))
        assert kept == answers.Kept(1, Timestamp(10), None, b"{}")
        for receipt, explanation in ((name_of(1), b"[]"), (name_of(2), b"{}")):
            with pytest.raises(ExplainedBefore):
                answers.explain(connection, CHAIN, receipt, explanation)

"""Who has a part in a version's fees: as the registries' events said it at the time of the answer, and not later."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import orjson
import pytest
from unit.settlement.publishing import new_world
from unit.settlement.world import account, text

from oracle.settlement.differing import Difference
from oracle.settlement.parties import JudgedTerms, NotPublished, Registries, differing
from oracle.store.events import Event
from oracle.store.paid import Terms
from oracle.types import Address, BasisPoints, BlockHash, BlockNumber, ChainId, Timestamp, TxHash

NAMES = ("contributors", "builder", "upstream", "reviewers", "attestors", "treasury")
SPLIT = dict(zip(NAMES, (6_000, 2_000, 1_000, 400, 300, 300)))
TREASURY, COMMONS = account(1), account(2)
BASE, PARENT, CHILD = account(10), account(11), account(12)
T = 1_800_000_000
_numbers = count(1)


def event(at: int, contract: str, name: str, **args: Any) -> Event:
    number = next(_numbers)
    return Event(
        number, ChainId(1), contract, name, args, BlockNumber(number), BlockHash(text("b")), Timestamp(at),
        TxHash(text("t")), 0,
    )  # fmt: skip


def published(at: int, model: int, parents: list[tuple[int, int]], datanets: list[int]) -> Event:
    return event(
        at, "ModelRegistry", "VersionPublished", model=model, version=1, split=SPLIT,
        parents=[{"model": parent, "version": 1, "shareBps": share} for parent, share in parents],
        snapshots=[{"datanet": datanet, "version": 1} for datanet in datanets],
    )  # fmt: skip


def happened() -> list[Event]:
    return [
        event(T, "ModelRegistry", "ModelRegistered", model=1, builder=BASE),
        event(T, "ModelRegistry", "ModelRegistered", model=2, builder=PARENT),
        event(T, "ModelRegistry", "ModelRegistered", model=3, builder=CHILD),
        published(T, 1, [], []),
        published(T, 2, [(1, 10_000)], [7]),
        event(T, "DatanetRegistry", "ReviewerSet", datanet=7, reviewer=account(20), active=True),
        event(T, "DatanetRegistry", "ReviewerSet", datanet=7, reviewer=account(21), active=True),
        event(T, "DatanetRegistry", "ReviewerSet", datanet=8, reviewer=account(21), active=True),
        event(T, "AttestorSet", "AttestorJoined", operator=account(30), signer=account(31), bond=100),
        event(T, "AttestorSet", "AttestorJoined", operator=account(32), signer=account(33), bond=200),
        published(T + 10, 3, [(1, 4_000), (2, 6_000)], [7, 8]),
        event(T + 10_000, "AttestorSet", "AttestorSlashed", operator=account(32)),
        event(T + 20_000, "ModelRegistry", "BuilderChanged", model=3, **{"from": CHILD, "to": account(13)}),
        event(T + 30_000, "DatanetRegistry", "ReviewerSet", datanet=7, reviewer=account(20), active=False),
    ]


def registries() -> Registries:
    return Registries(happened(), TREASURY, COMMONS)


def sorted_parts(*parts: tuple[Address, int]) -> tuple[tuple[Address, int], ...]:
    return tuple(sorted(parts))


def test_terms__of_a_version_with_parents__then_lineage_reviewers_and_seats_have_their_parts() -> None:
    found = registries().terms(3, 1, Timestamp(T + 20))
    assert found == Terms(
        tuple(BasisPoints(part) for part in SPLIT.values()),
        CHILD,
        TREASURY,
        COMMONS,
        upstream=sorted_parts((BASE, 4_000), (PARENT, 6_000)),
        reviewers=sorted_parts((account(20), 1), (account(21), 2)),
        attestors=sorted_parts((account(30), 100), (account(32), 200)),
    )
    assert Terms.from_json(orjson.loads(found.as_json())) == found


def test_terms__of_every_moment__then_they_are_those_of_that_moment_and_not_of_a_later_one() -> None:
    known = registries()
    with pytest.raises(NotPublished):
        known.terms(3, 1, Timestamp(T + 9))
    assert known.terms(3, 1, Timestamp(T + 9_999)).attestors == sorted_parts((account(30), 100), (account(32), 200))
    assert known.terms(3, 1, Timestamp(T + 10_000)).attestors == ((account(30), 100),)
    assert known.terms(3, 1, Timestamp(T + 19_999)).builder == CHILD
    assert known.terms(3, 1, Timestamp(T + 20_000)).builder == account(13)
    assert known.terms(3, 1, Timestamp(T + 30_000)).reviewers == ((account(21), 2),)


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("builder", {"builder": account(666)}),
        ("treasury", {"treasury": account(666)}),
        ("commons", {"commons": account(666)}),
        ("upstream", {"upstream": ((account(666), 10_000),)}),
        ("upstream", {"upstream": sorted_parts((BASE, 5_000), (PARENT, 5_000))}),
        ("reviewers", {"reviewers": ((account(666), 1),)}),
        ("reviewers", {"reviewers": ()}),
        ("attestors", {"attestors": ((account(30), 100),)}),
        ("split", {"split": tuple(BasisPoints(part) for part in (5_000, 3_000, 1_000, 400, 300, 300))}),
    ],
)
def test_judged__when_the_terms_name_others_than_the_registries__then_it_differs_and_says_in_what(
    name: str, lie: dict[str, Any]
) -> None:
    world = new_world()
    true = registries().terms(3, 1, Timestamp(T + 20))
    receipt = replace(world.receipt(world.people[0]), model=3, version=1, served_at=Timestamp(T + 20))
    judge = JudgedTerms(registries())
    judge(receipt, true)
    assert judge.count == 1
    with pytest.raises(Difference, match=name) as caught:
        JudgedTerms(registries())(receipt, replace(true, **lie))
    assert caught.value.kind == "terms"


def test_judged__when_the_oracle_had_not_heard_of_a_change_yet__then_a_while_is_allowed_and_no_more() -> None:
    world, known = new_world(), registries()
    old, new = known.terms(3, 1, Timestamp(T + 19_999)), known.terms(3, 1, Timestamp(T + 20_000))
    for late, terms, well in ((0, new, True), (600, old, True), (901, old, False), (-3_600, new, False)):
        receipt = replace(
            world.receipt(world.people[0]),
            model=3,
            version=1,
            terms=text(f"{late}"),
            served_at=Timestamp(T + 20_000 + late),
        )
        if well:
            JudgedTerms(known)(receipt, terms)
        else:
            with pytest.raises(Difference, match="builder"):
                JudgedTerms(known)(receipt, terms)


def test_judged__when_the_version_was_not_published_yet__then_it_differs() -> None:
    world = new_world()
    receipt = replace(world.receipt(world.people[0]), model=3, version=1, served_at=Timestamp(T - 5_000))
    with pytest.raises(Difference, match="did not know"):
        JudgedTerms(registries())(receipt, world.terms)


def test_differing__of_weights_in_the_same_proportion__then_nothing() -> None:
    true = registries().terms(3, 1, Timestamp(T + 20))
    assert differing(replace(true, upstream=sorted_parts((BASE, 2), (PARENT, 3), (account(5), 0))), true) == ""

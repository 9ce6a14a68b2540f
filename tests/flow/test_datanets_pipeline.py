"""From a file to a snapshot, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from datanets_world import CONTRIBUTOR, COPIER, DATANET, OPERATOR, World, jsonl

from oracle.datanets import publishing
from oracle.datanets.policy import Policy
from oracle.store.database import Database
from oracle.types import Cid

FACTS = [
    ("How do I reset the router?", "Hold the small button at the back for ten seconds until the lamp turns red."),
    (
        "What does a blinking orange lamp mean?",
        "The device is looking for its network; wait two minutes before doing anything.",
    ),
    ("Can I use my own modem?", "Yes, as long as it speaks DOCSIS 3.1 and you have told support its serial number."),
    (
        "Who do I write to about the invoice?",
        "Send your question to anna.lindqvist@gmail.com and mention the invoice number.",
    ),
]
REWORDED = (
    "How do I reset the router?",
    "Hold the small button at the back for ten seconds until the light turns red.",
)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path).create()


def test_pipeline__of_a_file__then_its_rows_are_in_a_snapshot_on_chain(world: World) -> None:
    key = world.upload(OPERATOR, jsonl(*FACTS) + b'{"prompt": "torn')
    world.run()
    given = world.contribution(key)
    assert (given.state, given.count) == ("checked", 4)
    assert world.verdicts(key) == ["accepted", "accepted", "accepted", "personal_data"]
    world.review(lambda reason: False)
    world.run()
    world.sign_outcomes()
    world.run()
    given = world.contribution(key)
    assert (given.state, given.accepted_count) == ("settled", 3)
    made = world.snapshot("first")
    world.run()
    assert made.count == 3
    assert world.contribution(key).state == "included"
    (stored,) = world.state()["snapshots"]
    assert (stored["state"], stored["version"]) == ("published", 1)
    assert world.stores.published.read(made.rows).count(b"\n") == 3


def test_pipeline__of_a_copy_by_somebody_else__then_the_earliest_keeps_the_credit(world: World) -> None:
    first = world.upload(OPERATOR, jsonl(*FACTS[:3]))
    world.run()
    second = world.upload(
        COPIER, jsonl(FACTS[1], REWORDED, ("Something new?", "Yes, this row was never seen before in the datanet."))
    )
    world.pipeline.run()
    world.sign(COPIER, second)
    world.run()
    assert world.verdicts(first) == ["accepted"] * 3
    assert world.verdicts(second) == ["exact_duplicate", "near_duplicate", "accepted"]


def test_pipeline__of_a_row_like_one_under_review__then_it_waits_and_takes_its_fate(world: World) -> None:
    first = world.upload(OPERATOR, jsonl(FACTS[3]))
    world.run()
    reworded = (FACTS[3][0], FACTS[3][1].replace("mention", "quote"))
    second = world.upload(CONTRIBUTOR, jsonl(reworded, FACTS[0]))
    world.pipeline.run()
    world.sign(CONTRIBUTOR, second)
    world.run()
    assert world.verdicts(second) == ["personal_data", "accepted"]
    world.review(lambda reason: True)
    world.run()
    assert world.verdicts(first) == ["reviewer_accepted"]
    assert world.verdicts(second) == ["near_duplicate", "accepted"]


def test_pipeline__of_a_private_datanet__then_its_rows_lie_sealed(database: Database, tmp_path: Path) -> None:
    world = World(database, tmp_path, policy=Policy(private=True)).create()
    key = world.upload(OPERATOR, jsonl(*FACTS[:3]))
    world.run()
    given = world.contribution(key)
    assert given.state == "decided" and given.blob is not None
    sealed = world.stores.published.read(given.blob)
    assert b"button" not in sealed
    assert world.vault.exists(given.key)
    assert given.datanet == DATANET


def test_pipeline__when_a_shell_and_the_daemon_are_at_one_file__then_the_second_changes_nothing(world: World) -> None:
    key = world.upload(OPERATOR, jsonl(*FACTS[:3]))
    received = world.contribution(key)
    tally = publishing.parse(world.database, world.stores, received, world.policy)
    parsed = world.contribution(key)
    assert publishing.parse(world.database, world.stores, received, world.policy) == tally
    assert world.contribution(key) == parsed
    with world.stores.spool.open(Cid(parsed.blob or "")) as rows:
        kept = rows.read()
    world.pipeline.intake(key)
    announced = world.contribution(key)
    assert (parsed.state, announced.state) == ("parsed", "announced")
    world.stores.spool.put(kept)  # the second one has begun to read before the first one cleared it away
    publishing.publish(world.database, world.stores, parsed)
    assert world.contribution(key) == announced

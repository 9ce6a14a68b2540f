"""What strangers could do to other people's rows: by the chain's own events, by the same bytes, at the same moment."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from datanets_world import CONTRIBUTOR, COPIER, DATANET, NOW, OPERATOR, REVIEWER, World, jsonl
from sqlalchemy import text

from fixtures.waiting import eventually
from oracle.datanets import deciding, erasing
from oracle.datanets.verdicts import Verdict
from oracle.store import contributions, datanets, rows
from oracle.store.database import Database
from oracle.types import Address, DatanetId, Hash32, Timestamp

ROWS = [
    ("How do I reset the router?", "Hold the small button at the back for ten seconds until the lamp turns red."),
    ("May I open the case of the modem?", "No, there is nothing inside that anybody but the workshop could mend."),
]
HELD = [
    ("Whom do I write about the bill?", "Write to anna.berg@nordkabel.se and she sends another one within a week."),
    ("Who mends the cable in the street?", "Ask for olof.lind@nordkabel.se who plans all the work outside of houses."),
]
ELSEWHERE = DatanetId(2)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path).create()


def elsewhere(world: World, name: str = "Trap") -> None:
    """A datanet of the thief's own, who is its reviewer."""
    created = {
        "datanet": ELSEWHERE, "steward": COPIER.address, "policyHash": world.policy.hash, "name": name,
        "licence": "MIT", "datatype": "text", "bond": 0,
    }  # fmt: skip
    world.hear("DatanetCreated", created)
    world.hear("ReviewerSet", {"datanet": ELSEWHERE, "reviewer": COPIER.address, "active": True})


def outcome(world: World, key: Hash32, datanet: DatanetId, count: int) -> dict[str, object]:
    name = world.contribution(key).name
    said = {"datanet": datanet, "contribution": name, "acceptedRoot": b"\1" * 32, "acceptedCount": count}
    return said | {"reasonsHash": b"\2" * 32}


def contributed(world: World, who: object, content: bytes) -> Hash32:
    key = world.upload(who, content)
    world.pipeline.run()
    world.sign(who, key)
    world.run()
    return key


def test_outcome__recorded_in_a_thiefs_own_datanet__then_it_says_nothing_of_anybody_elses_rows(world: World) -> None:
    key = world.upload(OPERATOR, jsonl(*ROWS))
    world.run()
    elsewhere(world)
    world.hear("OutcomeRecorded", outcome(world, key, ELSEWHERE, 0))
    world.sign_outcomes()
    world.run()
    assert world.contribution(key).state == "settled"


def test_outcome__of_more_rows_than_there_can_be__then_the_log_is_read_on(world: World) -> None:
    key = world.upload(OPERATOR, jsonl(*ROWS))
    world.run()
    world.hear("OutcomeRecorded", outcome(world, key, DATANET, 2**256 - 1))
    world.run()
    given = world.contribution(key)
    assert given.state == "decided" and "recorded" in (given.reason or "")


def test_datanet__whose_name_holds_a_zero_character__then_the_log_is_read_on(world: World) -> None:
    elsewhere(world, name="null\0and void")
    with world.database.reading() as connection:
        assert datanets.get_datanet(connection, ELSEWHERE).name.startswith("null")


def test_erasure__of_a_copy__then_the_rows_of_whom_it_was_copied_from_stay(world: World) -> None:
    key = contributed(world, CONTRIBUTOR, jsonl(*ROWS))
    copy = contributed(world, COPIER, jsonl(*ROWS))
    blob = world.contribution(key).blob
    assert blob is not None and world.contribution(copy).blob == blob
    for erased, left in ((copy, True), (key, False)):
        with world.database.transaction() as connection:
            given = contributions.get(connection, erased)
            erasing.ask(connection, given, [], None)
        world.run()
        assert world.contribution(erased).erased
        assert world.stores.published.has(blob) is left


def test_erasure__of_one_row_of_a_copy__then_the_rows_of_whom_it_was_copied_from_stay(world: World) -> None:
    key = contributed(world, CONTRIBUTOR, jsonl(*ROWS))
    copy = contributed(world, COPIER, jsonl(*ROWS))
    with world.database.transaction() as connection:
        (chunk,) = rows.chunks(connection, copy)
        erasing.ask(connection, contributions.get(connection, copy), [chunk.hash_of(0)], None)
    world.run()
    blob = world.contribution(key).blob
    assert blob is not None and world.contribution(copy).blob != blob
    assert world.stores.published.has(blob)


def test_erasure__of_a_contribution_that_named_a_snapshots_bytes_as_its_own__then_they_stay(world: World) -> None:
    key = contributed(world, CONTRIBUTOR, jsonl(*ROWS))
    world.sign_outcomes()
    world.run()
    made = world.snapshot("first")
    with world.database.transaction() as connection:
        contributions.note(connection, key, blob=made.rows)  # as a stranger's manifest may say
        erasing.ask(connection, contributions.get(connection, key), [], None)
    world.run()
    assert world.contribution(key).erased and world.stores.published.has(made.rows)


def test_file__that_two_people_hand_in__then_the_first_to_be_done_takes_nothing_from_the_other(world: World) -> None:
    keys = [world.upload(who, jsonl(*ROWS)) for who in (CONTRIBUTOR, COPIER)]
    for key in keys:
        world.pipeline.intake(key)
    assert [world.contribution(key).state for key in keys] == ["published"] * 2
    source = world.contribution(keys[0]).source
    assert source is not None and not world.stores.spool.has(source)


def test_reviewers__who_decide_two_rows_at_once__then_both_decisions_stand(world: World) -> None:
    key = world.upload(OPERATOR, jsonl(*HELD))
    world.run()

    def accept(row: int) -> None:
        with world.database.transaction() as connection:
            given = contributions.get(connection, key)
            assert deciding.review(
                connection, given, world.policy, row, True, "", Address(REVIEWER.address), Timestamp(NOW)
            )
            if row == 0:
                second.start()
                if not world.database.is_sqlite:
                    eventually("the second reviewer waits", lambda: waiting(world))

    second = threading.Thread(target=accept, args=(1,))
    accept(0)
    second.join()
    with world.database.reading() as connection:
        (chunk,) = rows.chunks(connection, key)
    assert list(chunk.verdicts) == [Verdict.ACCEPTED, Verdict.ACCEPTED]


def waiting(world: World) -> bool:
    """Whether a transaction waits for a row that another one holds."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with world.database.reading() as connection:
        return bool(connection.execute(text(asked)).scalar_one())

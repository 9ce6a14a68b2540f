"""Killed anywhere, a contribution goes on: the end is the same as without any fault, on both databases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from datanets_world import CONTRIBUTOR, COPIER, OPERATOR, Faults, Killed, World, jsonl

from oracle.datanets.policy import Policy
from oracle.store.database import Database
from oracle.types import Hash32

FIRST = jsonl(
    ("How do I reset the router?", "Hold the small button at the back for ten seconds until the lamp turns red."),
    ("Who do I write to about the invoice?", "Send your question to anna.lindqvist@gmail.com and mention its number."),
    ("What does the blinking lamp mean?", "The device looks for its network; wait two minutes before you do anything."),
)
SECOND = jsonl(
    ("How do I reset the router?", "Hold the small button at the back for ten seconds until the light turns red."),
    ("Who do I write to about the invoice?", "Send your question to anna.lindqvist@gmail.com and quote its number."),
    ("May I open the case of the modem?", "No, there is nothing inside that anybody but the workshop could mend."),
)
THIRD = jsonl(
    ("May I open the case of the modem?", "No, there is nothing inside that anybody but the workshop could mend.")
)


def play(world: World) -> None:
    """Everything that people do, and all steps between; whoever was interrupted does the same again."""
    keys: list[Hash32] = []
    for who, content in ((OPERATOR, FIRST), (CONTRIBUTOR, SECOND), (COPIER, THIRD)):
        keys.append(world.upload(who, content))
        world.pipeline.run()
        if who is not OPERATOR:
            world.sign(who, keys[-1])
        world.run()
    world.review(lambda reason: "anna" not in reason.detail)
    world.run()
    world.sign_outcomes()
    world.run()
    world.snapshot("first")
    world.run()


def world_of(database: Database, folder: Path, faults: Faults, policy: Policy) -> World:
    folder.mkdir(exist_ok=True)
    return World(database, folder, faults, policy)


def truth(database: Database, folder: Path, policy: Policy) -> tuple[dict[str, object], int]:
    """The end without faults, and how many places there are to be killed at."""
    world = world_of(database, folder, Faults(), policy).create()
    begun = world.faults.passed
    play(world)
    return world.state(), world.faults.passed - begun


def emptied(database: Database, folder: Path, policy: Policy) -> World:
    from oracle.store.columns import METADATA

    METADATA.drop_all(database.engine)
    database_tables = world_of(database, folder, Faults(), policy)
    database_tables.forget()
    return database_tables.create()


# Every place in turn takes minutes; OPENLEDGER_EVERY_PLACE=1 asks for it. Otherwise some, other ones on each database.
EVERY = "OPENLEDGER_EVERY_PLACE" in os.environ


def chosen(places: int, some: int, database: Database) -> range:
    step = 1 if EVERY else max(places // some, 1)
    return range((step // 2 if database.is_sqlite else 0) % step, places, step)


@pytest.mark.parametrize("private, some", [(False, 8), (True, 3)], ids=["public", "private"])
def test_play__when_killed_at_a_place__then_the_end_is_the_same(
    database: Database, tmp_path: Path, private: bool, some: int
) -> None:
    policy = Policy(private=private)
    expected, places = truth(database, tmp_path / "truth", policy)
    states = [each["state"] for each in expected["contributions"]]  # type: ignore[attr-defined]
    assert states == ["included", "included", "settled"]
    # Each run is killed at one place and goes on in a new process; the next one begins anew.
    for at in chosen(places, some, database):
        folder = tmp_path / f"at{at}"
        emptied(database, folder, policy)
        with pytest.raises(Killed):
            play(world_of(database, folder, Faults(at), policy))
        after = world_of(database, folder, Faults(), policy)
        play(after)
        assert after.state() == expected, f"killed at {at}"


def test_play__when_process_after_process_is_killed__then_the_end_is_the_same(
    database: Database, tmp_path: Path
) -> None:
    """kill −9 of real processes, each of which gets a little further than the last before it is hit."""
    policy = Policy()
    expected, places = truth(database, tmp_path / "truth", policy)
    folder = tmp_path / "killed"
    emptied(database, folder, policy)
    url = database.url.render_as_string(hide_password=False)
    database.close()  # no connection may be shared with a child
    for at in range(places):
        child = os.fork()
        if child == 0:
            try:
                play(world_of(Database(url), folder, Faults(at, really=True), policy))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
    else:
        pytest.fail("no process came to its end")
    assert at > 3
    world = world_of(database, folder, Faults(), policy)
    play(world)
    assert world.state() == expected

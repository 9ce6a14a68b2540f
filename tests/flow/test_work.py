"""Work is done once: random lives of several workers, on both databases, with a clock of our own."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from oracle.daemon.rounds import reconcile, run_round
from oracle.daemon.steps import Result, Runner
from oracle.errors import NeedsPerson, Retry
from oracle.store import loops, work
from oracle.store.database import Database
from oracle.types import Timestamp

EFFECTS = Table("effects", MetaData(), Column("subject", Integer))


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Killed(BaseException):
    """kill -9: nothing after it runs."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("seed", range(6))
def test_work__when_workers_die_stall_and_fail__then_every_item_has_one_effect(
    database: Database, clock: Clock, seed: int
) -> None:
    EFFECTS.create(database.engine)
    choice = random.Random(seed)
    subjects = [str(number) for number in range(12)]
    leases: list[work.Lease] = []

    def effect(connection: object, subject: str) -> None:
        connection.execute(insert(EFFECTS).values(subject=int(subject)))  # type: ignore[attr-defined]

    for subject in subjects:
        with database.transaction() as connection:
            assert work.request(connection, "ingest.x", subject, Timestamp(int(clock.now)))
    for _ in range(400):
        clock.now += choice.randrange(0, 90)
        subject = choice.choice(subjects)
        with database.transaction() as connection:
            work.request(connection, "ingest.x", subject, Timestamp(int(clock.now)))  # asked for again and again
            lease = work.take(connection, "ingest.x", subject, 120, Timestamp(int(clock.now)))
        if lease:
            leases.append(lease)  # it may come back long after
        if leases and choice.random() < 0.7:
            _end(database, clock, leases.pop(choice.randrange(len(leases))), choice, effect)
    for _ in range(50):
        clock.now += 1000
        reconcile(
            database,
            lambda step, subject: Runner(database, clock).run(
                step, subject, lambda subject: Result(lambda connection: effect(connection, subject))
            ),
            clock,
        )
    with database.reading() as connection:
        counts = connection.execute(select(EFFECTS.c.subject, func.count()).group_by(EFFECTS.c.subject)).all()
        assert work.tally(connection) == {("ingest.x", work.State.DONE): len(subjects)}
    assert sorted(map(tuple, counts)) == [(int(subject), 1) for subject in sorted(subjects, key=int)]


def _end(database: Database, clock: Clock, lease: work.Lease, choice: random.Random, effect) -> None:  # type: ignore[no-untyped-def]
    now = Timestamp(int(clock.now))
    how = choice.choice(["finish", "finish", "die before commit", "postpone", "vanish", "keep"])
    try:
        with database.transaction() as connection:
            if how == "postpone":
                work.again(connection, lease, "a node timed out", Timestamp(now + 60))
            elif how == "keep":
                work.keep(connection, lease, 120, now)
            elif how != "vanish":
                effect(connection, lease.subject)
                work.finish(connection, lease, now)
                if how == "die before commit":
                    raise Killed
    except (work.LeaseLost, Killed):
        pass


def test_runner__when_an_error_has_a_fate__then_meets_it(database: Database, clock: Clock) -> None:
    runner = Runner(database, clock)

    def raising(error: Exception):  # type: ignore[no-untyped-def]
        def step(subject: str) -> Result:
            raise error

        return step

    def state(subject: str) -> tuple[work.State, str | None]:
        with database.reading() as connection:
            items = {
                item.subject: item
                for item in (*work.due(connection, Timestamp(2**40), 99), *work.parked(connection, 99))
            }
        return items[subject].state, items[subject].reason

    for subject in "abc":
        with database.transaction() as connection:
            work.request(connection, "ingest.x", subject, Timestamp(int(clock.now)))
    assert runner.run("ingest.x", "a", raising(Retry("later"))) == "again"
    assert state("a") == (work.State.WAITING, "later")
    assert runner.run("ingest.x", "a", raising(Retry("later"))) == "busy"  # not due yet
    assert runner.run("ingest.x", "b", raising(NeedsPerson("look"))) == "parked"
    assert state("b") == (work.State.PARKED, "look")
    with pytest.raises(KeyError):
        runner.run("ingest.x", "c", raising(KeyError("nobody knows")))
    assert state("c") == (work.State.PARKED, "KeyError: 'nobody knows'")
    with database.transaction() as connection:
        work.resume(connection, "ingest.x", "c", Timestamp(int(clock.now)))
    assert runner.run("ingest.x", "c", lambda subject: Result()) == "done"
    assert runner.run("ingest.x", "c", lambda subject: Result()) == "busy"
    with pytest.raises(work.NoSuchWork, match="is not parked"), database.transaction() as connection:
        work.resume(connection, "ingest.x", "c", Timestamp(int(clock.now)))


def test_runner__when_a_step_has_more_to_do__then_keeps_what_it_did_and_is_due_at_once(
    database: Database, clock: Clock
) -> None:
    EFFECTS.create(database.engine)
    runner, left = Runner(database, clock), [3]

    def step(subject: str) -> Result:
        left[0] -= 1
        return Result(lambda connection: connection.execute(insert(EFFECTS).values(subject=left[0])), more=left[0] > 0)

    with database.transaction() as connection:
        work.request(connection, "train.x", "run", Timestamp(int(clock.now)))
    assert [runner.run("train.x", "run", step) for _ in range(4)] == ["more", "more", "done", "busy"]
    with database.reading() as connection:
        assert sorted(connection.execute(select(EFFECTS.c.subject)).scalars()) == [0, 1, 2]


def test_runner__when_somebody_took_over__then_its_effect_is_dropped(database: Database, clock: Clock) -> None:
    EFFECTS.create(database.engine)
    runner = Runner(database, clock)

    def stalled(subject: str) -> Result:
        clock.now += 1000  # this process slept; another one takes the work over
        assert runner.run("ingest.x", "a", lambda subject: Result(effect)) == "done"
        return Result(effect)

    def effect(connection: object) -> None:
        connection.execute(insert(EFFECTS).values(subject=1))  # type: ignore[attr-defined]

    with database.transaction() as connection:
        work.request(connection, "ingest.x", "a", Timestamp(int(clock.now)))
    assert runner.run("ingest.x", "a", stalled) == "busy"
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(EFFECTS)).scalar_one() == 1


def test_round__when_one_is_running__then_another_does_not_begin(database: Database, clock: Clock) -> None:
    inner: list[str] = []

    def action() -> None:
        inner.append(run_round(database, "settle.x", 15, lambda: None, clock))
        clock.now += 601
        inner.append(run_round(database, "settle.x", 15, lambda: None, clock))  # the first has overstayed its lease

    assert run_round(database, "settle.x", 15, action, clock) == "finished"
    assert inner == ["busy", "finished"]


def test_round__when_it_fails__then_the_last_good_one_is_remembered(database: Database, clock: Clock) -> None:
    def fail() -> None:
        raise Retry("the node timed out")

    assert run_round(database, "settle.x", 15, lambda: None, clock) == "finished"
    good = int(clock.now)
    clock.now += 30
    assert run_round(database, "settle.x", 15, fail, clock) == "failed"
    with database.reading() as connection:
        (loop,) = loops.loops(connection)
    assert (loop.finished_at, loop.failure) == (good, "the node timed out")
    assert not loop.is_late(Timestamp(good + 60), 60)
    assert loop.is_late(Timestamp(good + 61), 60)

"""When a worker counts as deaf, and how it and its watcher know of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle.daemon.canary import Cage, is_deaf


@pytest.mark.parametrize(
    "silence, delivered, at_work, deaf",
    [
        (61, 3, False, True),
        (60, 3, False, False),  # just in time
        (1000, 2, False, False),  # the broker took too few: it is the broker that is away
        (1000, 50, True, False),  # a long step: the canaries wait behind it
    ],
)
def test_is_deaf__when_silent_for_so_long__then_only_if_it_had_canaries_and_no_work(
    silence: float, delivered: int, at_work: bool, deaf: bool
) -> None:
    assert is_deaf(silence, 20, delivered, at_work) is deaf


def test_cage__when_a_process_is_at_work__then_says_so_until_it_ends(tmp_path: Path) -> None:
    cage = Cage(tmp_path / "run", "w@host")
    assert not cage.at_work()
    cage.begin_work()
    assert cage.at_work()
    cage.end_work()
    assert not cage.at_work()


def test_cage__when_a_process_was_killed_at_work__then_its_mark_does_not_count(tmp_path: Path) -> None:
    cage = Cage(tmp_path, "w@host")
    mark = tmp_path / f"w@host.busy.{2**22 + 1}"  # above the highest process id there can be
    mark.touch()
    assert not cage.at_work()
    assert not mark.exists()


def test_cage__when_cleaned__then_forgets_an_earlier_life(tmp_path: Path) -> None:
    cage, other = Cage(tmp_path, "w@host"), Cage(tmp_path, "w2@host")
    for one in (cage, other):
        one.sang()
        one.stop("money")
    cage.clean()
    assert cage.last_song() is None and cage.stopped_for() is None
    assert other.last_song() is not None and other.stopped_for() == "money"

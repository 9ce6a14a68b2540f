"""A duty that is repeated: what it survives, and what ends it."""

from __future__ import annotations

from threading import Event

import pytest

from oracle.chain.loop import repeat
from oracle.errors import NeedsPerson, Retry, Stop


def test_repeat__when_nodes_and_funds_fail__then_goes_on_and_a_stop_ends_it() -> None:
    happens: list[Exception | bool] = [Retry("node"), True, NeedsPerson("funds"), False, Stop("reorg")]
    done: list[str] = []

    def duty() -> bool:
        now = happens.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    with pytest.raises(Stop, match="reorg"):
        repeat("index", duty, 0, Event(), done.append)
    assert done == ["index", "index"]


def test_repeat__when_told_to_end__then_ends_after_the_round() -> None:
    ended, rounds = Event(), []

    def duty() -> bool:
        rounds.append(1)
        ended.set()
        return True

    repeat("send", duty, 0, ended)
    assert rounds == [1]


def test_repeat__when_an_error_was_not_foreseen__then_is_not_swallowed() -> None:
    def duty() -> bool:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        repeat("send", duty, 0, Event())

"""Settling by itself: off unless somebody asked for it, and never without a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracle.config import Settings
from oracle.daemon.ground import Ground
from oracle.daemon.settling import advance
from oracle.errors import NeedsPerson
from oracle.settlement.pace import Pace, pace_of
from oracle.types import OPEN, Wei


def test_advance__when_nothing_is_set_or_it_is_paused__then_does_nothing(tmp_path: Path) -> None:
    assert advance(Ground(Settings(home=tmp_path))) == 0
    assert advance(Ground(Settings(home=tmp_path, settle=True, settle_paused=True))) == 0


def test_advance__when_asked_for_without_a_key__then_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(NeedsPerson, match="OPENLEDGER_KEYSTORE"):
        advance(Ground(Settings(home=tmp_path, settle=True)))


def test_pace__of_settings__then_amounts_are_in_open_and_the_defaults_are_one(tmp_path: Path) -> None:
    assert pace_of(Settings(home=tmp_path)) == Pace()
    asked = Settings(
        home=tmp_path, settle_every=60, settle_amount=1, settle_most_fees=5, settle_most_growth=10, settle_paused=True
    )
    assert pace_of(asked) == Pace(60, Wei(OPEN), Wei(5 * OPEN), 10, True)

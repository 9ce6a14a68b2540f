"""What agents are told of amounts: exactly, never by a float."""

from __future__ import annotations

import asyncio

import pytest

from oracle.agents.purse import NoPurse, OverTheCap, in_open
from oracle.types import Wei


@pytest.mark.parametrize(
    ("wei", "said"), [(0, "0"), (87 * 10**12, "0.000087"), (10**18, "1"), (1, "0.000000000000000001")]
)
def test_amount__however_small__then_it_is_said_as_people_write_it(wei: int, said: str) -> None:
    assert in_open(wei) == said


def test_purse__that_holds_nothing__then_says_what_the_call_would_cost() -> None:
    with pytest.raises(OverTheCap, match=r"may cost 0\.000087 OPEN"):
        asyncio.run(NoPurse().headers(Wei(87 * 10**12)))

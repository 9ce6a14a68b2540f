"""What is offered for gas, as formulas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.chain.fees import TooDear, bumped, gas_limit, suggested
from oracle.store.broadcasts import Fees
from oracle.types import Wei

FEE = st.integers(0, 10**12)


def test_suggested__from_recent_tips__then_twice_the_base_fee_and_the_middle_tip() -> None:
    assert suggested(Wei(100), [3, 0, 9, 5], Wei(10**9)) == Fees(Wei(205), Wei(5))


def test_suggested__on_an_idle_chain__then_a_tenth_of_the_base_fee() -> None:
    assert suggested(Wei(100), [0, 0], Wei(10**9)) == Fees(Wei(210), Wei(10))


def test_suggested__at_the_ceiling__then_no_more_than_that() -> None:
    assert suggested(Wei(100), [50], Wei(120)) == Fees(Wei(120), Wei(50))
    with pytest.raises(TooDear, match="OPENLEDGER_MAX_FEE_GWEI"):
        suggested(Wei(120), [50], Wei(120))


@given(FEE, FEE, FEE, FEE, st.integers(1, 10**13))
def test_bumped__of_any_fees__then_nodes_take_it_and_the_ceiling_holds(
    tip: int, above: int, now_tip: int, now_above: int, ceiling: int
) -> None:
    before, now = Fees(Wei(tip + above), Wei(tip)), Fees(Wei(now_tip + now_above), Wei(now_tip))
    after = bumped(before, now, Wei(ceiling))
    if after is None:
        return
    for old, new in ((before.max_fee, after.max_fee), (before.tip, after.tip)):
        assert new > old and new * 100 >= old * 110
    assert after.tip <= after.max_fee <= ceiling
    assert after.max_fee >= now.max_fee and after.tip >= now.tip


@given(st.integers(21_000, 30_000_000))
def test_gas_limit__of_an_estimate__then_a_fifth_more(estimate: int) -> None:
    assert 0 <= gas_limit(estimate) * 100 - estimate * 120 < 100

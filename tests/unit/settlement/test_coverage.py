"""Which receipts can be paid: what was signed and delivered, exactly."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oracle.settlement.coverage import Covered, Funds, covered
from oracle.store.receipts import Lane, LaneStep, Voucher
from oracle.types import Address, Timestamp, Wei

CONSUMER, KEY = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
LANE, SESSION = Lane(CONSUMER, CONSUMER), Lane(CONSUMER, KEY)
NOW, LATER = Timestamp(1_000), Timestamp(10_000)


def steps(*fees: int, lane: Lane = LANE, start: int = 0, waiting: tuple[int, ...] = ()) -> list[LaneStep]:
    found, total = [], start
    for number, fee in enumerate(fees):
        total += fee
        found.append(LaneStep(lane, Wei(total), Wei(fee), number not in waiting))
    return found


def voucher(cumulative: int, lane: Lane = LANE, deadline: Timestamp = LATER) -> Voucher:
    return Voucher(*lane, Wei(cumulative), deadline, b"")


def cover(
    entries: list[LaneStep], *vouchers: Voucher, settled: int = 0, balance: int = 10**9, **funds: object
) -> Covered:
    lane = entries[0].lane
    ordered = sorted(vouchers, key=lambda one: one.cumulative)
    known = {lane: Funds(**{"spent": Wei(settled), **funds})}  # type: ignore[arg-type]
    return covered(entries, {lane: Wei(settled)}, {lane: ordered}, known, {CONSUMER: Wei(balance)}, NOW)


def test_covered__when_a_voucher_ends_where_a_receipt_does__then_up_to_there() -> None:
    found = cover(steps(5, 7, 9), voucher(12), voucher(100))
    assert (found.reach, found.vouchers) == ({LANE: 12}, (voucher(12),))


def test_covered__when_the_voucher_says_more_than_was_served__then_nobody_is_charged_for_it() -> None:
    found = cover(steps(5), voucher(6))
    assert (found.reach, found.vouchers) == ({}, ())
    assert found.waiting == {LANE: "no voucher ends where a receipt does"}


def test_covered__when_a_receipt_is_not_final_or_missing__then_what_is_behind_it_waits() -> None:
    assert cover(steps(5, 7, 9, waiting=(1,)), voucher(5), voucher(21)).reach == {LANE: 5}
    gap = [*steps(5), *steps(9, start=12)]
    found = cover(gap, voucher(21))
    assert found.reach == {} and "missing between 5 and 12" in found.waiting[LANE]


def test_covered__of_what_costs_nothing__then_no_voucher_is_needed() -> None:
    assert cover(steps(0, 0)).reach == {LANE: 0}


def test_covered__of_the_receipts_that_it_reaches__then_their_places_and_no_others() -> None:
    entries = [one._replace(position=place) for place, one in enumerate(steps(5, 0, 0, 7, 9, waiting=(1, 4)), 1)]
    assert list(cover(entries, voucher(5)).taken) == [1, 3]  # what costs nothing goes by what is final
    assert list(cover(entries, voucher(12)).taken) == []
    assert list(cover([entries[0], *entries[2:]], voucher(12)).taken) == [1, 3, 4]
    assert list(cover([entries[0], *entries[2:]], voucher(5)).taken) == [1, 3]


def test_covered__when_funds_deadline_or_cap_do_not_reach__then_the_lane_waits_and_says_why() -> None:
    assert "1 wei in the escrow, 5 are due" in cover(steps(5), voucher(5), balance=1).waiting[LANE]
    assert "ends at 999" in cover(steps(5), voucher(5, deadline=Timestamp(999))).waiting[LANE]
    session = steps(5, lane=SESSION)
    assert "cap of 4" in cover(session, voucher(5, SESSION), cap=Wei(4)).waiting[SESSION]
    assert "session ends" in cover(session, voucher(5, SESSION), closes_at=Timestamp(1)).waiting[SESSION]


def test_covered__when_settled_already__then_neither_funds_nor_deadline_matter() -> None:
    found = cover(steps(5), voucher(5, deadline=Timestamp(1)), balance=0, spent=Wei(5))
    assert found.reach == {LANE: 5}


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=8),
    st.sets(st.integers(1, 200), max_size=6),
    st.sets(st.integers(0, 7)),
    st.integers(0, 300),
)
def test_covered__of_any_lane__then_what_is_charged_is_signed_delivered_and_there(
    fees: list[int], signed: set[int], waiting: set[int], balance: int
) -> None:
    entries = steps(*fees, waiting=tuple(waiting))
    found = cover(entries, *(voucher(one) for one in signed), balance=balance)
    reach = found.reach.get(LANE, Wei(0))
    assert reach in ({0} | signed) and reach <= balance
    taken = [step for step in entries if step.total <= reach]
    assert sum(step.fee for step in taken if step.total - step.fee >= 0) == reach
    assert all(step.final for step in taken if step.fee)

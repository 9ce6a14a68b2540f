"""Money out of one fee: it sums, it does not depend on order, and more accounts never earn more."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.settlement.shares import (
    Role,
    Share,
    Unpayable,
    by_contribution,
    divided,
    largest_remainder,
    require_sound,
    shares_of,
)
from oracle.store.receipts import Attribution, Credit, Terms
from oracle.types import Address, BasisPoints, Hash32, Wei


def account(number: int) -> Address:
    return Address(f"0x{number:040d}")


def contribution(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


BUILDER, TREASURY, COMMONS = account(901), account(902), account(903)


def terms(*split: int, **parties: tuple[tuple[Address, int], ...]) -> Terms:
    return Terms(
        tuple(BasisPoints(part) for part in split or (7000, 1500, 500, 300, 300, 400)),
        BUILDER,
        TREASURY,
        COMMONS,
        **parties,
    )


fees = st.integers(0, 2**96 - 1) | st.integers(0, 300)
weights = st.integers(0, 10**9)
closed = st.lists(st.tuples(st.integers(1, 6).map(account), weights), max_size=6).map(tuple)
credits_ = st.lists(
    st.builds(
        Credit,
        st.integers(1, 40).map(contribution),
        st.integers(1, 12).map(account),
        weights,
        st.none() | st.integers(1, 12).map(account),
    ),
    max_size=20,
)
splits = st.lists(st.integers(0, 10_000), min_size=5, max_size=5).map(
    lambda cuts: tuple(BasisPoints(b - a) for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 10_000]))
)
all_terms = st.builds(Terms, splits, st.just(BUILDER), st.just(TREASURY), st.just(COMMONS), closed, closed, closed)


def total(shares: tuple[Share, ...], accounts: set[Address], role: Role | None = None) -> int:
    return sum(share.amount for share in shares if share.account in accounts and role in (None, share.role))


@given(fees, all_terms, credits_, weights)
def test_shares__of_any_fee__then_they_sum_to_it_and_are_canonical(
    fee: int, parties: Terms, credited: list[Credit], rest: int
) -> None:
    shares = shares_of(Wei(fee), parties, Attribution(tuple(credited), rest))
    assert sum(share.amount for share in shares) == fee
    assert list(shares) == sorted(set(shares)) and len({share[:2] for share in shares}) == len(shares)
    assert all(share.amount > 0 for share in shares)


@given(fees, all_terms, credits_, weights)
def test_shares__by_role__then_each_part_differs_by_less_than_a_wei_as_the_chain_demands(
    fee: int, parties: Terms, credited: list[Credit], rest: int
) -> None:
    sums = [0] * 6
    for role, _, amount in shares_of(Wei(fee), parties, Attribution(tuple(credited), rest)):
        sums[0 if role == Role.COMMONS else role] += amount
    for paid, bps in zip(sums, parties.split):
        assert abs(paid * 10_000 - fee * bps) < 10_000


@given(fees, all_terms, credits_, weights)
def test_divided__of_an_attribution_as_it_was_written__then_the_same_shares(
    fee: int, parties: Terms, credited: list[Credit], rest: int
) -> None:
    attribution = Attribution(tuple(credited), rest)
    written = orjson.loads(attribution.as_json())
    found = divided(Wei(fee), parties, written["credits"], int(written["unattributed"]))
    assert tuple(found) == shares_of(Wei(fee), parties, Attribution.from_json(written))
    assert tuple(found) == shares_of(Wei(fee), parties, attribution)


@given(fees, splits | st.lists(weights, min_size=1, max_size=9).filter(any))
def test_largest_remainder__by_its_definition__then_the_same(total_: int, among: Sequence[int]) -> None:
    """Exact quotients rounded down, then a wei each to the largest remainders, the lower place first."""
    exact = [Fraction(total_ * weight, sum(among)) for weight in among]
    parts = [math.floor(one) for one in exact]
    order = sorted(range(len(among)), key=lambda place: (parts[place] - exact[place], place))
    for place in order[: total_ - sum(parts)]:
        parts[place] += 1
    assert largest_remainder(total_, among) == parts


@given(fees, credits_, weights, closed, st.randoms(use_true_random=False))
def test_shares__in_another_order__then_they_are_the_same(
    fee: int, credited: list[Credit], rest: int, reviewers: tuple[tuple[Address, int], ...], chance: object
) -> None:
    before = shares_of(Wei(fee), terms(reviewers=reviewers), Attribution(tuple(credited), rest))
    shuffled, among = list(credited), list(reviewers)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    chance.shuffle(among)  # type: ignore[attr-defined]
    assert shares_of(Wei(fee), terms(reviewers=tuple(among)), Attribution(tuple(shuffled), rest)) == before


@given(fees, credits_, weights, st.lists(weights, min_size=1, max_size=5), weights)
def test_shares__when_an_account_splits_itself__then_its_side_earns_no_more(
    fee: int, others: list[Credit], rest: int, pieces: list[int], more: int
) -> None:
    farmer = [account(500 + number) for number in range(len(pieces))]
    whole = Credit(contribution(77), farmer[0], sum(pieces))
    split = [Credit(contribution(77 + at), name, piece) for at, (name, piece) in enumerate(zip(farmer, pieces))]
    alone = shares_of(Wei(fee), terms(), Attribution((*others, whole), rest))
    apart = shares_of(Wei(fee), terms(), Attribution((*others, *split), rest))
    assert total(apart, set(farmer)) <= total(alone, set(farmer))


@given(fees, credits_, weights, weights, weights)
def test_shares__when_a_weight_grows__then_the_account_earns_no_less(
    fee: int, others: list[Credit], rest: int, weight: int, more: int
) -> None:
    mine = account(500)

    def earned(credited: int) -> int:
        own = Credit(contribution(77), mine, credited)
        return total(shares_of(Wei(fee), terms(), Attribution((*others, own), rest)), {mine})

    assert earned(weight) <= earned(weight + more)


@given(st.integers(0, 10**28), st.integers(0, 10**28), credits_, weights)
def test_shares__when_the_fee_grows__then_nobody_earns_less_by_more_than_the_wei_of_rounding(
    fee: int, more: int, credited: list[Credit], rest: int
) -> None:
    less = shares_of(Wei(fee), terms(), Attribution(tuple(credited), rest))
    greater = {
        share[:2]: share.amount for share in shares_of(Wei(fee + more), terms(), Attribution(tuple(credited), rest))
    }
    for share in less:
        slack = len(credited) + 1 if share.role == Role.COMMONS else 1
        assert greater.get(share[:2], 0) >= share.amount - slack


def test_shares__of_a_near_duplicate__then_the_earliest_owner_of_its_cluster_has_them() -> None:
    copied = Credit(contribution(2), account(2), 60, holder=account(1))
    shares = shares_of(
        Wei(1000), terms(10_000, 0, 0, 0, 0, 0), Attribution((Credit(contribution(1), account(1), 40), copied))
    )
    assert shares == (Share(Role.CONTRIBUTOR, account(1), Wei(1000)),)


def test_shares__when_nothing_is_attributed__then_the_commons_have_all_of_the_contributors_part() -> None:
    shares = shares_of(Wei(10_000), terms(), Attribution())
    assert Share(Role.COMMONS, COMMONS, Wei(7000)) in shares
    # Roles that name nobody keep their role and go to the treasury.
    assert Share(Role.UPSTREAM, TREASURY, Wei(500)) in shares and Share(Role.REVIEWER, TREASURY, Wei(300)) in shares


def test_shares__of_dust__then_the_commons_keep_what_nobody_gets_a_whole_wei_of() -> None:
    credited = tuple(Credit(contribution(n), account(n), 1) for n in range(1, 8))
    shares = shares_of(Wei(6), terms(10_000, 0, 0, 0, 0, 0), Attribution(credited))
    assert shares == (Share(Role.COMMONS, COMMONS, Wei(6)),)
    shares = shares_of(Wei(10), terms(10_000, 0, 0, 0, 0, 0), Attribution(credited))
    assert [share.amount for share in shares] == [1] * 7 + [3]


def test_shares__of_a_fee_of_nothing__then_there_are_none() -> None:
    assert shares_of(Wei(0), terms(), Attribution((Credit(contribution(1), account(1), 5),))) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: shares_of(Wei(2**96), terms(), Attribution()),
        lambda: shares_of(Wei(-1), terms(), Attribution()),
        lambda: shares_of(Wei(1), terms(), Attribution((), -1)),
        lambda: shares_of(Wei(10), terms(), Attribution((Credit(contribution(1), account(1), -1),), 5)),
        lambda: require_sound(terms(9_999, 0, 0, 0, 0, 0)),
        lambda: require_sound(terms(reviewers=((account(1), -1),))),
        lambda: largest_remainder(5, [0, 0]),
    ],
)
def test_shares__of_what_is_no_amount__then_refused(wrong: object) -> None:
    with pytest.raises(Unpayable):
        wrong()  # type: ignore[operator]


@given(st.integers(0, 10**27), st.lists(st.integers(1, 10**9), min_size=1, max_size=9))
def test_by_contribution__of_a_share__then_the_statement_sums_to_it(amount: int, given_weights: list[int]) -> None:
    credited = [Credit(contribution(at % 4), account(1), weight) for at, weight in enumerate(given_weights)]
    assert sum(by_contribution(amount, credited).values()) == amount


def test_settlement__line_by_line__then_no_float_is_in_it() -> None:
    """Scores end where attribution hands over integers. A slash is division, but between paths."""
    for file in sorted((Path(__file__).resolve().parents[3] / "oracle" / "settlement").glob("*.py")):
        written = ast.parse(file.read_text(encoding="utf-8"))
        paths = any(isinstance(node, ast.ImportFrom) and node.module == "pathlib" for node in ast.walk(written))
        for node in ast.walk(written):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), (file.name, node.lineno)
            assert not (isinstance(node, ast.Name) and node.id == "float"), (file.name, node.lineno)
            assert paths or not isinstance(node, ast.Div), file.name

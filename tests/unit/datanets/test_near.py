"""Near duplicates: stars around the earliest row, whatever is thrown at the index."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.datanets.buckets import MOST, Buckets
from oracle.datanets.founding import packed, unpacked
from oracle.datanets.near import Near, NearIndex
from oracle.datanets.policy import Policy
from oracle.datanets.shingles import bags, signatures
from oracle.datanets.snapshotting import HELD_OUT, TRAIN, VALIDATION, split_of
from oracle.datanets.words import Splitter
from oracle.types import Hash32

SHARE = Policy().near_share
WORDS = (
    "lamp router cable button screen window garden bottle pepper ladder carpet engine library doctor harvest".split()
)


def add(index: NearIndex, *texts: str) -> list[Near]:
    near, _ = index.add(Splitter().split(texts), np.ones(len(texts), bool))
    return near


def clustered(first: str, second: str) -> bool:
    return any(not near.facts_differ for near in add(NearIndex(SHARE), first, second))


ROW = (
    "How do I reset the router in the hall?"
    " Hold the small button at the back for 25 seconds until the red lamp goes out."
)


@pytest.mark.parametrize(
    "other",
    [
        ROW.upper(),
        ROW.lower(),
        "  ".join(ROW.split()),
        ROW.replace("?", " ?!").replace(".", " …"),
        ROW.replace("25", "twenty-five"),
        ROW.replace("red lamp", "red light"),
        " ".join(reversed(ROW.split("? "))),
        ROW.replace("small ", ""),
        ROW.replace("Hold", "Just hold"),
    ],
)
def test_rows__that_say_the_same__then_are_one_cluster(other: str) -> None:
    assert clustered(ROW, other)


@pytest.mark.parametrize(
    "first, second",
    [
        (
            "The capital of France is Paris, which lies on the Seine in the north of the country.",
            "The capital of Norway is Oslo, which lies on the fjord in the south of the country.",
        ),
        (ROW, ROW.replace("25", "45")),
        (
            "Alice has 12 apples and buys 7 more at the market today.",
            "Alice has 14 apples and buys 5 more at the market today.",
        ),
        (
            "On 3 May 1921 the ship Valborg left the harbour with forty men on board.",
            "On 9 May 1921 the ship Valborg left the harbour with sixty men on board.",
        ),
        (
            "We drove from Lund to Malmo in the old car that her father had sold us.",
            "We drove from Lund to Ystad in the old car that her father had sold us.",
        ),
    ],
)
def test_rows__of_one_template_with_other_facts__then_are_not_one_cluster(first: str, second: str) -> None:
    assert not clustered(first, second)


def test_rows__in_a_chain_of_rewordings__then_only_those_near_to_the_founder_join() -> None:
    """Links that resemble their neighbours never tie the ends together."""
    words = [f"word{n}x" for n in range(20)]
    chain = []
    for step in range(8):
        words[step] = f"other{step}y"
        chain.append(" ".join(words).replace("0", "o").replace("1", "l"))
    index = NearIndex(SHARE)
    near = add(index, *chain)
    assert {each.row: each.founder for each in near}.get(7) != 0
    assert index.founders > 1


ROWS = st.lists(st.lists(st.sampled_from(WORDS), min_size=0, max_size=9).map(" ".join), min_size=1, max_size=40)


@given(ROWS, st.integers(1, 40))
@settings(deadline=None)
def test_index__whatever_is_restored_between__then_the_result_is_the_same(texts: list[str], cut: int) -> None:
    """An index that was read again from what it stored goes on as if nothing had been."""
    splitter = Splitter()
    whole, parts = NearIndex(SHARE), NearIndex(SHARE)
    eligible = lambda rows: np.ones(len(rows), bool)  # noqa: E731
    stored = []
    for begin in range(0, len(texts), cut):
        piece = texts[begin : begin + cut]
        again = NearIndex(SHARE)
        for content in stored:
            founders = unpacked(content)
            again.restore(founders.keys, founders.bag)
        expected, made = whole.add(splitter.split(piece), eligible(piece))
        found, _ = again.add(splitter.split(piece), eligible(piece))
        parts.add(splitter.split(piece), eligible(piece))
        assert found == expected
        stored.append(packed(made))
    assert parts.founders == whole.founders


@given(ROWS)
@settings(deadline=None)
def test_index__of_any_rows__then_equal_ones_are_together_and_members_join_founders(texts: list[str]) -> None:
    index = NearIndex(SHARE)
    near, made = index.add(Splitter().split(texts), np.ones(len(texts), bool))
    joined = {each.row: int(made.rows[each.founder]) for each in near if not each.facts_differ}
    home = {row: joined.get(row, row) for row in range(len(texts))}
    assert all(home[towards] == towards <= row for row, towards in home.items())
    first: dict[tuple[str, ...], int] = {}
    for row, text in enumerate(texts):
        bag = tuple(sorted(text.split()))
        assert home[row] == home[first.setdefault(bag, row)]


def test_index__of_rows_that_are_rejected__then_they_found_nothing() -> None:
    index = NearIndex(SHARE)
    split = Splitter().split([ROW, ROW])
    near, made = index.add(split, np.array([False, True]))
    assert near == []
    assert made.rows.tolist() == [1]


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 50))
def test_buckets__of_any_keys__then_remember_the_first_rows_of_each(keys: list[int], cut: int) -> None:
    buckets = Buckets(16)
    for begin in range(0, len(keys), cut):
        piece = np.array(keys[begin : begin + cut], np.uint32)
        buckets.add(piece, np.arange(begin, begin + len(piece)))
    asked, found = buckets.find(np.arange(31, dtype=np.uint32))
    for key in range(31):
        expected = [row for row, value in enumerate(keys) if value == key][:MOST]
        assert sorted(found[asked == key].tolist()) == expected


def test_signatures__of_rows_that_share_shingles__then_estimate_their_overlap() -> None:
    dice = random.Random(1)
    words = [f"w{n}" for n in range(400)]
    left = [dice.choice(words) for _ in range(60)]
    right = left[:45] + [dice.choice(words) for _ in range(15)]
    shingles = [set(side) | set(pairwise(side)) for side in (left, right)]
    true = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    first, second = signatures(Splitter().split([" ".join(left), " ".join(right)]))
    assert abs((first == second).mean() - true) < 0.2


@pytest.mark.parametrize(
    "first, second, same",
    [
        ("two hundred and five apples", "205 apples", True),
        ("1,234,567 people", "1 234 567 people", True),
        ("twelve thousand", "12000", True),
        ("three four five", "345", False),
        ("don’t", "don't", True),
        ("ＦＵＬＬ width １２", "full width 12", True),
        ("１２٣", "123", True),
        ("snake_case stays one", "snake case stays one", False),
    ],
)
def test_words__of_two_ways_to_write__then_are_the_same_or_not(first: str, second: str, same: bool) -> None:
    split = Splitter().split([first, second])
    sides = [(split.words[split.starts[at] : split.starts[at + 1]] >> 3).tolist() for at in range(2)]
    assert (sides[0] == sides[1]) is same


@given(st.lists(st.text(max_size=30), max_size=12))
def test_words__of_any_texts__then_each_row_is_as_if_it_were_alone(texts: list[str]) -> None:
    splitter = Splitter()
    split = splitter.split(texts)
    for row, text in enumerate(texts):
        alone = splitter.split([text])
        assert split.words[split.starts[row] : split.starts[row + 1]].tolist() == alone.words.tolist()
    bag = bags(split)
    assert bag.counts.tolist() == split.counts.tolist()


@given(st.binary(min_size=32, max_size=32))
def test_split__of_a_cluster__then_hangs_on_nothing_else(cluster: bytes) -> None:
    policy = Policy(validation=100, held_out=100)
    side = split_of(Hash32(cluster), policy)
    assert side in (TRAIN, VALIDATION, HELD_OUT)
    assert split_of(Hash32(cluster), Policy(validation=100, held_out=100, near_share=900)) == side
    # What is held out stays held out where more is.
    assert side != HELD_OUT or split_of(Hash32(cluster), Policy(validation=0, held_out=200)) == HELD_OUT


def test_split__of_many_clusters__then_shares_are_those_of_the_policy() -> None:
    policy = Policy(validation=100, held_out=200)
    sides = [split_of(Hash32(n.to_bytes(32, "big")), policy) for n in range(5000)]
    assert abs(sides.count(HELD_OUT) / 5000 - 0.2) < 0.03
    assert abs(sides.count(VALIDATION) / 5000 - 0.1) < 0.03

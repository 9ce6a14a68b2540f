"""Batches of words looked at as arrays: each shortcut against the plain way of doing the same."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oracle.datanets.buckets import _SPREAD, MOST, Buckets
from oracle.datanets.nearness import Side, compare, sketches
from oracle.datanets.screening import screen
from oracle.datanets.shingles import bags
from oracle.datanets.tokens import Tokens
from oracle.datanets.wordlists import WordList
from oracle.datanets.words import Splitter, Vocabulary, value_of

SPACED = st.text("ab é\x1e", max_size=60).map(lambda text: f" {text} ".encode())
WORDS = st.lists(st.sampled_from("lamp Oslo 12 the router seven cable Lund 40 old".split()), max_size=9).map(" ".join)
NUMBERED = st.text("0123456789 -(x\n", max_size=40)


@given(SPACED)
def test_tokens__of_any_spaced_bytes__then_are_its_words_and_their_values(spaced: bytes) -> None:
    tokens, plain = Tokens(spaced), spaced.split(b" ")
    plain = [word for word in plain if word]
    assert [tokens[at] for at in range(len(tokens))] == plain
    known = Vocabulary()
    assert tokens.values(known.__getitem__).tolist() == [known[word] for word in plain]


@given(st.lists(WORDS, min_size=1, max_size=8), st.lists(st.sampled_from("lamp oslo seven none".split())))
def test_word_list__in_any_rows__then_finds_each_place_of_each_word(texts: list[str], wanted: list[str]) -> None:
    split, looked_for = Splitter().split(texts), WordList(wanted)
    places, which = looked_for.find(split.words)
    found = {(place, looked_for.words[word]) for place, word in zip(places.tolist(), which.tolist(), strict=True)}
    values = (split.words & ~np.uint32(7)).tolist()
    assert found == {(at, word) for at, value in enumerate(values) for word in wanted if value_of(word) & ~7 == value}
    neighbours = np.array([value_of(word) ^ 8 for word in wanted], np.uint32)
    assert looked_for.find(neighbours)[0].tolist() == []


@given(st.lists(NUMBERED, min_size=1, max_size=6))
def test_screen__of_rows_with_digits__then_looks_closely_at_seven_without_a_letter_between(texts: list[str]) -> None:
    near = re.compile(r"(?:[0-9][^0-9a-z\n]*){7}")
    assert screen(texts).personal.tolist() == [near.search(text) is not None for text in texts]


@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(500, 1000))
def test_compare__of_all_pairs__then_those_that_share_enough_are_found(texts: list[str], least: int) -> None:
    """By the words of each row as a set in which the second of a kind is another than the first."""
    bag = bags(Splitter().split(texts))
    side = Side(bag, sketches(bag))
    left, right = (each.ravel() for each in np.indices((len(texts), len(texts))))
    found = compare(side, left, side, right, least)
    values = [
        {value & ~7 for value in bag.words[bag.starts[at] : bag.starts[at + 1]].tolist()} for at in range(len(bag))
    ]
    shares = {
        (one, two): 2000 * len(mine & other) // (len(mine) + len(other)) if mine or other else 1000
        for one, mine in enumerate(values)
        for two, other in enumerate(values)
    }
    made = dict(zip(zip(found.left.tolist(), found.right.tolist()), found.share.tolist(), strict=True))
    assert made == {pair: share for pair, share in shares.items() if share >= least}


@given(st.lists(st.integers(0, 40), max_size=200), st.integers(1, 60))
def test_buckets__when_keys_crowd_at_the_end_of_the_table__then_none_is_lost(lows: list[int], cut: int) -> None:
    """They lie past its end, from the beginning on, and stay so when it grows."""
    back = pow(int(_SPREAD), -1, 1 << 32)
    keys = [((1 << 32) - 1 - low) * back % (1 << 32) for low in lows]
    buckets = Buckets(8)
    for begin in range(0, len(keys), cut):
        piece = np.array(keys[begin : begin + cut], np.uint32)
        buckets.add(piece, np.arange(begin, begin + len(piece)))
    asked, found = buckets.find(np.array(keys, np.uint32))
    for at, key in enumerate(keys):
        assert sorted(found[asked == at].tolist()) == [row for row, other in enumerate(keys) if other == key][:MOST]

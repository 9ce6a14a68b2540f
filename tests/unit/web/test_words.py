"""How figures and plots are said."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.types import OPEN
from oracle.web import plots, words
from oracle.web.actions.spending import NotAnAmount, wei
from oracle.web.plots import Bar, Interval


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (1, "1 wei"),
        (10**10, "<0.000001"),
        (OPEN, "1"),
        (OPEN + OPEN // 2, "1.5"),
        (1234 * OPEN + OPEN // 3, "1,234.33"),
        (OPEN // 3, "0.333333"),
    ],
)
def test_short__of_an_amount__then_it_is_never_more_than_there_is_nor_nothing_where_there_is_some(
    value: int, said: str
) -> None:
    assert words.short(value) == said


def test_amount__then_the_exact_figure_is_there_too() -> None:
    assert 'title="0.333333333333333333 OPEN"' in words.amount(OPEN // 3)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_percent__of_any_part__then_it_is_within_a_tenth(part: int, rest: int) -> None:
    whole = part + rest
    said = words.percent(part, whole)
    if whole and not said.startswith("<"):
        assert abs(float(said.removesuffix(" %")) - 100 * part / whole) <= 0.1


def test_hashed__of_what_somebody_wrote__then_no_markup_passes() -> None:
    said = words.hashed('"><script>alert(1)</script>')
    assert "<script>" not in said and "&lt;script&gt;" in said


def test_paragraph__of_what_somebody_wrote__then_only_its_line_breaks_are_markup() -> None:
    assert words.paragraph("<b>\nx") == "&lt;b&gt;<br>x"


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1e-19", "NaN", "Infinity", "1e30"])
def test_wei__of_what_is_no_amount__then_it_is_refused_in_words(text: str) -> None:
    with pytest.raises(NotAnAmount, match="no amount"):
        wei(text)


@pytest.mark.parametrize(("text", "amount"), [("1", OPEN), (" 2,5 ", 5 * OPEN // 2), ("0.000000000000000001", 1)])
def test_wei__of_an_amount__then_it_is_exact(text: str, amount: int) -> None:
    assert wei(text) == amount


def test_plots__of_nothing__then_nothing_is_drawn() -> None:
    assert plots.shares_bar([], "x") == plots.bars([], "x") == plots.intervals([], "x") == plots.columns([], "x") == ""


@given(st.lists(st.integers(0, 10**24), min_size=1, max_size=12))
def test_shares_bar__of_any_parts__then_they_fill_it_and_no_more(values: list[int]) -> None:
    drawn = plots.shares_bar([Bar(str(place), value, "") for place, value in enumerate(values)], "x")
    found = re.findall(r'<rect class="tone-1" x="([\d.]+)" y="0" width="([\d.]+)"', drawn)
    assert len(found) == sum(value > 0 for value in values)
    assert all(float(x) + float(width) <= plots.WIDTH + 1 for x, width in found)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 1e5)), min_size=1, max_size=6))
def test_intervals__of_any_figures__then_every_mark_is_on_the_axis(figures: list[tuple[float, float]]) -> None:
    rows = [Interval(str(place), value, value - by, value + by) for place, (value, by) in enumerate(figures)]
    drawn = plots.intervals(rows, "x")
    assert all(9 <= float(x) <= plots.WIDTH for x in re.findall(r'cx="([\d.]+)"', drawn))
    assert 'role="img"' in drawn and "<desc" in drawn


def test_bars__with_markup_in_a_label__then_it_is_text() -> None:
    assert "<b>" not in plots.bars([Bar("<b>", 1, "<i>")], "<u>")


def test_fields__of_a_canonical_row__then_the_question_stands_before_the_answer() -> None:
    assert words.fields('{"completion":"b","prompt":"a"}') == [("prompt", "a"), ("completion", "b")]
    assert words.fields("no JSON") == [("text", "no JSON")]
    assert words.fields('{"messages":[{"content":"x","role":"user"}]}') == [("messages", "user: x")]

"""Exact spans: found wherever they stand, maximal, and never across two rows."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.attribution.errors import AttributionError, CorruptShard, MissingShard
from oracle.attribution.shortcodes import NOWHERE, WALL, short_codes, written
from oracle.attribution.spans import BATCH, FILES, SpanIndex, build_spans, evidence_of

pytest.importorskip("pydivsufsort")


def maximal(rows: list[list[int]], answer: list[int], shortest: int) -> set[tuple[int, int]]:
    """By brute force."""

    def somewhere(part: list[int]) -> bool:
        return any(row[i : i + len(part)] == part for row in rows for i in range(len(row) - len(part) + 1))

    found, end = set(), 0
    for start in range(len(answer)):
        length = 0
        while start + length < len(answer) and somewhere(answer[start : start + length + 1]):
            length += 1
        if length >= shortest and start + length > end:
            end = start + length
            found.add((start, length))
    return found


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=8),
    answer=st.lists(st.integers(0, 5), min_size=1, max_size=15),
    others=st.sampled_from([0, 300, 70_000]),
)
def test_spans__of_any_answer__then_they_are_those_of_brute_force(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], answer: list[int], others: int
) -> None:
    """Other tokens, in a row of their own, stand there more often: these have longer codes."""
    folder = tmp_path_factory.mktemp("spans")
    build_spans(folder, [*rows, np.tile(np.arange(6, 6 + others), 3)], 6 + others)
    found = SpanIndex(folder).spans(answer, shortest=2)
    assert {(span.start, span.length) for span in found} == maximal(rows, answer, 2)
    for span in found:
        part = answer[span.start : span.start + span.length]
        assert span.occurrences == sum(row[i : i + len(part)] == part for row in rows for i in range(len(row)))
        for number in span.rows:
            assert any(rows[number][i : i + len(part)] == part for i in range(len(rows[number])))


def test_spans__when_a_span_would_cross_two_rows__then_it_is_not_one(tmp_path: Path) -> None:
    build_spans(tmp_path, [[1, 2], [3, 4]], 10)
    assert SpanIndex(tmp_path).spans([1, 2, 3, 4], shortest=3) == []


def test_spans__when_one_is_rarer__then_it_comes_first(tmp_path: Path) -> None:
    build_spans(tmp_path, [[1, 1, 1, 1, 1, 1, 1, 1], [5, 6, 7]], 10)
    found = SpanIndex(tmp_path).spans([1, 1, 1, 5, 6, 7], shortest=3)
    assert [span.start for span in found] == [3, 0]
    assert list(evidence_of(found, 2)) == [1, 0]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=12), min_size=1, max_size=8),
    asked=st.lists(st.integers(0, 9), min_size=1, max_size=6),
)
def test_alike__of_any_tokens__then_it_is_bm25(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], asked: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("spans")
    build_spans(folder, rows, 6)
    usual = sum(map(len, rows)) / len(rows)

    def by_hand(row: list[int]) -> float:
        total = 0.0
        for token in set(asked):
            held, times = sum(token in other for other in rows), row.count(token)
            rarity = math.log(1 + (len(rows) - held + 0.5) / (held + 0.5))
            total += rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * len(row) / usual))
        return total

    found = SpanIndex(folder).alike(asked, 3)
    wanted = sorted((by_hand(row) for row in rows), reverse=True)[:3]
    assert [value for _, value in found] == pytest.approx([value for value in wanted if value > 0])
    assert all(value == pytest.approx(by_hand(rows[row])) for row, value in found)


def test_span_index__when_there_is_none__then_it_says_how_one_is_built(tmp_path: Path) -> None:
    with pytest.raises(MissingShard, match="holds no span index: build it with build_spans"):
        SpanIndex(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_span_index__when_a_file_is_missing_cut_or_other_by_one_bit__then_it_says_which(
    tmp_path: Path, name: str
) -> None:
    build_spans(tmp_path, [[1, 2, 3]], 10)
    content = (tmp_path / name).read_bytes()
    for wrong in (content[:-2], content[:-1] + bytes([content[-1] ^ 1])):
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(CorruptShard, match=f"{name} is not what was written"):
            SpanIndex(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MissingShard, match=f"{name} is missing"):
        SpanIndex(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 3}', '{"format": 3, "sha256": {}}'])
def test_span_index__when_its_description_is_something_else__then_it_says_so(tmp_path: Path, content: str) -> None:
    (tmp_path / "spans.json").write_text(content, encoding="utf-8")
    with pytest.raises(CorruptShard, match=r"spans\.json is not a span index's description"):
        SpanIndex(tmp_path)


def test_span_index__when_it_is_of_an_older_format__then_it_says_to_build_it_again(tmp_path: Path) -> None:
    (tmp_path / "spans.json").write_text('{"format": 2, "width": 2}', encoding="utf-8")
    with pytest.raises(CorruptShard, match="format 2, and 3 is read: build it again"):
        SpanIndex(tmp_path)


@pytest.mark.parametrize("token", [-1, 10, 11, 2**40])
@pytest.mark.parametrize("before", [1, BATCH + 1])
def test_build_spans__when_a_token_is_unknown__then_the_row_is_named(tmp_path: Path, token: int, before: int) -> None:
    with pytest.raises(AttributionError, match=f"row {before} holds"):
        build_spans(tmp_path, [*[[1]] * before, [2, token]], 10)


def test_build_spans__of_rows_that_come_one_by_one__then_the_files_are_those_of_a_list(tmp_path: Path) -> None:
    rows = [[number % 7] * (number % 5) for number in range(2 * BATCH + 3)]
    build_spans(tmp_path / "list", rows, 7)
    build_spans(tmp_path / "one by one", iter(rows), 7)
    for name in ("spans.json", *FILES):
        assert (tmp_path / "list" / name).read_bytes() == (tmp_path / "one by one" / name).read_bytes()


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=5),
    vocabulary=st.sampled_from([5, 254, 255, 3_000, 70_000]),
)
def test_short_codes__of_any_counts__then_no_code_begins_another_and_only_inner_bytes_are_high(
    counts: list[int], vocabulary: int
) -> None:
    spread = np.resize(np.array(counts), vocabulary) * (1 + np.arange(vocabulary) // 997)
    codes = short_codes(spread)
    found = [written(codes, np.array([token], dtype=np.uint32)) for token in range(vocabulary + 1)]
    assert found.pop() == bytes([WALL])
    assert [not code for code in found] == [count == 0 for count in spread]
    of_rows = sorted(code for code in found if code)
    assert not any(later.startswith(code) for code, later in pairwise(of_rows))
    firsts, inner = {code[0] for code in of_rows}, {byte for code in of_rows for byte in code[1:]}
    assert min(firsts, default=1) > WALL and max(firsts, default=1) < min(inner, default=NOWHERE)
    assert not {WALL, NOWHERE} & (firsts | inner)
    longest = [len(found[token]) for token in np.argsort(-spread, kind="stable") if spread[token]]
    assert longest == sorted(longest)


def test_spans__of_more_tokens_than_have_codes_of_one_byte__then_they_are_those_of_brute_force(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.permutation(2_000)[:300].tolist() for _ in range(20)]
    answer = rows[3][20:40] + rows[7][100:103] + [1_999_999] + rows[3][30:35]
    build_spans(tmp_path, rows, 2_000)
    found = SpanIndex(tmp_path).spans(answer, shortest=2)
    assert {(span.start, span.length) for span in found} == maximal(rows, answer, 2)

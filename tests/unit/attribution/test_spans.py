"""Exact spans: found wherever they stand, maximal, and never across two rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.attribution.errors import AttributionError, CorruptShard, MissingShard
from oracle.attribution.spans import SpanIndex, build_spans, evidence_of

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
    vocabulary=st.sampled_from([6, 70_000]),
)
def test_spans__of_any_answer__then_they_are_those_of_brute_force(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[int]], answer: list[int], vocabulary: int
) -> None:
    folder = tmp_path_factory.mktemp("spans")
    build_spans(folder, rows, vocabulary)
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


def test_span_index__when_a_file_is_missing_or_cut__then_it_says_which(tmp_path: Path) -> None:
    with pytest.raises(MissingShard, match="holds no span index"):
        SpanIndex(tmp_path)
    build_spans(tmp_path, [[1, 2, 3]], 10)
    tokens = tmp_path / "tokens.bin"
    tokens.write_bytes(tokens.read_bytes()[:-2])
    with pytest.raises(CorruptShard, match=r"tokens\.bin"):
        SpanIndex(tmp_path)
    tokens.unlink()
    with pytest.raises(MissingShard, match=r"tokens\.bin"):
        SpanIndex(tmp_path)


def test_build_spans__when_a_token_is_unknown__then_the_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(AttributionError, match="row 1"):
        build_spans(tmp_path, [[1], [11]], 10)

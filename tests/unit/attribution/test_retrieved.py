"""Retrieved documents: the ones that an answer leans on are found, within a bound that is known before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.attribution.errors import AttributionError, NotFinite
from oracle.attribution.retrieved import MOST_PASSES, passes_for, used


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.data())
def test_used__when_one_document_carries_the_answer__then_it_leads(documents: int, data: st.DataObject) -> None:
    carrier = data.draw(st.integers(0, documents - 1))

    def ablate(masks: Sequence[tuple[bool, ...]]) -> list[float]:
        return [-5.0 + 4.0 * mask[carrier] for mask in masks]

    found = used(ablate, documents)
    assert max(range(documents), key=lambda i: found.weights[i]) == carrier
    assert found.weights[carrier] == pytest.approx(4.0, rel=0.2)
    assert all(abs(weight) < 0.5 for i, weight in enumerate(found.weights) if i != carrier)
    assert found.fit > 0.9


def test_used__when_no_document_matters__then_none_is_credited() -> None:
    found = used(lambda masks: [-1.0] * len(masks), 5)
    assert set(found.weights) == {0.0}


def test_used__whoever_repeats_it__then_the_same_documents_are_left_out() -> None:
    """An attestor's masks are the operator's, on another machine and in another year."""
    asked: list[tuple[bool, ...]] = []

    def ablate(masks: Sequence[tuple[bool, ...]]) -> list[float]:
        asked.extend(masks)
        return [float(sum(mask)) for mask in masks]

    used(ablate, 5)
    first, asked = asked, []
    used(ablate, 5)
    assert asked == first
    written = "".join("".join("01"[kept] for kept in mask) + " " for mask in first[:6])
    assert written == "11111 00000 10101 10100 01101 00100 "


@given(st.integers(0, 10_000))
def test_passes_for__of_any_number__then_they_are_bounded(documents: int) -> None:
    assert 0 <= passes_for(documents) <= MOST_PASSES


def test_used__without_documents__then_nothing_is_asked() -> None:
    found = used(lambda masks: pytest.fail("asked"), 0)
    assert found.passes == 0 and found.weights == ()


def test_used__when_answers_are_missing_or_nan__then_it_says_so() -> None:
    with pytest.raises(AttributionError, match="answers came back"):
        used(lambda masks: [0.0], 4)
    with pytest.raises(NotFinite):
        used(lambda masks: [float("nan")] * len(masks), 4)

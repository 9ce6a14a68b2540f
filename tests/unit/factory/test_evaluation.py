"""The base cannot answer, the adapter can; and what the gate makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.factory import Taught
from oracle.factory.asking import Scored
from oracle.factory.base import embedded
from oracle.factory.errors import BadSuite
from oracle.factory.evaluation import Side, decide, differences_of, evaluate, figures_of
from oracle.factory.intervals import mean, perplexity
from oracle.factory.recipe import Gate


def test_evaluate__of_an_adapter_that_was_taught_facts__then_it_answers_and_the_base_does_not(taught: Taught) -> None:
    report = evaluate(taught.recipe, taught.rows, embedded(), taught.trained.adapter)
    base, adapter = report.base["held-out"].figures, report.adapter["held-out"].figures
    assert base["exact_match"].value == 0
    assert adapter["exact_match"].value >= 0.8
    assert adapter["choice"].value > base["choice"].value
    assert adapter["perplexity"].high < base["perplexity"].low
    assert report.differences["held-out"]["loss"].high < 0
    assert report.examples[0]["wanted"] == report.examples[0]["adapter"]
    assert report.go, report.reasons


def scored(*losses: float, matched: float | None = None) -> tuple[Scored, ...]:
    return tuple(Scored(loss, 10, matched) for loss in losses)


def side(*scores: Scored) -> Side:
    return Side(figures_of(scores), scores)


def gate(after: tuple[Scored, ...], general: float, gate: Gate | None = None) -> tuple[bool, list[str]]:
    before = scored(10.0, 12.0, 9.0, 11.0)
    base = {"held-out": side(*before), "general": side(*scored(10.0, 10.0))}
    adapter = {"held-out": side(*after), "general": side(*scored(general, general))}
    differences = {name: differences_of(base[name].scored, adapter[name].scored) for name in base}
    return decide(gate or Gate(), differences, adapter, base)


def test_decide__when_better_and_nothing_lost__then_go() -> None:
    assert gate(scored(5.0, 6.0, 5.0, 7.0), 10.0)[0]


def test_decide__when_better_only_on_average__then_no_go() -> None:
    go, reasons = gate(scored(1.0, 14.0, 10.0, 12.0), 10.0)
    assert not go and "not better with 95 % confidence" in reasons[0]


def test_decide__when_worse_elsewhere_than_allowed__then_no_go() -> None:
    go, reasons = gate(scored(5.0, 6.0, 5.0, 7.0), 12.0)  # e^1.2 / e^1.0
    assert not go and "+22.1 %, more than the allowed 5 %" in reasons[1]
    assert gate(scored(5.0, 6.0, 5.0, 7.0), 12.0, Gate(general_worse_percent=25))[0]


def test_decide__by_a_metric_that_no_item_has__then_no_go_and_says_so() -> None:
    go, reasons = gate(scored(5.0, 6.0, 5.0, 7.0), 10.0, Gate("choice"))
    assert not go and "nothing to measure choice by" in reasons[0]


def test_evaluate__without_held_out_items__then_says_what_is_missing(taught: Taught) -> None:
    rows = [row for row in taught.rows if row.split == "train"]
    with pytest.raises(BadSuite, match="add evaluation items"):
        evaluate(taught.recipe, rows, embedded(), taught.trained.adapter)


def test_evaluate__with_a_general_set_that_is_missing__then_names_it(taught: Taught) -> None:
    asked = replace(taught.recipe.evaluation, general="nowhere.jsonl")
    with pytest.raises(BadSuite, match=r"nowhere\.jsonl"):
        evaluate(replace(taught.recipe, evaluation=asked), taught.rows, embedded(), taught.trained.adapter)


def test_intervals__of_known_values__then_the_mean_lies_inside() -> None:
    found = mean([0.0, 1.0] * 50)
    assert found.value == 0.5
    assert 0.38 < found.low < 0.45 and 0.55 < found.high < 0.62  # ± 1.96 × 0.05
    assert perplexity([20.0], [10]).value == pytest.approx(7.389, abs=1e-3)
    assert mean([0.0, 1.0] * 50) == found

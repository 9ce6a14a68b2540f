"""Base and adapter side by side on what neither was trained on, and whether that is enough to publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from oracle.factory.asking import Item, Scored, general_rows, items_of, score
from oracle.factory.base import Opened, open_base
from oracle.factory.errors import BadSuite
from oracle.factory.intervals import Figure, mean, perplexity, ratio
from oracle.factory.recipe import Evaluation, Gate, Recipe
from oracle.factory.rows import Row, evaluation_rows

METRICS = ("perplexity", "exact_match", "choice")
_FEWEST = 2  # items of a metric, below which nothing can be said


@dataclass(frozen=True)
class Side:
    """One model on one set."""

    figures: Mapping[str, Figure]
    scored: tuple[Scored, ...] = field(repr=False, default=())


@dataclass(frozen=True)
class Report:
    """The evaluation of one adapter; `differences` are adapter less base, paired: below zero is better for losses."""

    base: Mapping[str, Side]
    adapter: Mapping[str, Side]
    differences: Mapping[str, Mapping[str, Figure]]
    suites: Mapping[str, Any]
    go: bool
    reasons: tuple[str, ...]
    examples: tuple[Mapping[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        def told(sides: Mapping[str, Side]) -> dict[str, Any]:
            return {s: {n: f.as_dict() for n, f in side.figures.items()} for s, side in sides.items()}

        return {
            "adapter": told(self.adapter),
            "base": told(self.base),
            "differences": {s: {n: f.as_dict() for n, f in d.items()} for s, d in self.differences.items()},
            "examples": [dict(each) for each in self.examples],
            "gate": {"go": self.go, "reasons": list(self.reasons)},
            "suites": dict(self.suites),
        }


def figures_of(scored: Sequence[Scored]) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    if scored:
        found["perplexity"] = perplexity([each.loss for each in scored], [each.tokens for each in scored])
    for name, kind in (("exact_match", "matched"), ("choice", "chosen")):
        values = [getattr(each, kind) for each in scored if getattr(each, kind) is not None]
        if values:
            found[name] = mean(values)
    return found


def differences_of(base: Sequence[Scored], adapter: Sequence[Scored]) -> dict[str, Figure]:
    """Item by item: what both find hard does not blur the difference."""
    found: dict[str, Figure] = {}
    if base:
        found["loss"] = ratio([a.loss - b.loss for a, b in zip(adapter, base)], [float(b.tokens) for b in base])
    for name, kind in (("exact_match", "matched"), ("choice", "chosen")):
        pairs = [getattr(a, kind) - getattr(b, kind) for a, b in zip(adapter, base) if getattr(b, kind) is not None]
        if pairs:
            found[name] = mean(pairs)
    return found


def evaluate(
    recipe: Recipe,
    rows: Sequence[Row],
    base: Path,
    adapter: Path,
    *,
    parent: Path | None = None,
    suites: Callable[[Evaluation, Path, Path], Mapping[str, Any]] | None = None,
    device: str = "cpu",
) -> Report:
    """Reads the adapter as PEFT does. With a parent also what this run has added to it; `suites` runs the tasks of
    lm-evaluation-harness."""
    from peft import PeftModel

    asked = recipe.evaluation
    opened = open_base(base, recipe.training.precision, device)
    sets = sets_of(opened, recipe, rows)
    ran = dict(suites(asked, base, adapter)) if suites and asked.suites else {}
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.training.threads)
    try:
        model = PeftModel.from_pretrained(opened.model, str(adapter)).eval()
        with_ = _sides(model, opened, sets, asked, nullcontext)
        without = _sides(model, opened, sets, asked, model.disable_adapter)
        if parent is not None:
            model.load_adapter(str(parent), "parent")
            model.set_adapter("parent")
            before = _sides(model.eval(), opened, sets, asked, nullcontext)
    finally:
        torch.set_num_threads(threads)
    differences = {name: differences_of(without[name].scored, with_[name].scored) for name in sets}
    if parent is not None:
        differences |= {f"{n} over its parent": differences_of(before[n].scored, with_[n].scored) for n in sets}
    go, reasons = decide(recipe.gate, differences, with_, without)
    return Report(without, with_, differences, ran, go, tuple(reasons), _shown(sets["held-out"], without, with_))


def sets_of(opened: Opened, recipe: Recipe, rows: Sequence[Row]) -> dict[str, list[Item]]:
    asked = recipe.evaluation
    longest = recipe.training.length
    held = items_of(opened.tokenizer, evaluation_rows(rows), longest, asked.items)
    if len(held) < _FEWEST:
        raise BadSuite(
            f"{len(held)} rows are held out or evaluation items, and {_FEWEST} are the fewest to compare by: add"
            " evaluation items to a datanet, or take a larger snapshot"
        )
    general = general_rows(Path(asked.general) if asked.general else None)
    return {"held-out": held, "general": items_of(opened.tokenizer, general, longest, asked.items)}


def decide(
    gate: Gate,
    differences: Mapping[str, Mapping[str, Figure]],
    adapter: Mapping[str, Side],
    base: Mapping[str, Side],
) -> tuple[bool, list[str]]:
    """GO where the adapter is better by the metric with 95 % confidence, and not worse than allowed elsewhere."""
    name = "loss" if gate.metric == "perplexity" else gate.metric
    found = differences["held-out"].get(name)
    if found is None:
        return False, [f"NO-GO: the held-out items have nothing to measure {gate.metric} by"]
    better = found.high < 0 if name == "loss" else found.low > 0
    sign = "loss a token" if name == "loss" else name
    said = (
        f"held-out {sign}: {found.value:+.4f} against the base, 95 % between {found.low:+.4f} and {found.high:+.4f}:"
        f" {'better' if better else 'not better with 95 % confidence'}"
    )
    before, after = base["general"].figures["perplexity"].value, adapter["general"].figures["perplexity"].value
    worse = 100 * (after / before - 1)
    kept = worse <= gate.general_worse_percent
    general = (
        f"general perplexity {before:.3f} → {after:.3f}: {worse:+.1f} %,"
        f" {'within' if kept else 'more than'} the allowed {gate.general_worse_percent:g} %"
    )
    return better and kept, [said, general]


def _sides(
    model: Any,
    opened: Opened,
    sets: Mapping[str, Sequence[Item]],
    asked: Evaluation,
    inside: Callable[[], AbstractContextManager[Any]],
) -> dict[str, Side]:
    found = {}
    with inside():
        for name, items in sets.items():
            scored = tuple(score(model, opened.tokenizer, items, asked.answer_tokens))
            found[name] = Side(figures_of(scored), scored)
    return found


def _shown(
    items: Sequence[Item], base: Mapping[str, Side], adapter: Mapping[str, Side], most: int = 5
) -> tuple[Mapping[str, str], ...]:
    """A few answers, so that a person sees what the figures mean."""
    return tuple(
        {"wanted": item.answer, "base": before.said, "adapter": after.said, "item": item.id}
        for item, before, after in zip(items, base["held-out"].scored, adapter["held-out"].scored)
        if item.prompt
    )[:most]

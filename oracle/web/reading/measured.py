"""Figures of a model's reports: each a value with its interval, as the factory and calibration wrote them.

A page shows what they say and adds nothing. Figures of one measure stand on one axis: base and adapter side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from oracle.web.plots import Interval

_MOST = 60
_SAID = {
    "lds_contributors": "rank agreement with retraining",
    "loco_r": "correlation with leaving one out",
    "payout_tv": "part of the pay that is misdirected",
    "loss": "loss of a token, adapter less base",
}


@dataclass(frozen=True)
class Group:
    """One axis."""

    title: str
    rows: list[Interval]


@dataclass(frozen=True)
class Measured:
    evaluation: list[Group]
    accuracy: list[Group]
    gate: list[str]
    advice: str
    recipe: list[tuple[str, str]]


def measured(files: Mapping[str, bytes]) -> Measured:
    """From the JSON files of the auditor's folder, whatever folder inside it they lie in."""
    read = {name.rpartition("/")[2]: content for name, content in sorted(files.items()) if _is_json(content)}
    said = {name: orjson.loads(content) for name, content in read.items()}
    manifest = said.get("manifest.json", {})
    evaluation = said.get("evaluation.json") or manifest.get("evaluation") or {}
    accuracy = said.get("accuracy.json") or {}
    gate = evaluation.get("gate") or {}
    recipe = said.get("recipe.json") or manifest.get("recipe") or {}
    return Measured(
        [*_sides(evaluation), *_differences(evaluation)],
        [Group("", rows)] if (rows := list(_figures(accuracy))) else [],
        [str(reason) for reason in gate.get("reasons", ())],
        str(accuracy.get("recommendation", "")),
        list(_plain(recipe))[:_MOST],
    )


def _is_json(content: bytes) -> bool:
    try:
        return isinstance(orjson.loads(content), dict)
    except orjson.JSONDecodeError:
        return False


def _sides(evaluation: Mapping[str, Any]) -> Iterator[Group]:
    """adapter and base of one set and measure on one axis."""
    adapter, base = evaluation.get("adapter"), evaluation.get("base")
    if not isinstance(adapter, dict) or not isinstance(base, dict):
        return
    for name in sorted(adapter):
        for measure in sorted(adapter[name]):
            rows = [
                row
                for label, side, tone in (("base", base, "3"), ("this model", adapter, "1"))
                if (row := _figure(label, side.get(name, {}).get(measure), tone)) is not None
            ]
            if rows:
                yield Group(f"{name}: {measure}".replace("_", " "), rows)


def _differences(evaluation: Mapping[str, Any]) -> Iterator[Group]:
    """Paired, item by item; a manifest keeps these alone."""
    differences = evaluation.get("differences")
    if not isinstance(differences, dict):
        return
    for name, each in sorted(differences.items()):
        rows = list(_figures(each)) if isinstance(each, dict) else []
        if rows:
            yield Group(f"{name}: difference from the base", rows)


def _figures(content: Mapping[str, Any]) -> Iterator[Interval]:
    for name, value in sorted(content.items()):
        row = _figure(_SAID.get(name, name.replace("_", " ")), value, "1")
        if row is not None:
            yield row


def _figure(label: str, content: Any, tone: str) -> Interval | None:
    if not isinstance(content, dict):
        return None
    found = [content.get(name) for name in ("value", "low", "high")]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in found):
        return None
    value, low, high = (float(each) for each in found if each is not None)
    return Interval(label, value, low, high, tone)


def _plain(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for name, each in content.items():
            yield from _plain(each, f"{path}.{name}" if path else name)
    elif isinstance(content, list):
        yield path, ", ".join(str(each) for each in content[:12])
    elif content is not None:
        yield path, str(content)

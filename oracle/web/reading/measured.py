"""Figures of a model's reports, wherever in them they stand: each a value with its interval.

Reports are the factory's and attribution's; a page shows what they say and adds nothing. A figure is an object that
has a value (`value`, `mean`, `score`) and an interval (`low`/`high`, or `interval`: [low, high]).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from oracle.web.plots import Interval

_VALUES = ("value", "mean", "score", "estimate")
_MOST = 24


@dataclass(frozen=True)
class Measured:
    """By report: its plot's rows. `recipe` and `verdict` as they were written."""

    evaluation: list[Interval]
    accuracy: list[Interval]
    recipe: list[tuple[str, str]]


def measured(files: Mapping[str, bytes]) -> Measured:
    evaluation: list[Interval] = []
    accuracy: list[Interval] = []
    recipe: list[tuple[str, str]] = []
    for name in sorted(files):
        try:
            content = orjson.loads(files[name])
        except orjson.JSONDecodeError:
            continue
        if "eval" in name or "report" in name:
            evaluation += _figures(content)
        elif "accuracy" in name or "attribution" in name or "calibration" in name:
            accuracy += _figures(content)
        elif "recipe" in name:
            recipe += list(_plain(content))
    return Measured(evaluation[:_MOST], accuracy[:_MOST], recipe[:60])


def _figures(content: Any, path: tuple[str, ...] = ()) -> list[Interval]:
    if isinstance(content, list):
        found: list[Interval] = []
        for place, each in enumerate(content):
            name = each.get("name", each.get("task", str(place))) if isinstance(each, dict) else str(place)
            found += _figures(each, (*path, str(name)))
        return found
    if not isinstance(content, dict):
        return []
    one = _figure(content, path)
    if one is not None:
        return [one]
    return [figure for name, each in content.items() for figure in _figures(each, (*path, name))]


def _figure(content: Mapping[str, Any], path: tuple[str, ...]) -> Interval | None:
    value = next((content[name] for name in _VALUES if isinstance(content.get(name), int | float)), None)
    interval = content.get("interval") or content.get("ci") or [content.get("low"), content.get("high")]
    if value is None or not isinstance(interval, list) or len(interval) != 2:
        return None
    low, high = interval
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    tone = "3" if "base" in path else "1"
    return Interval(" ".join(path[-3:]).replace("_", " "), float(value), float(low), float(high), tone)


def _plain(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(content, dict):
        for name, each in content.items():
            yield from _plain(each, f"{path}.{name}" if path else name)
    elif isinstance(content, list):
        yield path, ", ".join(str(each) for each in content[:12])
    elif content is not None:
        yield path, str(content)

"""What changed between two versions: in data, recipe and results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Of two manifests; a line for each difference."""
    return [*_data(one, other), *_recipe(one, other), *_results(one, other)] or ["nothing"]


def _data(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    before, after = (
        {each["datanet"]: each for each in sorted(said["snapshots"], key=lambda s: s["number"])}
        for said in (one, other)
    )
    for datanet in sorted(before.keys() | after.keys()):
        if datanet not in before:
            yield f"data     + datanet {datanet}, snapshot {after[datanet]['number']}: {after[datanet]['count']} rows"
        elif datanet not in after:
            yield f"data     - datanet {datanet}, snapshot {before[datanet]['number']}: {before[datanet]['count']} rows"
        elif before[datanet]["root"] != after[datanet]["root"]:
            yield (
                f"data     datanet {datanet}: snapshot {before[datanet]['number']} → {after[datanet]['number']},"
                f" {before[datanet]['count']} → {after[datanet]['count']} rows"
            )
    if one["base"]["weights"] != other["base"]["weights"]:
        yield f"data     base: {one['base']['name']} → {other['base']['name']}"
    if one["parents"] != other["parents"]:
        yield f"data     parents: {_names(one)} → {_names(other)}"


def _recipe(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    before, after = ({**said["recipe"], **said["recipe"]["training"]} for said in (one, other))
    for name in sorted((before.keys() | after.keys()) - {"training", "sources", "about", "title", "parent"}):
        if before.get(name) != after.get(name):
            yield f"recipe   {name}: {before.get(name)} → {after.get(name)}"


def _results(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Differences from the base, as each version's own evaluation found them."""
    before, after = (said["evaluation"]["differences"] for said in (one, other))
    for name in sorted(before.keys() & after.keys()):
        for metric in sorted(before[name].keys() & after[name].keys()):
            a, b = before[name][metric], after[name][metric]
            if a != b:
                yield (
                    f"results  {name} {metric}, against the base: {a['value']:+.4f} [{a['low']:+.4f}, {a['high']:+.4f}]"
                    f" → {b['value']:+.4f} [{b['low']:+.4f}, {b['high']:+.4f}]"
                )
    gates = ["GO" if said["evaluation"]["gate"]["go"] else "NO-GO" for said in (one, other)]
    if gates[0] != gates[1]:
        yield f"results  gate: {gates[0]} → {gates[1]}"


def _names(said: Mapping[str, Any]) -> str:
    return ", ".join(f"{each['name']}@{each['version']}" for each in said["parents"]) or "none"

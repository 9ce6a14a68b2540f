#!/usr/bin/env python3
"""The plots of docs/benchmarks/README.md, drawn from the measured figures beside it.

scripts/plots.py            says which of them are not what was measured
scripts/plots.py --write    draws them
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
_WIDTH, _LEFT, _RIGHT, _BAR, _GAP = 760, 260, 110, 16, 14
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1a1d1a}.t{font-weight:600;font-size:15px}.v{fill:#565c56}"
    ".s0{fill:#0b6e4f}.s1{fill:#b9b7a8}.s2{fill:#2f62a3}.w{stroke:#1a1d1a;stroke-width:1.5}.b{fill:#fbfaf6}"
    "@media(prefers-color-scheme:dark){text{fill:#e9e8e0}.v{fill:#a6ada5}.s0{fill:#54b78f}.s1{fill:#4b544c}"
    ".s2{fill:#7aa7e0}.w{stroke:#e9e8e0}.b{fill:#121513}}"
)


@dataclass(frozen=True)
class Bar:
    series: int
    value: float
    said: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Chart:
    title: str
    series: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]


def gas(found: dict[str, Any]) -> Chart:
    rows = [row for row in found["rows"] if row.get("baseline") and row.get("target")]
    groups = tuple(
        (
            row["job"].partition(", proof")[0],
            (Bar(0, row["ours"], f"{row['ours']:,}"), Bar(1, row["baseline"], f"{row['baseline']:,}")),
        )
        for row in rows
    )
    return Chart("Gas of each job", ("OpenLedger", "OpenZeppelin-based, measured in the same run"), groups)


def attribution(found: dict[str, Any]) -> Chart:
    worlds = [row for row in found["rows"] if row.get("part") == "world" and row.get("lds_examples") is not None]
    first = [row for row in worlds if row["world"] == worlds[0]["world"]]
    first += [row for row in found["rows"] if row.get("part") == "peers"]  # measured on that world too
    ordered = sorted(first, key=lambda row: -row["lds_examples"])
    groups = tuple(
        (
            row["method"],
            (
                Bar(
                    0 if row["method"] == "this engine" else 1, max(row["lds_examples"], 0.0),
                    f"{row['lds_examples']:.2f}", row.get("lds_examples_low"), row.get("lds_examples_high"),
                ),
            ),
        )
        for row in ordered
    )  # fmt: skip
    title = "Rank agreement with retraining (LDS over examples), world 1, with 95 % intervals"
    return Chart(title, ("this engine", "others, on the same model and questions"), groups)


def serving(found: dict[str, Any]) -> Chart:
    rows = [row for row in found["rows"] if row["what"] == "decode" and row.get("fraction_of_base") is not None]
    many = [row for row in rows if row["adapters"]]
    groups = tuple(
        (
            f"{row['rows']} rows, {row['adapters']} adapters, {row['system']}",
            (
                Bar(
                    0 if row["system"] == "engine" else 1, row["fraction_of_base"],
                    f"{100 * row['fraction_of_base']:.0f} %", row.get("lowest"), row.get("highest"),
                ),
            ),
        )
        for row in many
    )  # fmt: skip
    title = "Decoding with many adapters, as a part of the base's own speed (lowest and highest round)"
    return Chart(title, ("OpenLoRA", "others over the same base"), groups)


def factory(found: dict[str, Any]) -> Chart:
    groups = tuple(
        (row["variant"], (Bar(1 if row["variant"].startswith("trl") else 0, row["tokens_per_s"],
                              f"{row['tokens_per_s']:,.0f}", min(row["rounds"]), max(row["rounds"])),))
        for row in found["rows"]
    )  # fmt: skip
    return Chart("Training, tokens a second (slowest and fastest round)", ("ModelFactory", "TRL"), groups)


def retrieval(found: dict[str, Any]) -> Chart:
    kinds = (("recall_at_5", 0), ("recall_at_5_words", 1), ("recall_at_5_meaning", 2))
    groups = tuple(
        (row["questions"], tuple(Bar(series, row[name], f"{row[name]:.2f}") for name, series in kinds))
        for row in found["rows"]
    )
    return Chart("Questions whose passage is among the first five", ("both", "words alone", "meaning alone"), groups)


def datanets(found: dict[str, Any]) -> Chart:
    said = (
        ("5 % of words changed", "near_dup_recall_5pct"), ("10 % of words changed", "near_dup_recall_10pct"),
        ("20 % of words changed", "near_dup_recall_20pct"), ("words in another order", "near_dup_recall_reordered"),
        ("numbers changed", "near_dup_recall_numbers"), ("different rows taken for copies", "false_cluster_rate"),
    )  # fmt: skip
    figures = found["figures"]
    groups = tuple((label, (Bar(0, figures[name], f"{100 * figures[name]:.2f} %"),)) for label, name in said)
    return Chart("Near duplicates that are found", ("part of the rows",), groups)


CHARTS: dict[str, Callable[[dict[str, Any]], Chart]] = {
    each.__name__: each for each in (gas, attribution, serving, factory, retrieval, datanets)
}


def drawn(name: str) -> str:
    return _svg(CHARTS[name](json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))))


def _svg(chart: Chart) -> str:
    most = max(max(bar.value, bar.high or 0) for _, bars in chart.groups for bar in bars)
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    lines, y = list(_head(chart)), 62
    for label, bars in chart.groups:
        middle = y + len(bars) * _BAR / 2 + 4
        lines.append(f'<text x="{_LEFT - 10}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>')
        for bar in bars:
            lines += _bar(bar, y, scale)
            y += _BAR
        y += _GAP
    said = "; ".join(f"{label}: {', '.join(bar.said for bar in bars)}" for label, bars in chart.groups)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img">\n'
        f"<title>{escape(chart.title)}</title><desc>{escape(said)}</desc><style>{_STYLE}</style>\n"
        f'<rect class="b" width="{_WIDTH}" height="{y}"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _head(chart: Chart) -> Iterator[str]:
    yield f'<text class="t" x="12" y="22">{escape(chart.title)}</text>'
    x = 12
    for place, name in enumerate(chart.series):
        yield f'<rect class="s{place}" x="{x}" y="34" width="12" height="12"/>'
        yield f'<text class="v" x="{x + 18}" y="45">{escape(name)}</text>'
        x += 34 + 7 * len(name)


def _bar(bar: Bar, y: int, scale: float) -> Sequence[str]:
    length = max(bar.value * scale, 1)
    lines = [f'<rect class="s{bar.series}" x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR - 3}"/>']
    end = length
    if bar.low is not None and bar.high is not None:
        low, high, middle = max(bar.low * scale, 0), bar.high * scale, y + (_BAR - 3) / 2
        end = max(length, high)
        lines.append(f'<path class="w" d="M{_LEFT + low:.1f} {middle}H{_LEFT + high:.1f}"/>')
    return [*lines, f'<text class="v" x="{_LEFT + end + 8:.1f}" y="{y + 11}">{escape(bar.said)}</text>']


def outdated() -> list[str]:
    """Those that are not there, or are not what was measured."""
    files = {name: FOLDER / f"{name}.svg" for name in CHARTS}
    return [
        name for name, file in files.items() if not file.is_file() or file.read_text(encoding="utf-8") != drawn(name)
    ]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--write", action="store_true")
    if asked.parse_args().write:
        for name in CHARTS:
            (FOLDER / f"{name}.svg").write_text(drawn(name), encoding="utf-8")
    if late := outdated():
        sys.exit(f"not what was measured: {', '.join(late)}; run scripts/plots.py --write")


if __name__ == "__main__":
    main()

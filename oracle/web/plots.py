"""Plots as SVG, made on the server: readable without a script, described for those who do not see them.

Positions come from the data alone; colours are classes of the stylesheet, so that light and dark are its matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, floor, log10

from markupsafe import Markup

_IDS = count(1)
WIDTH = 640
_CURVE = 300  # points of a line: more cannot be told apart


@dataclass(frozen=True)
class Bar:
    label: str
    value: int
    said: str
    tone: str = "1"


@dataclass(frozen=True)
class Interval:
    """A measured figure with its interval; `other` is what it is compared with."""

    label: str
    value: float
    low: float
    high: float
    tone: str = "1"


@dataclass(frozen=True)
class Point:
    label: str
    value: int
    said: str


def shares_bar(parts: Sequence[Bar], title: str) -> Markup:
    """One bar, as long as the whole; every part also stands in the legend beside it."""
    whole = sum(part.value for part in parts)
    if not whole:
        return Markup("")
    drawn, at = [], 0.0
    for part in parts:
        if not part.value:
            continue
        width = WIDTH * part.value / whole
        drawn.append(
            Markup(
                '<rect class="tone-{}" x="{:.2f}" y="0" width="{:.2f}" height="28"><title>{}: {}</title></rect>'
            ).format(part.tone, at, max(width - 1.5, 0.5), part.label, part.said)
        )
        at += width
    said = "; ".join(f"{part.label} {part.said}" for part in parts)
    return _svg(title, said, 28, drawn, "plot shares", stretched=True)


def bars(parts: Sequence[Bar], title: str) -> Markup:
    """Lengths side by side, with their labels."""
    most = max((part.value for part in parts), default=0)
    if not most:
        return Markup("")
    row, drawn = 44, []
    for place, part in enumerate(parts):
        y = place * row
        width = max((WIDTH - 4) * part.value / most, 2)
        drawn.append(Markup('<text class="label" x="0" y="{}">{}</text>').format(y + 18, part.label))
        drawn.append(
            Markup('<text class="figure" x="{}" y="{}" text-anchor="end">{}</text>').format(WIDTH, y + 18, part.said)
        )
        drawn.append(Markup('<rect class="track" x="0" y="{}" width="{}" height="8" rx="2"/>').format(y + 25, WIDTH))
        drawn.append(
            Markup('<rect class="tone-{}" x="0" y="{}" width="{:.2f}" height="8" rx="2"/>').format(
                part.tone, y + 25, width
            )
        )
    said = "; ".join(f"{part.label}: {part.said}" for part in parts)
    return _svg(title, said, row * len(parts), drawn, "plot bars")


def intervals(rows: Sequence[Interval], title: str, unit: str = "") -> Markup:
    """Points with whiskers on one axis: where two intervals do not touch, the difference is more than noise."""
    if not rows:
        return Markup("")
    low, high = min(row.low for row in rows), max(row.high for row in rows)
    room = (high - low or abs(high) or 1.0) * 0.1
    low, high = low - room, high + room
    left, row_height, drawn = 10, 56, []

    def x(value: float) -> float:
        return left + (WIDTH - 2 * left) * (value - low) / (high - low)

    bottom = row_height * len(rows) + 8
    for tick in _ticks(low, high):
        drawn.append(Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="4" y2="{1}"/>').format(x(tick), bottom))
        drawn.append(
            Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="middle">{:g}</text>').format(
                x(tick), bottom + 18, tick
            )
        )
    for place, row in enumerate(rows):
        y = place * row_height + 40
        drawn.append(Markup('<text class="label" x="0" y="{}">{}</text>').format(y - 20, row.label))
        drawn.append(
            Markup('<line class="whisker stroke-{}" x1="{:.1f}" x2="{:.1f}" y1="{y}" y2="{y}"/>').format(
                row.tone, x(row.low), x(row.high), y=y
            )
        )
        for edge in (row.low, row.high):
            drawn.append(
                Markup('<line class="whisker stroke-{}" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(
                    row.tone, y - 6, y + 6, x=x(edge)
                )
            )
        drawn.append(Markup('<circle class="tone-{}" cx="{:.1f}" cy="{}" r="6"/>').format(row.tone, x(row.value), y))
        drawn.append(
            Markup('<text class="figure" x="{}" y="{}" text-anchor="end">{:.3g}{}</text>').format(
                WIDTH, y - 20, row.value, unit
            )
        )
    said = "; ".join(f"{row.label}: {row.value:.3g}{unit}, between {row.low:.3g} and {row.high:.3g}" for row in rows)
    return _svg(title, said, bottom + 26, drawn, "plot intervals")


def curve(points: Sequence[tuple[float, float]], title: str, across: str) -> Markup:
    """One figure over its steps, from the first to the last that there is."""
    if len(points) < 2:
        return Markup("")
    kept = points[:: max(1, len(points) // _CURVE)]
    if kept[-1] != points[-1]:
        kept = [*kept, points[-1]]
    low, high = min(y for _, y in kept), max(y for _, y in kept)
    room = (high - low or abs(high) or 1.0) * 0.08
    low, high = low - room, high + room
    left, height, first, last = 44, 220, kept[0][0], kept[-1][0]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / ((last - first) or 1)
        return left + (WIDTH - left - 6) * across, height * (high - y) / (high - low)

    drawn = []
    for tick in _ticks(low, high):
        y = place(first, tick)[1]
        drawn.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(left, WIDTH, y=y))
        drawn.append(
            Markup('<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{:g}</text>').format(left - 8, y + 4, tick)
        )
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in kept))
    drawn.append(Markup('<polyline class="line stroke-1" points="{}"/>').format(line))
    end = place(*kept[-1])
    drawn.append(Markup('<circle class="tone-1" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(*end))
    for at, anchor in ((first, "start"), (last, "end")):
        drawn.append(
            Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="{}">{:g}</text>').format(
                place(at, low)[0], height + 18, anchor, at
            )
        )
    drawn.append(
        Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(WIDTH / 2, height + 18, across)
    )
    said = f"{across} {first:g}: {kept[0][1]:.4g}; {across} {last:g}: {kept[-1][1]:.4g}"
    return _svg(title, said, height + 26, drawn, "plot curve")


def columns(points: Sequence[Point], title: str) -> Markup:
    """Amounts in the order of time."""
    most = max((point.value for point in points), default=0)
    if not most:
        return Markup("")
    height, gap = 140, 4
    width = min((WIDTH - gap * (len(points) - 1)) / len(points), 72)
    drawn = [Markup('<line class="grid" x1="0" x2="{}" y1="{y}" y2="{y}"/>').format(WIDTH, y=height + 0.5)]
    for place, point in enumerate(points):
        x, tall = place * (width + gap), max((height - 20) * point.value / most, 1)
        drawn.append(
            Markup(
                '<rect class="tone-1" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
            ).format(x, height - tall, width, tall, f"{point.label}: {point.said}")
        )
        if len(points) <= 12:
            drawn.append(
                Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    x + width / 2, height + 16, point.label
                )
            )
    return _svg(title, "; ".join(f"{p.label}: {p.said}" for p in points), height + 22, drawn, "plot columns")


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight of them, at 1, 2 or 5 of a power of ten."""
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first = ceil(low / step)
    return [round(place * step, 10) for place in range(first, floor(high / step) + 1)]


def _svg(title: str, said: str, height: int, drawn: Sequence[Markup], kind: str, stretched: bool = False) -> Markup:
    name = next(_IDS)
    ratio = Markup(' preserveAspectRatio="none"') if stretched else Markup("")
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}"{} role="img" aria-labelledby="plot-{n}-title plot-{n}-said">'
        '<title id="plot-{n}-title">{}</title><desc id="plot-{n}-said">{}</desc>{}</svg>'
    ).format(kind, WIDTH, height, ratio, title, said, Markup("").join(drawn), n=name)

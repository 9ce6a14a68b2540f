"""Plots as SVG, made on the server: readable without a script, described for those who do not see them.

Places across are shares of the width, so that a plot fills whatever it stands in and its words keep their size. Colours
are classes of the stylesheet: light and dark are its matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil, floor, log10

from markupsafe import Markup

from oracle.types import Address
from oracle.web.words import account as linked
from oracle.web.words import clipped

_IDS = count(1)
_LEAST_SPAN = 1e-9  # figures that lie closer are one, as ticks are said
_CURVE = 300  # points of a line: more cannot be told apart
_GUTTER = 9  # percent, for the words beside a curve
_EDGE = 1.5  # percent, so that the mark of an extreme is whole


@dataclass(frozen=True)
class Bar:
    label: str
    value: int
    said: str
    tone: str = "1"
    account: Address | None = None  # whose it is: then its name is a link and can be copied

    @classmethod
    def of(cls, account: Address, value: int, said: str, tone: str = "1") -> Bar:
        return cls(clipped(account), value, said, tone, account)


@dataclass(frozen=True)
class Interval:
    """A measured figure with its interval."""

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
    short: str = ""  # what stands above it


def shares_bar(parts: Sequence[Bar], title: str) -> Markup:
    """One bar, as long as the whole; every part also stands in the legend beside it."""
    whole = sum(part.value for part in parts)
    if not whole:
        return Markup("")
    drawn, at = [], 0.0
    for part in parts:
        width = 100 * part.value / whole
        if part.value:
            shape = '<rect class="tone-{}" x="{:.3f}%" width="{:.3f}%" height="28"><title>{}: {}</title></rect>'
            drawn.append(Markup(shape).format(part.tone, at, max(width - 0.25, 0.15), part.label, part.said))
        at += width
    said = "; ".join(f"{part.label} {part.said}" for part in parts)
    return _svg(title, said, 28, drawn, "plot shares")


def bars(parts: Sequence[Bar], title: str) -> Markup:
    """Lengths under one another, each with its words: a list, whose pictures say nothing more than it."""
    most = max((part.value for part in parts), default=0)
    if not most:
        return Markup("")
    items = []
    for part in parts:
        label = linked(part.account) if part.account else part.label
        items.append(
            Markup(
                '<li><span class="label">{}</span><span class="figure">{}</span><svg height="8" aria-hidden="true">'
                '<rect class="track" width="100%" height="8" rx="2"/>'
                '<rect class="tone-{}" width="{:.2f}%" height="8" rx="2"/></svg></li>'
            ).format(label, part.said, part.tone, max(100 * part.value / most, 0.4))
        )
    return Markup('<ul class="bars" aria-label="{}">{}</ul>').format(title, Markup("").join(items))


def intervals(rows: Sequence[Interval], title: str) -> Markup:
    """Points with whiskers on one axis: where two intervals do not touch, the difference is more than noise."""
    if not rows:
        return Markup("")
    low, high = _range(min(row.low for row in rows), max(row.high for row in rows))

    def x(value: float) -> float:
        return _EDGE + (100 - 2 * _EDGE) * (value - low) / (high - low)

    row_height = 52
    bottom = row_height * len(rows) + 4
    rows_at = [place * row_height + 38 for place in range(len(rows))]
    drawn = [part for tick in _ticks(low, high) for part in _tick(x(tick), tick, rows_at, bottom)]
    for y, row in zip(rows_at, rows):
        whisker = '<line class="whisker stroke-{}" x1="{:.2f}%" x2="{:.2f}%" y1="{}" y2="{}"/>'
        drawn += [
            Markup('<text class="label" x="0" y="{}">{}</text>').format(y - 18, row.label),
            Markup('<text class="figure" x="100%" y="{}" text-anchor="end">{}</text>').format(y - 18, _said(row.value)),
            Markup(whisker).format(row.tone, x(row.low), x(row.high), y, y),
            *(Markup(whisker).format(row.tone, x(edge), x(edge), y - 6, y + 6) for edge in (row.low, row.high)),
            Markup('<circle class="tone-{}" cx="{:.2f}%" cy="{}" r="6"/>').format(row.tone, x(row.value), y),
        ]
    said = "; ".join(f"{row.label}: {row.value:.3g}, between {row.low:.3g} and {row.high:.3g}" for row in rows)
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
    height, first, last = 220, kept[0][0], kept[-1][0]

    def y(value: float) -> float:
        return height * (high - value) / (high - low)

    drawn = []
    for tick in _ticks(low, high):
        line = '<line class="grid" x1="{}%" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        drawn.append(Markup(line).format(_GUTTER, y=y(tick)))
        word = '<text class="axis" x="{}%" dx="-8" y="{:.1f}" text-anchor="end">{:g}</text>'
        drawn.append(Markup(word).format(_GUTTER, y(tick) + 4, tick))
    places = " ".join(f"{1000 * (at - first) / ((last - first) or 1):.1f},{y(value):.1f}" for at, value in kept)
    drawn.append(
        Markup(
            '<svg x="{}%" width="{}%" height="{h}" viewBox="0 0 1000 {h}" preserveAspectRatio="none">'
            '<polyline class="line stroke-1" points="{}"/></svg>'
        ).format(_GUTTER, 99 - _GUTTER, places, h=height)
    )
    drawn.append(Markup('<circle class="tone-1" cx="99%" cy="{:.1f}" r="4"/>').format(y(kept[-1][1])))
    for at, place, anchor in ((f"{first:g}", _GUTTER, "start"), (across, 54, "middle"), (f"{last:g}", 99, "end")):
        word = '<text class="axis" x="{}%" y="{}" text-anchor="{}">{}</text>'
        drawn.append(Markup(word).format(place, height + 18, anchor, at))
    said = f"{across} {first:g}: {kept[0][1]:.4g}; {across} {last:g}: {kept[-1][1]:.4g}"
    return _svg(title, said, height + 26, drawn, "plot curve")


def columns(points: Sequence[Point], title: str) -> Markup:
    """Amounts in the order of time, the newest at the right."""
    most = max((point.value for point in points), default=0)
    if not most:
        return Markup("")
    height, top = 150, 24
    step = min(100 / len(points), 12.0)
    drawn = [Markup('<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>').format(y=height + 0.5)]
    for place, point in enumerate(points):
        x, tall = place * step, max((height - top) * point.value / most, 1)
        shape = '<rect class="tone-1" x="{:.2f}%" y="{:.1f}" width="{:.2f}%" height="{:.1f}"><title>{}</title></rect>'
        said = f"{point.label}: {point.said}"
        drawn.append(Markup(shape).format(x, height - tall, step * 0.92, tall, said))
        if len(points) <= 12:
            word = '<text class="{}" x="{:.2f}%" y="{:.1f}" text-anchor="middle">{}</text>'
            drawn.append(Markup(word).format("axis", x + step * 0.46, height + 18, point.label))
            drawn.append(Markup(word).format("axis above", x + step * 0.46, height - tall - 6, point.short))
    return _svg(title, "; ".join(f"{p.label}: {p.said}" for p in points), height + 26, drawn, "plot columns")


def _range(low: float, high: float) -> tuple[float, float]:
    """With some room, and with zero where it is near: a length from nothing is what the eye compares."""
    span = next((wide for wide in (high - low, abs(high)) if wide > _LEAST_SPAN), 1.0)
    low, high = low - 0.08 * span, high + 0.08 * span
    return 0.0 if 0 < low <= 2 * span else low, 0.0 if -2 * span <= high < 0 else high


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight of them, at 1, 2 or 5 of a power of ten."""
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough)
    first = ceil(low / step)
    return [round(place * step, 10) for place in range(first, floor(high / step) + 1)]


def _tick(x: float, value: float, rows_at: Sequence[int], bottom: int) -> list[Markup]:
    """A line behind each mark, which leaves the words between them alone; below, what it stands for."""
    line = '<line class="{}" x1="{x:.2f}%" x2="{x:.2f}%" y1="{}" y2="{}"/>'
    kind = "grid zero" if value == 0 else "grid"
    anchor = "end" if x > 97 else "start" if x < 3 else "middle"
    word = '<text class="axis" x="{:.2f}%" y="{}" text-anchor="{}">{}</text>'
    lines = [Markup(line).format(kind, y - 11, y + 13, x=x) for y in rows_at]
    return [*lines, Markup(word).format(x, bottom + 18, anchor, _said(value))]


def _said(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _svg(title: str, said: str, height: int, drawn: Sequence[Markup], kind: str) -> Markup:
    name = next(_IDS)
    return Markup(
        '<svg class="{}" height="{}" role="img" aria-labelledby="plot-{n}-title plot-{n}-said">'
        '<title id="plot-{n}-title">{}</title><desc id="plot-{n}-said">{}</desc>{}</svg>'
    ).format(kind, height, title, said, Markup("").join(drawn), n=name)

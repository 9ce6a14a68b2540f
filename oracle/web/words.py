"""How figures are said on a page: exact where it is asked for, short where it is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from markupsafe import Markup, escape

from oracle.settlement.claims import shown
from oracle.types import OPEN, Wei

_DIGITS = 6  # of OPEN, after the point
_FIRST = ("title", "prompt", "question", "given", "correction", "completion", "answer", "text")


def amount(value: int, unit: str = "OPEN", aligned: bool = False) -> Markup:
    """Short, with the exact figure for whoever asks: 1.234568 OPEN. Small ones are never shown as nothing. `aligned`:
    with all of its decimals, for a column."""
    return Markup('<data class="amount" value="{}" title="{} {}">{}<span class="unit"> {}</span></data>').format(
        value, exact(value), unit, padded(value) if aligned else short(value), unit
    )


def padded(value: int) -> str:
    """Short, with all of its decimals: figures under one another stand point under point."""
    said = short(value)
    whole, _, digits = said.partition(".")
    return f"{whole}.{digits:0<{2 if len(whole) > 3 else _DIGITS}}" if whole.replace(",", "").isdigit() else said


def exact(value: int) -> str:
    """To the wei: 1,234,567.000000000000000001"""
    whole, _, rest = shown(Wei(value)).partition(".")
    return f"{int(whole):,}.{rest}" if rest else f"{int(whole):,}"


def short(value: int, decimals: int = _DIGITS) -> str:
    whole, rest = divmod(value, OPEN)
    if value and value < 10 ** (18 - decimals):
        return f"{value:,} wei" if value < 10**9 else f"<0.{'0' * (decimals - 1)}1"
    digits = f"{rest:018d}"[: 2 if whole >= 1000 else decimals].rstrip("0")
    return f"{whole:,}.{digits}" if digits else f"{whole:,}"


def number(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}".rstrip("0").rstrip(".")


def percent(part: int, whole: int) -> str:
    if not whole:
        return "–"
    tenths = part * 1000 // whole
    if part and not tenths:
        return "<0.1 %"
    return f"{tenths // 10}.{tenths % 10} %" if tenths % 10 else f"{tenths // 10} %"


def basis(points: int) -> str:
    return percent(points, 10_000)


def size(value: int) -> str:
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= length:
            return f"{value / length:,.1f} {unit}"
    return f"{value} bytes"


def moment(value: int | None) -> Markup:
    """The time in UTC, and for machines."""
    if not value:
        return Markup('<span class="none">–</span>')
    at = datetime.fromtimestamp(value, UTC)
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), instant(value))


def instant(value: int) -> str:
    try:
        return datetime.fromtimestamp(value, UTC).strftime("%-d %b %Y, %H:%M UTC")
    except (OverflowError, ValueError, OSError):  # beyond what a calendar holds
        return f"second {value:,} since 1970"


def span(seconds: int) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length or (seconds >= length and unit != "minute"):
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} s"


def since(value: int, now: Callable[[], float] = time.time) -> str:
    passed = int(now()) - value
    return f"{span(passed)} ago" if passed >= 0 else f"in {span(-passed)}"


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def hexed(value: bytes | str) -> str:
    return value if isinstance(value, str) else "0x" + value.hex()


def clipped(value: str) -> str:
    return f"{value[:8]}…{value[-6:]}" if len(value) > 18 else value


def hashed(value: bytes | str | None, link: str | None = None, whole: bool = False) -> Markup:
    """A hash, an address or the name of a blob: short, a link to what it names, with a button that copies all of it."""
    if not value:
        return Markup('<span class="none">–</span>')
    text = hexed(value)
    target = link or f"/search?q={text}"
    said = text if whole else clipped(text)
    return Markup(
        '<span class="hash"><a href="{}" title="{}"><code>{}</code></a>'
        '<button type="button" class="copy" data-copy="{}" aria-label="Copy {}" hidden></button></span>'
    ).format(target, text, said, text, clipped(text))


def account(value: str | None, names: dict[str, str] | None = None, whole: bool = False) -> Markup:
    if not value:
        return Markup('<span class="none">–</span>')
    name = (names or {}).get(value)
    linked = hashed(value, f"/a/{value}", whole)
    return Markup('<span class="named">{}</span> {}').format(name, linked) if name else linked


def paragraph(text: Any) -> Markup:
    """What somebody wrote, with its line breaks; never as markup."""
    return Markup("<br>").join(escape(line) for line in str(text).splitlines())


def fields(text: str) -> list[tuple[str, str]]:
    """A canonical row for people: each field by its name, the question before the answer."""
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError:
        return [("text", text)]
    if not isinstance(row, dict):
        return [("text", text)]
    first = [name for name in _FIRST if name in row]
    return [(name, _field(row[name])) for name in [*first, *sorted(row.keys() - set(first))]]


def _field(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, dict) and "content" in each for each in value):
        return "\n".join(f"{each.get('role', '')}: {each['content']}" for each in value)
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return value if isinstance(value, str) else orjson.dumps(value).decode()

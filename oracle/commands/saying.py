"""How commands say counts and lists: nothing is said in words too, not by silence."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from oracle.types import Address


def counted(count: int, one: str) -> str:
    """1 row, 2 rows"""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def somebody_there() -> bool:
    """Whether a question would be read."""
    return sys.stdin.isatty()


def planned(by: Address | None) -> str:
    """Of a call that is somebody's own. A daemon with another key leaves it alone."""
    who = "a key, once one is configured," if by is None else by
    return f"planned; {who} sends it: by its daemon, or by `openledger send --follow`"


def tell(lines: Iterable[str], nothing: str) -> None:
    """Each on a line of its own; `nothing` where there is none."""
    said = False
    for line in lines:
        click.echo(line)
        said = True
    if not said:
        click.echo(nothing)

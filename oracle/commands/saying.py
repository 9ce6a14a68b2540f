"""How commands say counts and lists: nothing is said in words too, not by silence."""

from __future__ import annotations

from collections.abc import Iterable

import click


def counted(count: int, one: str) -> str:
    """1 row, 2 rows"""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def tell(lines: Iterable[str], nothing: str) -> None:
    """Each on a line of its own; `nothing` where there is none."""
    said = False
    for line in lines:
        click.echo(line)
        said = True
    if not said:
        click.echo(nothing)

"""What moved the result: the run again without one datanet or one contributor, and how much worse it is for that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.factory.evaluation import differences_of, evaluate
from oracle.factory.intervals import Figure
from oracle.factory.recipe import Recipe
from oracle.factory.rows import Row, training_rows
from oracle.factory.training import train

BY: dict[str, Callable[[Row], str]] = {
    "datanet": lambda row: str(row.source),
    "contributor": lambda row: row.owner,
}


@dataclass(frozen=True)
class LeftOut:
    """`loss` is by how much a token's loss rises where these rows are missing: above zero, they had helped."""

    group: str
    rows: int
    loss: Figure
    exact_match: Figure | None

    def as_dict(self) -> dict[str, Any]:
        exact = None if self.exact_match is None else self.exact_match.as_dict()
        return {"exact_match": exact, "group": self.group, "loss": self.loss.as_dict(), "rows": self.rows}


def leave_out(
    recipe: Recipe,
    rows: Sequence[Row],
    base: Path,
    folder: Path,
    adapter: Path,
    by: str,
    *,
    start: Path | None = None,
    names: Callable[[str], str] = str,
    say: Callable[[str], None] = lambda _: None,
) -> list[LeftOut]:
    """One run for each group, in the very order of the whole; the largest loss first."""
    trained_on = training_rows(rows)
    whole = evaluate(recipe, rows, base, adapter).adapter["held-out"].scored
    found = []
    for group in sorted({BY[by](row) for row in trained_on}):
        gone = frozenset(row.id for row in trained_on if BY[by](row) == group)
        say(f"without {names(group)}: {len(gone)} rows")
        done = train(recipe, trained_on, base, folder / f"without-{by}-{group}", without=gone, start=start)
        assert done is not None
        less = evaluate(recipe, rows, base, done.adapter).adapter["held-out"].scored
        moved = differences_of(whole, less)
        found.append(LeftOut(names(group), len(gone), moved["loss"], moved.get("exact_match")))
    return sorted(found, key=lambda each: (-each.loss.value, each.group))

"""What crosses the boundaries of attribution."""

from __future__ import annotations

from dataclasses import dataclass

METHOD = "checkpointed-influence/2"


@dataclass(frozen=True)
class Window:
    """Steps in which every row passes as often as any other and is recorded: one checkpoint."""

    first: int
    last: int  # inclusive
    weight: float

    @property
    def middle(self) -> int:
        """The step before which the adapter is kept: queries are differentiated there."""
        return (self.first + self.last + 1) // 2


@dataclass(frozen=True)
class Plan:
    """Which steps of a run are recorded, and how their gradients are brought to one scale."""

    windows: tuple[Window, ...]
    damping: float = 0.02  # of a matrix's mean variance, where it has seen a line for each of its directions

    def __post_init__(self) -> None:
        if not self.windows:
            raise ValueError("a plan has at least one window")
        for before, after in zip(self.windows, self.windows[1:]):
            if after.first <= before.last:
                raise ValueError(f"windows overlap: steps {before.first}–{before.last} and {after.first}–{after.last}")
        if not self.damping > 0:
            raise ValueError("damping must be above zero: directions without a gradient would be divided by nothing")


@dataclass(frozen=True)
class Query:
    """Tokens, of which those from `answer_from` on were said by the model."""

    id: str
    tokens: tuple[int, ...]
    answer_from: int

    def __post_init__(self) -> None:
        if not 0 < self.answer_from < len(self.tokens):
            raise ValueError(f"query {self.id}: an answer begins after the first token and before the end")


@dataclass(frozen=True)
class Scores:
    """queries × contributors: how much each one's rows raised an answer's log-probability, up to one scale for all."""

    queries: tuple[str, ...]
    contributors: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    lengths: tuple[float, ...]  # of the queries' gradients: noise is in proportion to them
    method: str = METHOD

    def of(self, query: str) -> dict[str, float]:
        return dict(zip(self.contributors, self.values[self.queries.index(query)]))

    def length(self, query: str) -> float:
        return self.lengths[self.queries.index(query)]


def plan_for(steps: int, epochs: int, windows: int = 2, length: int = 2, damping: float = 0.02) -> Plan:
    """Windows of whole epochs, each in the middle of its part of the run; those in the run's middle weigh most.

    Early gradients are of a model that knows nothing, late ones of rows that are already learned: both say little of
    what a row changed. A query is differentiated once for each window, so that few long ones cost it least.
    """
    if steps < epochs or epochs < 1:
        raise ValueError(f"{steps} steps are no {epochs} epochs")
    windows = min(windows, epochs)
    length = min(length, epochs // windows)
    each = steps / epochs
    found = []
    for number in range(windows):
        middle = (number + 0.5) * epochs / windows
        first = int(middle - length / 2 + 0.5)
        at = (first + length / 2) / epochs
        found.append(Window(round(first * each), round((first + length) * each) - 1, 4 * at * (1 - at)))
    return Plan(tuple(found), damping)

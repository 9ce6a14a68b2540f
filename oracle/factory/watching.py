"""What may look on while a run trains. Attribution's recorder does; the factory knows only this much of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from oracle.factory.tokens import Example


class Watcher(Protocol):
    def step(self, step: int, rows: Sequence[int], divisor: float) -> AbstractContextManager[None]:
        """Around each forward and backward pass: of which rows, in this order; `divisor` is what the sum of their
        losses was divided by. A step may have several passes."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """All that it has seen so far: it is kept with the checkpoint."""
        ...

    def resume(self, state: Mapping[str, Tensor]) -> None: ...

    def close(self, folder: Path, weights: Mapping[str, Tensor]) -> Mapping[str, Any]:
        """The run has ended with these weights: writes files below the folder, returns what the manifest says of
        them."""
        ...


@dataclass(frozen=True)
class Watched:
    """What there is to be seen."""

    model: nn.Module
    adapter: str
    steps: int
    epochs: int
    owners: tuple[str, ...]  # the name that each row's credit is kept under
    examples: tuple[Example, ...]


Watch = Callable[[Watched], Watcher]


@dataclass(frozen=True)
class Progress:
    """One line of the live feed."""

    job: str
    step: int
    steps: int
    loss: float
    rate: float
    tokens_per_s: float
    seconds: float
    eta_s: float


Say = Callable[[Progress], None]


def nobody(_: Progress) -> None:
    """Where nobody listens."""


def never() -> bool:
    """Where nobody stops a run."""
    return False

"""What the API needs of an engine, wherever that runs: in a thread of this process or behind the queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from oracle.serving.types import Event, Request
from oracle.store.models import Model

Sink = Callable[[Event], None]


@dataclass(frozen=True)
class Load:
    """How busy it is; `seconds_per_token` is that of one request, 0 where nothing was measured yet."""

    running: int = 0
    waiting: int = 0
    seconds_per_token: float = 0.0


class Answering(Protocol):
    """`name` says which engine and version: it goes into every receipt."""

    @property
    def name(self) -> str: ...

    def ask(self, model: Model, request: Request, sink: Sink) -> int:
        """Returns at once. Everything else, also that it is refused, comes to the sink, from another thread."""

    def cancel(self, ticket: int) -> None:
        """Its last event still comes."""

    def warmth(self, model: Model) -> str:
        """warm: in a slot; near: in memory or packed on this machine; cold: has to be fetched first."""

    def load(self) -> Load: ...

    def close(self) -> None: ...

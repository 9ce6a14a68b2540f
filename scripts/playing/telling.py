"""What the demonstration says: a line for each step, with the time that it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from oracle.errors import NeedsPerson, Retry

T = TypeVar("T")
OPEN = 10**18


class Teller:
    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def act(self, title: str) -> None:
        print(f"\n{title}", flush=True)

    def step(self, text: str) -> None:
        print(f"  {self.seconds:5.0f} s  {text}", flush=True)

    def table(self, rows: Sequence[tuple[str, str, str]]) -> None:
        widths = [max(len(row[at]) for row in rows) for at in range(2)]
        for name, amount, why in rows:
            print(f"  {name:<{widths[0]}}  {amount:>{widths[1]}}  {why}".rstrip(), flush=True)


class TooSlow(NeedsPerson):
    """Something did not come to pass in time."""


def until(what: str, look: Callable[[], T | None], seconds: float = 120) -> T:
    """Looks again and again; what is not there yet may also say so by an error that passes."""
    ends, last = time.monotonic() + seconds, ""
    while time.monotonic() < ends:
        try:
            found = look()
        except Retry as error:
            found, last = None, f" ({error})"
        if found:
            return found
        with suppress(InterruptedError):
            time.sleep(0.2)
    raise TooSlow(f"{what}: not within {seconds:.0f} s{last}; the logs tell why")


def in_open(wei: int) -> str:
    return f"{wei / OPEN:.6f} OPEN"

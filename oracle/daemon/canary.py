"""A worker whose connection to the broker has silently died looks alive and does nothing.

Whoever watches it puts a canary into a queue that this worker alone consumes. The worker's task touches a file. A
worker that is not at work and has not touched it for a while, though the broker took the canaries, is deaf.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

EVERY = 20.0  # seconds
PATIENCE = 3  # canaries


@dataclass(frozen=True)
class Cage:
    """The files by which a worker and its watcher know of each other, in a folder of this machine."""

    folder: Path
    node: str

    @property
    def queue(self) -> str:
        return f"canary.{self.node}"

    def sang(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._song.touch()

    def last_song(self) -> float | None:
        try:
            return self._song.stat().st_mtime
        except FileNotFoundError:
            return None

    def begin_work(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mark(os.getpid()).touch()

    def end_work(self) -> None:
        self._mark(os.getpid()).unlink(missing_ok=True)

    def at_work(self) -> bool:
        """Whether a process of the worker is busy; the mark of one that was killed is removed."""
        busy = False
        for mark in self.folder.glob(f"{self.node}.busy.*"):
            if Path(f"/proc/{mark.suffix[1:]}").exists():
                busy = True
            else:
                mark.unlink(missing_ok=True)
        return busy

    def stop(self, reason: str) -> None:
        """The worker must not be started again: a person has to look first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._stop.write_text(reason, encoding="utf-8")

    def stopped_for(self) -> str | None:
        try:
            return self._stop.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def clean(self) -> None:
        for left in self.folder.glob(f"{self.node}.*"):
            left.unlink(missing_ok=True)

    @property
    def _song(self) -> Path:
        return self.folder / f"{self.node}.song"

    @property
    def _stop(self) -> Path:
        return self.folder / f"{self.node}.stop"

    def _mark(self, pid: int) -> Path:
        return self.folder / f"{self.node}.busy.{pid}"


def is_deaf(silence: float, every: float, delivered: int, at_work: bool) -> bool:
    """Whether a worker is, that gave no sign for so many seconds while the broker took so many canaries."""
    return not at_work and delivered >= PATIENCE and silence > PATIENCE * every

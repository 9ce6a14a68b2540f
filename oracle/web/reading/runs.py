"""Runs of training on this machine, as they go: their folders have a line for each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from oracle.daemon.training import STEP, feed, run_folder
from oracle.store import work
from oracle.types import Cid
from oracle.web.site import NotHere, Site

_MOST = 20


@dataclass(frozen=True)
class Run:
    name: str
    subject: str  # of its recipe
    state: str
    reason: str
    losses: tuple[tuple[float, float], ...]
    steps: int
    seconds_left: int
    tokens_per_s: int

    @property
    def step(self) -> int:
        return int(self.losses[-1][0]) if self.losses else 0

    @property
    def is_over(self) -> bool:
        return self.state in ("evaluated", "stopped")


def runs(connection: Connection, site: Site) -> Iterator[Run]:
    """The newest first, as far as their folders are here."""
    home = site.ground.settings.home / "runs"
    folders = sorted(home.iterdir(), key=lambda each: -each.stat().st_mtime) if home.is_dir() else []
    for folder in folders[:_MOST]:
        if (folder / "name.txt").is_file():
            yield _read(connection, folder)


def run(connection: Connection, site: Site, subject: str) -> Run:
    folder = run_folder(site.ground.settings.home, Cid(subject))
    if not subject.isalnum() or not (folder / "name.txt").is_file():
        raise NotHere(f"Run {subject}: this machine has no folder of it.")
    return _read(connection, folder)


def _read(connection: Connection, folder: Path) -> Run:
    item, lines = work.find(connection, STEP, folder.name), list(feed(folder))
    last = lines[-1] if lines else {}
    return Run(
        name=(folder / "name.txt").read_text(encoding="utf-8").strip(),
        subject=folder.name,
        state=_state(folder, item),
        reason=(item.reason or "") if item else "",
        losses=tuple((float(str(line["step"])), float(str(line["loss"]))) for line in lines),
        steps=int(str(last.get("steps", 0))),
        seconds_left=round(float(str(last.get("eta_s", 0)))),
        tokens_per_s=round(float(str(last.get("tokens_per_s", 0)))),
    )


def _state(folder: Path, item: work.Item | None) -> str:
    if (folder / "evaluation.json").is_file():
        return "evaluated"
    if item is not None and item.state == work.State.PARKED:
        return "stopped"
    if (folder / "training.json").is_file():
        return "evaluating"
    return "training" if (folder / "progress.jsonl").is_file() else "waiting"

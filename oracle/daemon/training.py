"""`train.run`: a run of the factory as work of the queue, in pieces that go on where the last one ended.

The recipe is a blob; its name is the subject. The run's folder has the live feed that pages read. When the run has
ended it is evaluated; whether to publish it is a person's to decide.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from oracle.daemon.ground import Ground
from oracle.daemon.steps import Result
from oracle.factory.recipe import Recipe, parse
from oracle.store import work
from oracle.types import Cid, Timestamp

STEP = "train.run"
PIECE = 300.0  # seconds


def request(ground: Ground, recipe: Recipe, file: Path) -> Cid:
    """The same recipe again is the same run."""
    cid = ground.blobs.put(file.read_bytes())
    folder = run_folder(ground.settings.home, cid)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name.txt").write_text(recipe.name + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_bytes(file.read_bytes())
    with ground.database.transaction() as connection:
        work.renew(connection, STEP, cid, Timestamp(int(time.time())))
    return cid


def step(ground: Ground, subject: str, piece: float = PIECE) -> Result:
    """One piece of the run; the last one also evaluates."""
    from oracle.daemon.workshop import gather, judge, make
    from oracle.factory.suites import require

    home = ground.settings.home
    recipe = parse(ground.blobs.read(Cid(subject)).decode(), f"recipe {subject}")
    require(recipe)
    prepared = gather(recipe, ground, home / "factory")
    folder = run_folder(home, Cid(subject))
    if not (folder / "training.json").is_file():
        ends = time.monotonic() + piece
        if make(prepared, folder, stop=lambda: time.monotonic() >= ends) is None:
            return Result(more=True)
    judge(prepared, folder)
    return Result()


def run_folder(home: Path, cid: Cid) -> Path:
    return home / "runs" / cid


def feed(folder: Path, after: int = 0) -> Iterator[dict[str, object]]:
    """The live curve of a run, a line for each step after one that was seen; of a step that was made twice the last."""
    file = folder / "progress.jsonl"
    if not file.is_file():
        return
    found: dict[int, dict[str, object]] = {}
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break  # it is being written
            told = json.loads(line)
            if told["step"] > after:
                found[told["step"]] = told
    yield from (found[number] for number in sorted(found))

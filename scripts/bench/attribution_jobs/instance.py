"""An instance is a folder: `base/` (a model that transformers loads), `train.jsonl`, `queries.jsonl`, `recipe.json`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainRow:
    id: str
    contributor: str
    prompt: str
    completion: str
    owner: str  # who holds the credit of the row's near-duplicate cluster: its earliest contributor
    cluster: str
    fact: str | None = None  # the planted fact that it states, if any
    kind: str = "fact"


@dataclass(frozen=True)
class QueryRow:
    id: str
    prompt: str
    completion: str
    fact: str | None
    holders: tuple[str, ...]
    kind: str  # "direct", "alias", or "control": nothing to do with the rows


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained: the same words for the run that is attributed and for its counterfactuals.

    A row that is left out leaves a gap in its batch: order, steps and denominators stay those of the whole run, so
    that a difference between two runs is the row's, and not that of another shuffle.
    """

    name: str
    optimizer: str  # "adam" or "sgd"
    rate: float
    epochs: int
    batch: int
    rank: int
    alpha: float
    schedule: str = "constant"  # or "cosine"
    warmup: int = 0
    epsilon: float = 1e-8
    beta1: float = 0.9
    beta2: float = 0.999
    initial_b: float = 0.0  # scale of B at the start
    first_a: str = "random"  # or "principal": the base's own directions, the same by every seed
    rate_a: float = 1.0  # times the rate: A's own; 0 leaves A as it began

    def digest(self) -> str:
        """Words that came later count once they are used: what was cached before them stays what it was."""
        content = asdict(self)
        for name in ("first_a", "rate_a"):
            if content[name] == getattr(Recipe, name):
                del content[name]
        if self.warmup:
            content["falls"] = "from its peak"  # once it fell from the first step on
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Instance:
    folder: Path
    rows: tuple[TrainRow, ...]
    queries: tuple[QueryRow, ...]
    recipe: Recipe

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def contributors(self) -> tuple[str, ...]:
        """Whoever holds credit."""
        return tuple(sorted({row.owner for row in self.rows}))

    @property
    def asked(self) -> list[int]:
        """The queries that ask for planted facts."""
        return [i for i, query in enumerate(self.queries) if query.kind != "control"]

    def digest(self) -> str:
        """Of everything that a retraining depends on but its subset and its seed."""
        hashed = hashlib.sha256()
        for name in ("train.jsonl", "queries.jsonl", "base/model.safetensors", "base/tokenizer.json"):
            hashed.update((self.folder / name).read_bytes())
        return hashed.hexdigest()[:16]


def _read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def load(folder: Path) -> Instance:
    rows = []
    for content in _read(folder / "train.jsonl"):
        if "text" in content:  # plain text: every token counts
            content = {"prompt": "", "completion": content.pop("text"), **content}
        content.setdefault("owner", content["contributor"])
        content.setdefault("cluster", content["id"])
        rows.append(TrainRow(**content))
    queries = []
    for content in _read(folder / "queries.jsonl"):
        content["holders"] = tuple(content.get("holders", ()))
        content.setdefault("fact", None)
        content.setdefault("kind", "direct")
        queries.append(QueryRow(**content))
    recipe = Recipe(**json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
    return Instance(folder, tuple(rows), tuple(queries), recipe)


def save(folder: Path, rows: list[TrainRow], queries: list[QueryRow], recipe: Recipe) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("train.jsonl", rows), ("queries.jsonl", queries)):
        lines = [json.dumps(asdict(item), ensure_ascii=False, sort_keys=True) for item in content]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")

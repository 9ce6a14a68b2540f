"""What a run leaves in its folder when it has ended: the adapter, the order of its rows, what it came to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from oracle.factory.checkpoints import write_folder, write_json
from oracle.factory.errors import BadRecipe
from oracle.factory.lora import CONFIG, WEIGHTS
from oracle.factory.order import order_digest
from oracle.factory.stepping import Member

RESULT = "training.json"
ORDER = "order.json"
FEED = "progress.jsonl"
ADAPTER = "adapter"


@dataclass(frozen=True)
class Trained:
    """What a run came to; its files lie in the folder."""

    name: str
    folder: Path
    weights: str  # SHA-256 of the safetensors file
    steps: int
    loss: float  # mean over the last epoch
    tokens: int
    seconds: float
    order: str  # digest of rows and their order
    said: Mapping[str, Any]

    @property
    def adapter(self) -> Path:
        return self.folder / ADAPTER


def read_trained(folder: Path) -> Trained:
    """A run that has ended."""
    try:
        said = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadRecipe(f"{folder}: no run has ended here; openledger model train first") from None
    return Trained(
        folder.name, folder, said["weights"], said["steps"], said["loss"], said["tokens"], said["seconds"],
        said["order"], said,
    )  # fmt: skip


def is_of(folder: Path, run: str) -> bool:
    """Whether this very run has ended here before."""
    try:
        return bool(json.loads((folder / RESULT).read_text(encoding="utf-8"))["run"] == run)
    except (OSError, ValueError, KeyError):
        return False


def write_adapter(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    """As PEFT reads it, whole or not at all; says the SHA-256 of the weights."""
    write_folder(folder / ADAPTER, lambda half: _write_adapter(half, state, config))
    return hashlib.sha256((folder / ADAPTER / WEIGHTS).read_bytes()).hexdigest()


def write_order(folder: Path, ids: Sequence[str], member: Member, without: frozenset[str]) -> str:
    """Which rows every step has seen; says the digest of it."""
    digest = order_digest(member.order, ids)
    said = {
        "batches": [list(batch) for batch in member.order],
        "digest": digest,
        "examples": [[example.row, len(example.tokens)] for example in member.examples],
        "left_out": sorted(without),
        "rows": list(ids),
        "units": [list(unit) for unit in member.units] if member.training.packing else None,
    }
    write_json(folder / ORDER, said)
    return digest


def _write_adapter(half: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    save_file(dict(sorted(state.items())), half / WEIGHTS, metadata={"format": "pt"})
    (half / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")

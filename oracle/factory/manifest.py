"""The manifest: all that a version follows from and came to, and the hash of every file. Its own hash is on chain."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from oracle import __version__
from oracle.factory.base import files_of, weights_hash
from oracle.factory.recipe import Recipe
from oracle.factory.rows import Snapshot
from oracle.factory.trained import Trained
from oracle.types import Hash32

FORMAT = "openledger-model/1"
MANIFEST = "manifest.json"
_ROOT = Path(__file__).resolve().parents[2]
_LIBRARIES = ("torch", "transformers", "peft", "safetensors", "tokenizers", "numpy", "lm-eval")


def canonical(content: Any) -> bytes:
    """Sorted, without space. Figures are rounded before they come here."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def code() -> dict[str, Any]:
    """Which code ran, and the lock file beside it; a package without a repository says so."""
    locks = sorted((_ROOT / "requirements").glob("*.lock"))
    return {
        "version": __version__,
        "commit": _commit(),
        "locks": {file.name: sha256(file.read_bytes()).hexdigest() for file in locks},
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES if _installed(name)},
    }


def hardware() -> dict[str, Any]:
    found: dict[str, Any] = {
        "cores": os.cpu_count(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "system": platform.system(),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name(0)
    return found


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Without folders of this machine: a snapshot is told by its root."""
    said = recipe.as_dict()
    said["sources"] = [
        {name: value for name, value in asdict(source).items() if name != "folder"} for source in recipe.sources
    ]
    if not _is_name(recipe.base):
        said["base"] = base_name(recipe.base)
    said["rehearsal"] = Path(recipe.rehearsal).name if recipe.rehearsal else None
    for name in ("tasks", "general"):
        if said["evaluation"][name]:
            said["evaluation"][name] = Path(said["evaluation"][name]).name
    return said


def manifest(
    recipe: Recipe,
    snapshots: Sequence[Snapshot],
    trained: Trained,
    base: Path,
    evaluation: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    versions: Mapping[tuple[int, int], int],
    parents: Sequence[Mapping[str, Any]],
    licence: str,
    builder: str,
    forced: str | None,
) -> dict[str, Any]:
    """`versions` are the registry's numbers of the snapshots, by datanet and number."""
    return {
        "attribution": trained.said["watched"] or {"none": _why_unwatched(recipe)},
        "base": {"files": files_of(base), "name": base_name(recipe.base), "weights": weights_hash(base).hex()},
        "builder": builder,
        "code": code(),
        "evaluation": {name: evaluation[name] for name in ("differences", "gate", "suites")},
        "files": {name: sha256(content).hexdigest() for name, content in sorted(files.items())},
        "forced": forced,
        "format": FORMAT,
        "hardware": hardware(),
        "licence": licence,
        "name": recipe.name,
        "order": {"digest": trained.order, "file": "order.json", "rows": trained.said["rows"]},
        "parents": [dict(parent) for parent in parents],
        "recipe": plain_recipe(recipe),
        "seed": recipe.training.seed,
        "snapshots": [
            {
                "count": each.count, "datanet": each.datanet, "licence": each.licence, "name": each.name,
                "number": each.number, "policy": each.policy, "root": each.root,
                "version": versions[each.datanet, each.number],
            }
            for each in snapshots
        ],
        "training": {name: trained.said[name] for name in sorted(trained.said) if name != "watched"},
        "weights": trained.weights,
    }  # fmt: skip


def hash_of(content: bytes) -> Hash32:
    return Hash32(sha256(content).digest())


def base_name(base: str) -> str:
    from oracle.factory.base import EMBEDDED

    if base in ("embedded", EMBEDDED):
        return EMBEDDED
    return base if _is_name(base) else Path(base).name.lower()


def _is_name(base: str) -> bool:
    """Of a hub, or the embedded one's."""
    return not Path(base).exists() and not base.startswith((".", "/", "~"))


def _why_unwatched(recipe: Recipe) -> str:
    return (
        "the recipe says attribution: false"
        if not recipe.attribution
        else "the run was made without a recorder, so there is nothing to score answers by"
    )


def _commit() -> str:
    try:
        head, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown: not run from a repository"
    return f"{head}, with changes" if changes else head


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True

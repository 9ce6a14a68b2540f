"""An exported version as a folder: every file's hash in an index, the version's own files in the manifest too, and the
manifest's hash on chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from oracle.factory.errors import BadBundle
from oracle.factory.manifest import MANIFEST

INDEX = "index.json"


@dataclass(frozen=True)
class Checked:
    files: int
    manifest: str  # its hash, which has to be the one on chain
    weights: str
    signature: Any  # as the file says it


def index_of(folder: Path, chain: dict[str, Any]) -> bytes:
    """Over all that lies in the folder."""
    files = {
        file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != folder / INDEX
    }
    content = {"chain": chain, "files": files, "format": "openledger-export/1", "manifest": files[MANIFEST]}
    return json.dumps(content, indent=2, sort_keys=True).encode() + b"\n"


def check(folder: Path) -> Checked:
    """Raises BadBundle at the first file that is missing or is another; names it."""
    index = _json(folder / INDEX)
    for name, digest in sorted(index["files"].items()):
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise BadBundle(f"{name}: lies outside of the folder")
        if not file.is_file():
            raise BadBundle(f"{name}: is missing; export the model again")
        if sha256(file.read_bytes()).hexdigest() != digest:
            raise BadBundle(f"{name}: is not the file that was exported; its hash differs from the index")
    manifest = _json(folder / MANIFEST)
    for name, digest in sorted(manifest["files"].items()):
        if index["files"].get(name) != digest:
            raise BadBundle(f"{name}: the manifest has another hash of it than the index")
    weights = manifest["files"].get("adapter_model.safetensors")
    if weights != manifest["weights"]:
        raise BadBundle("adapter_model.safetensors: the manifest contradicts itself about the weights")
    signature = _json(folder / "manifest.signature.json")
    return Checked(len(index["files"]), index["files"][MANIFEST], manifest["weights"], signature)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadBundle(f"{file.name}: cannot be read ({error}); export the model again") from None

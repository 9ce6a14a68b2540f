"""A model's public files, fetched by an attestor: none is kept that is not the manifest's, whose hash is on chain."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from oracle.settlement.recomputing import Unable
from oracle.settlement.watching import Publisher
from oracle.types import Hash32

MANIFEST = "manifest.json"
ManifestOf = Callable[[int, int], Hash32 | None]


@dataclass(frozen=True)
class Fetching:
    """Into MODELS/<model>.<version>, whole or not at all."""

    publisher: Publisher
    manifest_of: ManifestOf

    def __call__(self, model: int, version: int, folder: Path) -> Unable | None:
        """None where the folder has all of it now, or why it has not."""
        which = f"model {model} version {version}"
        wanted, listed = self.manifest_of(model, version), self.publisher.files_of(model, version)
        if wanted is None or listed is None:
            return Unable(f"{which}: {'the registry' if wanted is None else 'the operator'} knows no such version")
        manifest = self.publisher.file(model, version, "files", MANIFEST)
        if manifest is None or sha256(manifest).digest() != wanted:
            return Unable(f"{which}: its public manifest is not the one that is on chain")
        said = json.loads(manifest)
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
        try:
            missing = self._all((model, version), said, listed, making)
            if missing is not None:
                return Unable(f"{which}: {missing}")
            shutil.rmtree(folder, ignore_errors=True)
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return None

    def _all(self, one: tuple[int, int], said: dict[str, Any], listed: dict[str, Any], making: Path) -> str | None:
        parts = (("files", "adapter", said.get("files")), ("base", "base", (said.get("base") or {}).get("files")))
        for part, place, hashes in parts:
            for name in listed.get(part) or ():
                digest = (hashes or {}).get(name)
                if digest is None or not _is_inside(name):
                    continue  # the manifest itself, or what nobody vouches for
                content = self.publisher.file(*one, part, name)
                if content is None or sha256(content).hexdigest() != digest:
                    return f"its public file {name} is not the one that its manifest names"
                file = making / place / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        if not (making / "base" / "config.json").exists():
            return "its base's files are not public"
        return None


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts

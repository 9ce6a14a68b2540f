"""The files of a version on this machine's disk, by the name of each file's content: fetched once, checked by its
name."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from oracle.errors import Stop
from oracle.store.blobs import Blobs
from oracle.store.models import Version


def folder_of(version: Version, blobs: Blobs, under: Path) -> Path:
    """A folder with every file of the version; whoever comes second finds it whole."""
    listed = "".join(f"{name} {cid}\n" for name, cid in sorted(version.files.items()))
    target = under / hashlib.sha256(listed.encode()).hexdigest()[:32]
    if target.exists():
        return target
    under.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=under))
    try:
        for name, cid in sorted(version.files.items()):
            file = making / name
            if not file.resolve().is_relative_to(making.resolve()):
                raise Stop(f"file {name!r} of a version would lie outside of its folder")
            file.parent.mkdir(parents=True, exist_ok=True)
            with blobs.open(cid) as content, file.open("wb") as copy:
                shutil.copyfileobj(content, copy)
        try:
            os.rename(making, target)  # noqa: PTH104 — whole or not at all
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return target

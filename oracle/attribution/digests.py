"""Files that are what was written, or an error that names the one that is not."""

from __future__ import annotations

import hashlib
from pathlib import Path

from oracle.attribution.errors import CorruptShard, MissingShard


def digest_of_file(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check_file(file: Path, digest: str) -> None:
    if not file.exists():
        raise MissingShard(f"{file} is missing: build it again, or fetch it from whoever did")
    if digest_of_file(file) != digest:
        raise CorruptShard(f"{file} is not what was written: its digest differs")

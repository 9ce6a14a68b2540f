"""A published version's files from blobs into a folder, each checked: what serving and attribution open."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from oracle.factory.base import EMBEDDED, embedded
from oracle.factory.errors import BadBundle
from oracle.types import Cid

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
ATTRIBUTION = "attribution/"


class Blobs(Protocol):
    """Content-addressed bytes, checked against their name when they are read."""

    def read(self, cid: Cid) -> bytes: ...


class Published(Protocol):
    """What is fixed about a version."""

    @property
    def base(self) -> str: ...
    @property
    def files(self) -> Mapping[str, Cid]: ...


def open_adapter(blobs: Blobs, version: Published, into: Path) -> Path:
    """The folder as PEFT and the engine read it: weights and configuration. There already, it is left as it is."""
    missing = [name for name in (WEIGHTS, CONFIG) if name not in version.files]
    if missing:
        raise BadBundle(f"this version has no {' and no '.join(missing)}: it is a base, or was published broken")
    return _whole(blobs, {name: version.files[name] for name in (WEIGHTS, CONFIG)}, into)


def open_attribution(blobs: Blobs, version: Published, into: Path) -> Path:
    """The folder of its attribution index."""
    found = _below(version, ATTRIBUTION)
    if not found:
        raise BadBundle("this version has no attribution index: it was trained without one")
    return _whole(blobs, found, into)


def open_base_files(blobs: Blobs, version: Published, into: Path) -> Path:
    """A base's own folder; the embedded one comes with the package and is not copied."""
    if version.base == EMBEDDED:
        return embedded()
    return _whole(blobs, version.files, into)


def _below(version: Published, prefix: str) -> dict[str, Cid]:
    return {name.removeprefix(prefix): cid for name, cid in version.files.items() if name.startswith(prefix)}


def _whole(blobs: Blobs, files: Mapping[str, Cid], into: Path) -> Path:
    """All of them or none: the folder appears when its last file is written."""
    if into.is_dir() and all((into / name).is_file() for name in files):
        return into
    into.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    try:
        for name, cid in sorted(files.items()):
            file = making / name
            if not file.resolve().is_relative_to(making.resolve()):
                raise BadBundle(f"{name!r} is no name of a file inside a model")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(blobs.read(cid))
        try:
            making.rename(into)
        except OSError:  # somebody else was faster, or half of it was there before
            for file in sorted(making.rglob("*")):
                if file.is_file():
                    target = into / file.relative_to(making)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    file.replace(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return into

"""One published version as a folder for an auditor, and the check of such a folder."""

from __future__ import annotations

import json
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from oracle.daemon.ground import Ground
from oracle.daemon.models import CONTRACT
from oracle.daemon.releasing import PERSONAL
from oracle.datanets import announcing, exporting
from oracle.datanets.canonical import keccak
from oracle.datanets.exporting import NotExportable
from oracle.errors import NeedsPerson
from oracle.factory import bundle
from oracle.factory.bundle import Checked
from oracle.factory.checkpoints import write_folder
from oracle.factory.errors import BadBundle
from oracle.factory.manifest import MANIFEST
from oracle.store import snapshots
from oracle.store.events import events, topic
from oracle.store.models import Model
from oracle.types import Digest


def export(ground: Ground, model: Model, out: Path, private: bool = False) -> Path:
    """All of it or nothing. Rows come along where they are still there and may be seen."""
    if out.exists() and any(out.iterdir()):
        raise NeedsPerson(f"{out}: is not empty; give another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_folder(out, lambda half: _write(ground, model, half, private))
    return out


def _write(ground: Ground, model: Model, half: Path, private: bool) -> None:
    for name, cid in sorted(model.made.files.items()):
        file = half / name
        if not file.resolve().is_relative_to(half.resolve()):
            raise BadBundle(f"{name!r} is no name of a file inside a model")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(ground.blobs.read(cid))
    if sha256((half / MANIFEST).read_bytes()).digest() != model.made.manifest:
        raise BadBundle(f"model {model.id}: its manifest is not the one that is on chain")
    for told in json.loads((half / MANIFEST).read_text()).get("snapshots", ()):
        _rows(ground, told, half / "snapshots" / f"{told['datanet']}-{told['number']}", private)
    (half / bundle.INDEX).write_bytes(bundle.index_of(half, _place(ground, model)))
    if not model.made.is_base:
        bundle.check(half)


def _rows(ground: Ground, told: dict[str, Any], folder: Path, private: bool) -> None:
    with ground.database.reading() as connection:
        made = snapshots.get_snapshot(connection, told["datanet"], told["number"])
    with tempfile.TemporaryDirectory() as kept:
        try:
            exporting.export(ground.database, ground.stores, made, Path(kept), None, private)
        except NotExportable as error:
            (folder / "rows.missing.txt").write_text(f"{error}\n", encoding="utf-8")
            return
        (folder / "rows.jsonl").write_bytes((Path(kept) / "rows.jsonl").read_bytes())


def _place(ground: Ground, model: Model) -> dict[str, Any]:
    """Where the manifest's hash stands."""
    place: dict[str, Any] = {
        "chain": ground.rpc.chain, "contract": ground.book[CONTRACT], "model": model.model, "name": model.name,
        "version": model.version, "event": "VersionPublished", "field": "artifacts.manifestHash",
    }  # fmt: skip
    if model.model is None:
        return place | {"block": "none: it is not on chain yet"}
    with ground.database.reading() as connection:
        found = events(
            connection, ground.rpc.chain, CONTRACT, "VersionPublished",
            topic1=topic(model.model), topic2=topic(model.version),
        )  # fmt: skip
    if not found:
        return place | {"block": "none: it is not on chain yet"}
    return place | {
        "block": found[0].block, "transaction": "0x" + found[0].tx.hex(), "timestamp": found[0].timestamp,
    }  # fmt: skip


def verify(folder: Path) -> Checked:
    """Files against index and manifest, and the manifest against its builder's signature. Needs no network."""
    found = bundle.check(folder)
    digest = Digest(keccak(PERSONAL + bytes.fromhex(found.manifest)))
    signer = announcing.recover(digest, bytes.fromhex(found.signature["signature"][2:]))
    builder = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["builder"]
    if not signer == found.signature["account"] == builder:
        raise BadBundle(f"manifest.signature.json: signed by {signer}, and the builder is {builder}")
    return found

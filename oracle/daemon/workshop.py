"""From a recipe to a run's folder, and from there to a version that waits for the chain.

The factory knows folders alone; here they are filled from the store, and what it made is written back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from oracle.daemon.ground import Ground
from oracle.datanets import calls, exporting
from oracle.errors import NeedsPerson
from oracle.factory.base import EMBEDDED, LICENCE, files_of, folder_of, weights_hash
from oracle.factory.checkpoints import write_json
from oracle.factory.errors import BadRecipe, NoGo
from oracle.factory.evaluation import Report, evaluate
from oracle.factory.licences import combined
from oracle.factory.manifest import MANIFEST, base_name, canonical, hash_of, manifest
from oracle.factory.opening import open_adapter
from oracle.factory.presets import SPLIT
from oracle.factory.recipe import Recipe
from oracle.factory.rows import Row, Snapshot, all_rows, read_snapshot, training_rows
from oracle.factory.training import ADAPTER, ORDER, RESULT, Trained, read_trained, train
from oracle.factory.watching import Say, never, nobody
from oracle.store import models, snapshots
from oracle.store.events import events, topic
from oracle.store.models import Model, Parent, Version
from oracle.types import OPEN, BasisPoints, DatanetId, Hash32, Wei

EVALUATION = "evaluation.json"
_NOTHING = Hash32(bytes(32))


@dataclass(frozen=True)
class Prepared:
    """A recipe with everything that it names, read and checked."""

    recipe: Recipe
    snapshots: tuple[Snapshot, ...]
    rows: tuple[Row, ...]
    base: Path
    start: Path | None
    licence: str
    parent: Model | None = None

    @property
    def training(self) -> list[Row]:
        return training_rows(self.rows)


def gather(recipe: Recipe, ground: Ground | None, cache: Path) -> Prepared:
    """Without an oracle a recipe may name folders alone."""
    found = []
    for number, source in enumerate(recipe.sources):
        if source.folder is not None:
            found.append(read_snapshot(Path(source.folder), number, source.weight))
            continue
        if ground is None:
            raise BadRecipe(f"{source.said}: needs this oracle's store; run `openledger init`, or give a folder")
        folder, root = export_snapshot(ground, DatanetId(source.datanet or 0), source.snapshot, cache)
        found.append(read_snapshot(folder, number, source.weight, root))
    parent = None
    start = None
    if recipe.parent is not None:
        if ground is None:
            raise BadRecipe(f"parent {recipe.parent}: needs this oracle's store; run `openledger init`")
        parent = find(ground, recipe.parent)
        if parent.made.base != base_name(recipe.base):
            raise BadRecipe(f"parent {parent.id}: runs on the base {parent.made.base}, this recipe on {recipe.base}")
        start = open_adapter(ground.blobs, parent.made, cache / "parents" / parent.made.weights.hex())
    inherited = parent.made.licences if parent else ()
    licence = combined([LICENCE, *inherited, *(each.licence for each in found)], recipe.accept_licences)
    return Prepared(recipe, tuple(found), tuple(all_rows(found)), folder_of(recipe.base), start, licence, parent)


def export_snapshot(ground: Ground, datanet: DatanetId, number: int | None, cache: Path) -> tuple[Path, str]:
    """Its folder, made once, and its root as the store has it."""
    with ground.database.reading() as connection:
        made = snapshots.get_snapshot(connection, datanet, number)
        found = events(connection, ground.rpc.chain, calls.CONTRACT, "SnapshotPublished", topic1=topic(datanet))
    published = next((each.timestamp for each in found if each.args["version"] == made.version), None)
    folder = cache / "snapshots" / f"{datanet}-{made.number}-{made.root.hex()[:16]}"
    if not (folder / "croissant.json").is_file():
        exporting.export(ground.database, ground.stores, made, folder, published, private=True)
    return folder, "0x" + made.root.hex()


def find(ground: Ground, name: str) -> Model:
    """NAME or NAME@VERSION."""
    plain, _, version = name.partition("@")
    if version and not version.isdigit():
        raise NeedsPerson(f"model {name}: a version is a number, as {plain}@1")
    with ground.database.reading() as connection:
        return models.find(connection, ground.rpc.chain, plain, int(version) if version else None)


def make(
    prepared: Prepared,
    folder: Path,
    say: Say = nobody,
    stop: Callable[[], bool] = never,
    device: str = "cpu",
    save_every: float = 60.0,
) -> Trained | None:
    """Trains, with attribution's recorder looking on, and measures the limits of its scores."""
    from oracle.daemon.recording import measure_limits, recording

    recipe, rows = prepared.recipe, prepared.training
    watch = recording(rows) if recipe.attribution else None
    trained = train(
        recipe, rows, prepared.base, folder, watch=watch, start=prepared.start, say=say, stop=stop, device=device,
        save_every=save_every,
    )  # fmt: skip
    if trained is not None and recipe.attribution:
        measure_limits(recipe, prepared.base, trained, device)
    return trained


def judge(prepared: Prepared, folder: Path, device: str = "cpu") -> Report:
    """Base and adapter side by side; the report lies in the run's folder."""
    trained = read_trained(folder)
    report = evaluate(prepared.recipe, prepared.rows, prepared.base, trained.adapter, device=device)
    write_json(folder / EVALUATION, {**report.as_dict(), "weights": trained.weights})
    return report


def read_evaluation(folder: Path, trained: Trained) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadRecipe(f"{folder}: was not evaluated yet; openledger model eval first") from None
    if said["weights"] != trained.weights:
        raise BadRecipe(f"{folder}: its evaluation is of other weights; run openledger model eval again")
    return said


def publish(ground: Ground, prepared: Prepared, folder: Path, force: str | None = None) -> Model:
    """Blobs, then the version and its base in one transaction: prepared, for the daemon to send."""
    if ground.signer is None:
        raise NeedsPerson("no key is configured: set OPENLEDGER_KEYSTORE; its account becomes the builder")
    trained = read_trained(folder)
    evaluation = read_evaluation(folder, trained)
    if not evaluation["gate"]["go"] and not force:
        reasons = "\n".join(f"  {each}" for each in evaluation["gate"]["reasons"])
        raise NoGo(
            f"{prepared.recipe.name}: NO-GO, nothing is published:\n{reasons}\n"
            "  --force REASON publishes it all the same, and the manifest says so"
        )
    forced = force if not evaluation["gate"]["go"] else None
    versions = _versions(ground, prepared.snapshots)
    builder = ground.signer.address
    files = collect(folder, prepared)
    parents = _parents(ground, prepared)
    said = manifest(
        prepared.recipe, prepared.snapshots, trained, prepared.base, evaluation, files, versions=versions,
        parents=[{"name": each.name, "version": each.version, "share": each.share} for each in parents],
        licence=prepared.licence, builder=builder, forced=forced,
    )  # fmt: skip
    content = canonical(said)
    signed = ground.signer.sign(_PERSONAL + hash_of(content)).as_bytes()
    signature = {"account": builder, "scheme": "EIP-191 over the SHA-256 of manifest.json", "signature": signed.hex()}
    files |= {MANIFEST: content, "manifest.signature.json": canonical(signature)}
    cids = {name: ground.blobs.put(content) for name, content in sorted(files.items())}
    accuracy = files.get("attribution/accuracy.json")
    recipe = prepared.recipe
    made = Version(
        base=base_name(recipe.base),
        weights=Hash32(bytes.fromhex(trained.weights)),
        manifest=hash_of(content),
        evaluation=hash_of(files[EVALUATION]),
        accuracy=hash_of(accuracy) if accuracy else _NOTHING,
        split=recipe.split,
        files=cids,
        forced=forced is not None,
        parents=parents,
        snapshots=tuple((DatanetId(each.datanet), versions[each.datanet]) for each in prepared.snapshots),
        licences=tuple(sorted({each.licence for each in prepared.snapshots})),
        title=recipe.title,
        about=recipe.about,
    )
    base = _base_version(ground, prepared)
    prices = (wei(recipe.input_price), wei(recipe.output_price))
    with ground.database.transaction() as connection:
        models.prepare(connection, ground.rpc.chain, base.base, builder, prices, base)
        return models.prepare(connection, ground.rpc.chain, recipe.name, builder, prices, made)


_PERSONAL = b"\x19Ethereum Signed Message:\n32"


def collect(folder: Path, prepared: Prepared) -> dict[str, bytes]:
    """The files of a version, by the name that they have in the auditor's folder."""
    found: dict[str, bytes] = {}
    for file in sorted((folder / ADAPTER).iterdir()):
        found[file.name] = file.read_bytes()
    for name in (RESULT, ORDER, EVALUATION):
        found[name] = (folder / name).read_bytes()
    for file in sorted((folder / "attribution").rglob("*")):
        if file.is_file():
            found[str(file.relative_to(folder))] = file.read_bytes()
    for each in prepared.snapshots:
        for name in ("manifest.json", "croissant.json"):
            found[f"snapshots/{each.datanet}-{each.number}/{name}"] = (each.folder / name).read_bytes()
    return found


def wei(amount: str) -> Wei:
    return Wei(int(Decimal(amount) * OPEN))


def _versions(ground: Ground, found: Sequence[Snapshot]) -> dict[int, int]:
    """The registry's numbers of the snapshots; one that is not on chain cannot be named there."""
    versions: dict[int, int] = {}
    with ground.database.reading() as connection:
        for each in found:
            stored = [
                s
                for s in snapshots.snapshots_of(connection, DatanetId(each.datanet))
                if "0x" + s.root.hex() == each.root
            ]
            if not stored or stored[-1].version is None:
                raise NeedsPerson(
                    f"snapshot {each.name} of datanet {each.datanet}: is not on chain yet; publish it first"
                    f" (openledger datanet snapshot {each.datanet} --name {each.name}) and let the daemon run"
                )
            versions[each.datanet] = stored[-1].version
    return versions


def _parents(ground: Ground, prepared: Prepared) -> tuple[Parent, ...]:
    """The parent shares the upstream part; a base shares none."""
    if prepared.parent is not None:
        return (Parent(prepared.parent.name, prepared.parent.version, BasisPoints(10_000)),)
    base = _base_version(ground, prepared)
    with ground.database.reading() as connection:
        known = [
            each
            for each in models.listed(connection, ground.rpc.chain)
            if each.name == base.base and each.made.weights == base.weights
        ]
        others = [each for each in models.listed(connection, ground.rpc.chain) if each.name == base.base]
    version = known[0].version if known else len(others) + 1
    return (Parent(base.base, version, BasisPoints(0)),)


def _base_version(ground: Ground, prepared: Prepared) -> Version:
    """The base as a model of its own; its files as they lie in its folder."""
    name = base_name(prepared.recipe.base)
    with ground.database.reading() as connection:
        for each in models.listed(connection, ground.rpc.chain):
            if each.name == name and each.made.weights == weights_hash(prepared.base):
                return each.made
    hashes = files_of(prepared.base)
    files = {file: ground.blobs.put((prepared.base / file).read_bytes()) for file in hashes}
    licence = LICENCE if name == EMBEDDED else "see its card"
    said = canonical({"base": name, "files": hashes, "format": "openledger-base/1", "licence": licence})
    files[MANIFEST] = ground.blobs.put(said)
    return Version(
        base=name, weights=weights_hash(prepared.base), manifest=hash_of(said), evaluation=_NOTHING, accuracy=_NOTHING,
        split=SPLIT, files=files, is_base=True, licences=(licence,), title=name,
    )  # fmt: skip

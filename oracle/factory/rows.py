"""The rows of exported snapshots: read, checked against the root on chain, and parted into their splits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.datanets.canonical import row_hash
from oracle.datanets.merkle import row_leaf, tree_root
from oracle.factory.errors import BadSnapshot
from oracle.types import Address, RowHash

_TOLD = ("kind", "split", "contributor", "owner", "cluster", "contribution")
TRAIN, VALIDATION, HELD_OUT, EVALUATION = "train", "validation", "held-out", "evaluation"


@dataclass(frozen=True)
class Row:
    """One row; `owner` holds the credit of its cluster."""

    id: str  # its hash in hexadecimal
    source: int  # which of the recipe's snapshots
    content: Mapping[str, Any]
    kind: str
    split: str
    contributor: str
    owner: str
    cluster: str
    contribution: str = ""
    weight: float = 1.0

    @property
    def credit(self) -> str:
        """The name that its influence is counted under: its contribution, and who holds the credit if others do."""
        return self.contribution if self.owner == self.contributor else f"{self.contribution}/{self.owner}"


@dataclass(frozen=True)
class Snapshot:
    """One exported folder, as it was checked."""

    folder: Path
    datanet: int
    number: int
    name: str
    root: str
    count: int
    policy: str
    licence: str
    rows: tuple[Row, ...]


def read_snapshot(folder: Path, source: int = 0, weight: float = 1.0, root: str | None = None) -> Snapshot:
    """Raises BadSnapshot where the bytes are not those of the root; `root` is the one that is on chain."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        lines = (folder / "rows.jsonl").read_bytes().splitlines()
    except FileNotFoundError as error:
        raise BadSnapshot(
            f"{folder}: {Path(str(error.filename)).name} is missing; export it: openledger datanet export"
        ) from None
    except ValueError as error:
        raise BadSnapshot(f"{folder}: manifest.json is not JSON ({error}); export it again") from None
    rows, leaves = [], []
    for number, line in enumerate(lines, 1):
        try:
            told = json.loads(line)
            content = told["row"].encode()
            hash_ = row_hash(content)
            if "0x" + hash_.hex() != told["hash"]:
                raise BadSnapshot(f"{folder}: row {number} is not the one that its hash names; export it again")
            leaves.append(row_leaf(Address(told["contributor"]), RowHash(hash_)))
            said = {name: str(told[name]) for name in _TOLD}
            rows.append(Row(told["hash"], source, json.loads(content), weight=weight, **said))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadSnapshot(f"{folder}: line {number} of rows.jsonl cannot be read ({error!r})") from None
    found = "0x" + tree_root(leaves).hex()
    expected = root or manifest.get("root")
    if not rows:
        raise BadSnapshot(f"{folder}: the snapshot is empty; make another once rows are settled")
    if found != expected or found != manifest.get("root"):
        raise BadSnapshot(
            f"{folder}: its {len(rows)} rows have the root {found}, and {expected} is on chain;"
            " the bytes were changed: export the snapshot again"
        )
    named: dict[str, Any] = {name: manifest[name] for name in ("datanet", "number", "name", "policy")}
    return Snapshot(folder, root=found, count=len(rows), licence=_licence(folder), rows=tuple(rows), **named)


def _licence(folder: Path) -> str:
    """The SPDX identifier in its Croissant description."""
    try:
        described = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadSnapshot(f"{folder}: croissant.json cannot be read ({error}); export it again") from None
    return str(described.get("license", "")).rpartition("/")[2]


def all_rows(snapshots: Iterable[Snapshot]) -> list[Row]:
    """In the order of the recipe. What is in two snapshots counts once, where it came first."""
    seen: set[str] = set()
    found = []
    for snapshot in snapshots:
        for row in snapshot.rows:
            if row.id not in seen:
                seen.add(row.id)
                found.append(row)
    return found


def split(rows: Sequence[Row], *names: str) -> list[Row]:
    """A cluster that reaches over snapshots stays on the side of its most guarded row."""
    guarded = (EVALUATION, HELD_OUT, VALIDATION)
    side: dict[str, str] = {}
    for row in rows:
        before = side.get(row.cluster)
        if row.split in guarded and (before is None or guarded.index(row.split) < guarded.index(before)):
            side[row.cluster] = row.split
    return [row for row in rows if side.get(row.cluster, row.split) in names]


def training_rows(rows: Sequence[Row]) -> list[Row]:
    found = split(rows, TRAIN)
    if not found:
        raise BadSnapshot("no row is left to train on: all of them are held out; take a larger snapshot")
    return found


def evaluation_rows(rows: Sequence[Row]) -> list[Row]:
    return split(rows, HELD_OUT, EVALUATION)

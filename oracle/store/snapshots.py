"""Snapshots: ordered, immutable, numbered versions of a datanet; which contributions are in each, and which models
used one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from oracle.errors import NeedsPerson, Stop
from oracle.store.columns import METADATA, HashColumn, Id
from oracle.types import Cid, DatanetId, Hash32

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("datanet", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),  # of those made here
    Column("version", BigInteger),  # the registry's
    Column("state", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("root", HashColumn, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("manifest_hash", HashColumn, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("rows", String(64), nullable=False),  # the blob with its rows' table
    Column("accumulator", HashColumn, nullable=False),
    UniqueConstraint("datanet", "number"),
    UniqueConstraint("datanet", "name"),
    UniqueConstraint("datanet", "version"),
)

CONTENTS = Table(
    "snapshot_contributions",
    METADATA,
    Column("snapshot", BigInteger, primary_key=True, autoincrement=False),
    Column("contribution", HashColumn, primary_key=True),
    Column("rows", BigInteger, nullable=False),
)
Index("ix_snapshot_contributions_contribution", CONTENTS.c.contribution)

# Written by whoever keeps the models: which of them was trained on which snapshot.
USES = Table(
    "snapshot_uses",
    METADATA,
    Column("datanet", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("model", HashColumn, primary_key=True),
    Column("name", Text, nullable=False),
    Column("live", BigInteger, nullable=False),
)

_PREDECESSORS = {"announced": ("built",), "published": ("built", "announced")}


class UnknownSnapshot(NeedsPerson):
    """There is no such version."""


class WrongState(Stop):
    """A snapshot is not where its next step expected it."""


@dataclass(frozen=True)
class Snapshot:
    id: int
    datanet: DatanetId
    number: int
    version: int | None
    state: str
    name: str
    root: Hash32
    count: int
    manifest_hash: Hash32
    manifest: bytes
    rows: Cid
    accumulator: Hash32


@dataclass(frozen=True)
class Use:
    """One model that was trained on one version."""

    datanet: DatanetId
    version: int
    model: Hash32
    name: str
    live: bool


def put_snapshot(connection: Connection, datanet: DatanetId, contents: Mapping[Hash32, int], **fields: Any) -> Snapshot:
    """With how many rows of each contribution are in it."""
    made = connection.execute(
        insert(SNAPSHOTS).values(datanet=datanet, state="built", **fields).returning(*SNAPSHOTS.c)
    ).one()
    rows = [{"snapshot": made.id, "contribution": key, "rows": count} for key, count in sorted(contents.items())]
    if rows:
        connection.execute(insert(CONTENTS), rows)
    return _snapshot(made)


def next_number(connection: Connection, datanet: DatanetId) -> int:
    asked = select(func.max(SNAPSHOTS.c.number)).where(SNAPSHOTS.c.datanet == datanet)
    return (connection.execute(asked).scalar_one() or 0) + 1


def snapshots_of(connection: Connection, datanet: DatanetId) -> list[Snapshot]:
    asked = select(SNAPSHOTS).where(SNAPSHOTS.c.datanet == datanet).order_by(SNAPSHOTS.c.number)
    return [_snapshot(row) for row in connection.execute(asked)]


def get_snapshot(connection: Connection, datanet: DatanetId, number: int | None = None) -> Snapshot:
    """The newest where no number is given."""
    found = [each for each in snapshots_of(connection, datanet) if number in (None, each.number)]
    if not found:
        which = "any" if number is None else f"number {number}"
        raise UnknownSnapshot(
            f"datanet {datanet}: has no snapshot, {which}; make one: openledger datanet snapshot {datanet}"
        )
    return found[-1]


def move(connection: Connection, id_: int, state: str, **fields: Any) -> None:
    allowed = _PREDECESSORS[state]
    moved = connection.execute(
        update(SNAPSHOTS).where(SNAPSHOTS.c.id == id_, SNAPSHOTS.c.state.in_(allowed)).values(state=state, **fields)
    )
    if moved.rowcount != 1:
        raise WrongState(f"snapshot {id_}: cannot become {state}; allowed is from {' or '.join(allowed)}")


def of_version(connection: Connection, datanet: DatanetId, version: int) -> Snapshot | None:
    """By the registry's number."""
    asked = select(SNAPSHOTS).where(SNAPSHOTS.c.datanet == datanet, SNAPSHOTS.c.version == version)
    row = connection.execute(asked).one_or_none()
    return None if row is None else _snapshot(row)


def with_contribution(connection: Connection, contribution: Hash32) -> list[Snapshot]:
    """All versions that hold rows of it."""
    asked = (
        select(SNAPSHOTS)
        .join(CONTENTS, CONTENTS.c.snapshot == SNAPSHOTS.c.id)
        .where(CONTENTS.c.contribution == contribution)
        .order_by(SNAPSHOTS.c.id)
    )
    return [_snapshot(row) for row in connection.execute(asked)]


def contents(connection: Connection, id_: int) -> dict[Hash32, int]:
    asked = select(CONTENTS.c.contribution, CONTENTS.c.rows).where(CONTENTS.c.snapshot == id_)
    return {Hash32(row.contribution): row.rows for row in connection.execute(asked)}


def put_use(connection: Connection, use: Use) -> None:
    """For the keeper of models."""
    connection.execute(insert(USES).values(**{**vars(use), "live": int(use.live)}))


def end_use(connection: Connection, model: Hash32) -> None:
    """It was withdrawn: the record of what it was trained on remains."""
    connection.execute(update(USES).where(USES.c.model == model).values(live=0))


def uses_of(connection: Connection, datanet: DatanetId, versions: Sequence[int]) -> list[Use]:
    asked = select(USES).where(USES.c.datanet == datanet, USES.c.version.in_(versions)).order_by(USES.c.name)
    return [Use(row.datanet, row.version, row.model, row.name, bool(row.live)) for row in connection.execute(asked)]


def _snapshot(row: Row[Any]) -> Snapshot:
    return Snapshot(**{**row._asdict(), "manifest": bytes(row.manifest)})

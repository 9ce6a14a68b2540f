"""A snapshot as a folder that stands alone: its rows, its manifest, its description in Croissant."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import orjson
from sqlalchemy import Connection

from oracle.datanets.canonical import canonical
from oracle.datanets.collecting import hash_of_line
from oracle.datanets.croissant import ROWS, Exported, describe
from oracle.datanets.limits import DEFAULT
from oracle.datanets.lines import lines
from oracle.datanets.stores import Stores
from oracle.errors import NeedsPerson
from oracle.store import contributions, datanets
from oracle.store.contributions import Contribution
from oracle.store.database import Database
from oracle.store.snapshots import Snapshot
from oracle.types import ContributionId, Timestamp

_LONGEST = 8 * DEFAULT.row_bytes


class NotExportable(NeedsPerson):
    """Some rows are private or erased, or not those that the snapshot names."""


def export(
    database: Database, stores: Stores, made: Snapshot, out: Path, published: Timestamp | None, private: bool = False
) -> Path:
    """Writes it, all or nothing: the description comes last. Returns the folder."""
    out.mkdir(parents=True, exist_ok=True)
    with database.reading() as connection:
        datanet = datanets.get_datanet(connection, made.datanet)
        digest, size = sha256(), 0
        unfinished = out / f".{ROWS}"
        with unfinished.open("wb") as file:
            for line in _rows(connection, stores, made, private):
                digest.update(line)
                size += file.write(line)
    unfinished.replace(out / ROWS)
    (out / "manifest.json").write_bytes(made.manifest)
    (out / "croissant.json").write_bytes(describe(datanet, made, Exported(digest.hexdigest(), size), published))
    return out


def _rows(connection: Connection, stores: Stores, made: Snapshot, private: bool) -> Iterator[bytes]:
    """The table's rows with their contents. They stand by contribution, in the order of its file."""
    name: str | None = None
    content: Iterator[tuple[int, bytes]] = iter(())
    with stores.published.open(made.rows) as table:
        for line in table:
            told = orjson.loads(line)
            if told["contribution"] != name:
                name = told["contribution"]
                given = contributions.named(connection, ContributionId(bytes.fromhex(told["contribution"][2:])))
                content = _content(stores, given, private)
            row = next((row for place, row in content if place == told["row"]), None)
            if row is None or "0x" + hash_of_line(row).hex() != told["hash"]:
                raise NotExportable(
                    f"row {told['row'] + 1} of contribution {name}: its bytes are no longer those of the snapshot"
                    " (erased since?); make a new snapshot and export that"
                )
            told |= {"cluster": told.get("cluster", told["hash"]), "owner": told.get("owner", told["contributor"])}
            yield canonical(told | {"row": row.decode()}) + b"\n"


def _content(stores: Stores, given: Contribution, private: bool) -> Iterator[tuple[int, bytes]]:
    if given.seal is not None and not private:
        raise NotExportable(
            f"contribution {given.key.hex()}: its rows are private; --private writes them in clear,"
            " for whoever may see them"
        )
    if given.blob is None or given.erased:
        raise NotExportable(f"contribution {given.key.hex()}: its rows were erased; make a new snapshot")
    with stores.rows(stores.published, given.blob, given.seal) as stream:
        for place, (line, _) in enumerate(lines(stream, _LONGEST)):
            if line is not None:
                yield place, line

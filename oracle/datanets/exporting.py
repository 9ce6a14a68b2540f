"""A snapshot as files that others can load: its table of rows, and the Croissant description beside it."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from oracle.datanets.croissant import croissant
from oracle.datanets.stores import Stores
from oracle.store import datanets, snapshots
from oracle.store.database import Database
from oracle.types import DatanetId

_PIECE = 1 << 20


def export(
    database: Database, stores: Stores, number: DatanetId, which: int | None, folder: Path, date: str
) -> tuple[Path, Path]:
    """(the description, the table). Each appears whole or not at all."""
    with database.reading() as connection:
        made = snapshots.get_snapshot(connection, number, which)
        datanet = datanets.get_datanet(connection, number)
    folder.mkdir(parents=True, exist_ok=True)
    digest, size = sha256(), 0
    table, description = folder / "rows.jsonl", folder / "croissant.json"
    unfinished = folder / f".rows.{os.getpid()}"
    with stores.published.open(made.rows) as content, unfinished.open("wb") as written:
        while piece := content.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            written.write(piece)
    unfinished.replace(table)
    unfinished.write_bytes(croissant(datanet, made, table.name, digest.hexdigest(), size, date))
    unfinished.replace(description)
    return description, table

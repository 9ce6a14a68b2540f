"""Every table there is, for migrations: importing this module imports all that own one."""

from __future__ import annotations

from oracle.store import (
    answers,
    batches,
    blocks,
    broadcasts,
    contributions,
    cursors,
    datanets,
    erasures,
    event_table,
    intents,
    loops,
    models,
    outcomes,
    receipts,
    rows,
    snapshots,
    work,
)
from oracle.store.columns import METADATA

__all__ = [
    "METADATA",
    "answers",
    "batches",
    "blocks",
    "broadcasts",
    "contributions",
    "cursors",
    "datanets",
    "erasures",
    "event_table",
    "intents",
    "loops",
    "models",
    "outcomes",
    "receipts",
    "rows",
    "snapshots",
    "work",
]

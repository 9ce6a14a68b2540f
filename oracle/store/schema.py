"""Every table there is, for migrations: importing this module imports all that own one."""

from __future__ import annotations

from oracle.store import (
    blocks,
    broadcasts,
    contributions,
    cursors,
    datanets,
    erasures,
    event_table,
    intents,
    loops,
    outcomes,
    rows,
    snapshots,
    work,
)
from oracle.store.columns import METADATA

__all__ = [
    "METADATA",
    "blocks",
    "broadcasts",
    "contributions",
    "cursors",
    "datanets",
    "erasures",
    "event_table",
    "intents",
    "loops",
    "outcomes",
    "rows",
    "snapshots",
    "work",
]

"""Every table there is, for migrations: importing this module imports all that own one."""

from __future__ import annotations

from oracle.store import (
    answers,
    api_keys,
    batches,
    blocks,
    broadcasts,
    calls,
    contributions,
    cursors,
    datanets,
    disclosures,
    erasures,
    event_table,
    intents,
    loops,
    models,
    outcomes,
    payments,
    receipts,
    rows,
    snapshots,
    work,
)
from oracle.store.columns import METADATA

__all__ = [
    "METADATA",
    "answers",
    "api_keys",
    "batches",
    "blocks",
    "broadcasts",
    "calls",
    "contributions",
    "cursors",
    "datanets",
    "disclosures",
    "erasures",
    "event_table",
    "intents",
    "loops",
    "models",
    "outcomes",
    "payments",
    "receipts",
    "rows",
    "snapshots",
    "work",
]

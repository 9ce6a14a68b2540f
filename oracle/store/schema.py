"""Every table there is, for migrations: importing this module imports all that own one."""

from __future__ import annotations

from oracle.store import batches, blocks, broadcasts, event_table, events, intents, loops, receipts, work
from oracle.store.columns import METADATA

__all__ = [
    "METADATA",
    "batches",
    "blocks",
    "broadcasts",
    "event_table",
    "events",
    "intents",
    "loops",
    "receipts",
    "work",
]

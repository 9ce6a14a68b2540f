"""Every table there is, for migrations: importing this module imports all that own one."""

from __future__ import annotations

from oracle.store import blocks, broadcasts, event_table, events, intents, loops, work
from oracle.store.columns import METADATA

__all__ = ["METADATA", "blocks", "broadcasts", "event_table", "events", "intents", "loops", "work"]

"""Every table there is, for migrations: importing this module imports all that own one."""

from __future__ import annotations

from oracle.store import blocks, broadcasts, cursors, event_table, intents
from oracle.store.columns import METADATA

__all__ = ["METADATA", "blocks", "broadcasts", "cursors", "event_table", "intents"]

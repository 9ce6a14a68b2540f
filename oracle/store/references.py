"""Which records stand on a blob. Bytes are named by their content, so that one blob may belong to several of them."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select

from oracle.store.batches import BATCHES
from oracle.store.contributions import CONTRIBUTIONS
from oracle.store.models import MODELS
from oracle.store.snapshots import SNAPSHOTS
from oracle.types import Cid, Hash32


def is_needed(connection: Connection, cid: Cid, but: Hash32) -> bool:
    """Whether anything stands on it besides one contribution, which may have named bytes that were never its own."""
    others = (
        select(CONTRIBUTIONS.c.key).where(
            CONTRIBUTIONS.c.blob == cid, CONTRIBUTIONS.c.key != but, ~CONTRIBUTIONS.c.erased
        ),
        select(SNAPSHOTS.c.id).where(SNAPSHOTS.c.rows == cid),
        select(BATCHES.c.id).where(or_(BATCHES.c.document == cid, BATCHES.c.previous_document == cid)),
    )
    if any(connection.execute(asked.limit(1)).first() is not None for asked in others):
        return True
    return any(cid.encode() in bytes(content) for content in connection.execute(select(MODELS.c.content)).scalars())

"""The statement of an account, from this oracle's published batches."""

from __future__ import annotations

from contextlib import ExitStack
from typing import BinaryIO

from sqlalchemy import Connection

from oracle.settlement.statement import Known, Statement, statement
from oracle.store import batches, browsing, snapshots
from oracle.store.batches import State
from oracle.types import Address, Epoch, Hash32, Wei
from oracle.web.site import Site

_MOST = 10_000


def statement_for(site: Site, who: Address, chain: bool = True) -> Statement:
    """`chain`: also what was claimed, which the token alone knows."""
    credited = site.onchain.credited([who])[0] if chain else Wei(0)
    with site.reading() as connection:
        found = batches.batches(connection, site.chain, State.POSTED, State.ACTIVE)
        known = _known(connection, who)
    with ExitStack() as stack:
        documents: list[tuple[Epoch, BinaryIO, bool]] = []
        for batch in found:
            if batch.document is not None and site.blobs.has(batch.document):
                opened = stack.enter_context(site.blobs.open(batch.document))
                documents.append((batch.epoch, opened, batch.state == State.ACTIVE))
        return statement(who, documents, known, credited)


def _known(connection: Connection, who: Address) -> dict[Hash32, Known]:
    """Whatever way it came: from the account's own wallet, or by its signature."""
    found: dict[Hash32, Known] = {}
    for given in browsing.newest_contributions(connection, _MOST, contributor=who):
        if given.name is None or given.place is None:
            continue
        holding = [each for each in snapshots.with_contribution(connection, given.key) if each.version is not None]
        uses = snapshots.uses_of(connection, given.datanet, [each.version for each in holding if each.version])
        settled = given.state in ("settled", "included")
        found[Hash32(given.name)] = Known(
            given.accepted_count if settled else None, given.count or 0, tuple(use.name for use in uses)
        )
    return found

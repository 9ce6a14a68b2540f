"""The statement of an account, from this oracle's published batches."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from oracle.settlement.earnings import looked_up, read_new
from oracle.settlement.statement import Known, Parts, Statement, combined, parts_of
from oracle.store import batches, browsing, earnings, snapshots
from oracle.store.batches import Batch, State
from oracle.types import Address, Hash32, Wei
from oracle.web.site import Site

_MOST = 10_000
_AT_ONCE = 4  # documents that one page reads; the daemon has read them before, as a rule


def statement_for(site: Site, who: Address, chain: bool = True) -> Statement:
    """From the look-up, which is brought up to date first. `chain`: also what was claimed, which the token alone
    knows."""
    credited, known = _facts(site, who, chain)
    read_new(site.ground.database, site.blobs, site.chain, _AT_ONCE)
    return looked_up(site.ground.database, site.chain, who, known, credited)


def whole_statement_for(site: Site, who: Address, chain: bool = True) -> Statement:
    """With every receipt: reads all published documents, one after the other."""
    credited, known = _facts(site, who, chain)
    with site.reading() as connection:
        found = batches.batches(connection, site.chain, State.POSTED, State.ACTIVE)
    return combined(who, _read(site, found, who), known, credited)


def unread(site: Site) -> int:
    """Documents that no statement counts yet, up to a hundred."""
    with site.reading() as connection:
        return len(earnings.unread(connection, site.chain, 100))


def _read(site: Site, found: list[Batch], who: Address) -> Iterator[tuple[Parts, bool]]:
    for batch in found:
        if batch.document is not None and site.blobs.has(batch.document):
            with site.blobs.open(batch.document) as published:
                yield parts_of(published, who).get(who, {}), batch.state == State.ACTIVE


def _facts(site: Site, who: Address, chain: bool) -> tuple[Wei, dict[Hash32, Known]]:
    with site.reading() as connection:
        known = _known(connection, who)
    return (site.onchain.credited([who])[0] if chain else Wei(0)), known


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

"""Published documents, read once into the store: from then on an account's statement is a look-up."""

from __future__ import annotations

from oracle.settlement.statement import Known, Part, Parts, Statement, combined, parts_of
from oracle.store import earnings
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.earnings import Earned
from oracle.types import Address, ChainId, Hash32, Wei

_LOOKED_AT = 100  # some may not be here yet
NAMED = 20  # receipts that a look-up names for each contribution and document; all of them stand in the document


def read_new(database: Database, blobs: Blobs, chain: ChainId, most: int) -> int:
    """Reads up to so many documents that nobody has read; says how many it read."""
    with database.reading() as connection:
        waiting = earnings.unread(connection, chain, _LOOKED_AT)
    done = 0
    for document in waiting:
        if done == most:
            break
        if not blobs.has(document):
            continue
        with blobs.open(document) as published:
            found = parts_of(published, most_receipts=NAMED)
        told = (
            Earned(account, name, part.influenced, part.lost, Wei(part.earned), part.paid, tuple(part.receipts))
            for account, parts in found.items()
            for name, part in parts.items()
        )
        with database.transaction() as connection:
            earnings.put(connection, document, told)
        done += 1
    return done


def looked_up(
    database: Database, chain: ChainId, account: Address, known: dict[Hash32, Known], credited: Wei
) -> Statement:
    """The account's statement, from what was read. Its receipts are the newest ones alone."""
    with database.reading() as connection:
        rows = list(earnings.of(connection, chain, account))
    said = combined(account, [(_parts(one), active) for one, _, active in rows], known, credited)
    for line in said.lines:
        del line.receipts[:-NAMED]
    return said


def _parts(one: Earned) -> Parts:
    return {one.name: Part(one.influenced, one.lost, one.earned, one.paid, list(one.receipts))}

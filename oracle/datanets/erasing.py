"""Erasure: rows vanish from our stores for ever, and the record of what they touched remains.

Of a private contribution the key is destroyed, and with it every copy of its bytes, wherever one lies. Published rows
are deleted here; who fetched them before is beyond anybody's reach, which docs/datanets.md says plainly. Where only
some rows are erased, the others are published anew, each erased one as its hash: the root on chain can still be
checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from sqlalchemy import Connection

from oracle.datanets import calls
from oracle.datanets.announcing import Plan
from oracle.datanets.calls import Call
from oracle.datanets.canonical import keccak
from oracle.datanets.collecting import erased_line, hash_of_line
from oracle.datanets.limits import DEFAULT
from oracle.datanets.lines import lines
from oracle.datanets.merkle import NotInTree
from oracle.datanets.publishing import clear, terms_of
from oracle.datanets.stores import Stores
from oracle.store import contributions, erasures, references, rows, snapshots
from oracle.store.contributions import Contribution
from oracle.store.database import Database
from oracle.store.erasures import WHOLE, Erasure
from oracle.store.snapshots import Snapshot, Use
from oracle.types import Cid, ContributionId, Hash32, RowHash

_LONGEST = 8 * DEFAULT.row_bytes


def rows_hash(hashes: list[RowHash]) -> Hash32:
    """What a request is about: zero for everything, else the hash over the rows' hashes in ascending order."""
    return WHOLE if not hashes else Hash32(keccak(b"".join(sorted(hashes))))


def ask(connection: Connection, given: Contribution, hashes: list[RowHash], plan: Plan | None) -> Hash32:
    """The contributor's request; the notice on chain is planned with it where the contributor's wallet is ours."""
    held = {chunk.hash_of(at) for chunk in rows.chunks(connection, given.key) for at in range(chunk.count)}
    for row in hashes:
        if row not in held:
            raise NotInTree(f"row {row.hex()}: is not in contribution {given.key.hex()}")
    what = rows_hash(hashes)
    erasures.request(connection, Hash32(given.name or given.key), what, b"".join(sorted(hashes)) or None, None)
    if plan is not None and given.name is not None:
        data = calls.request_erasure(terms_of(given), what)
        plan(connection, Call(f"erasure:{given.name.hex()}:{what.hex()}", data, "notice of an erasure"))
    return what


def erase_requested(database: Database, stores: Stores) -> int:
    """Carries out every request whose rows are known; says how many."""
    with database.reading() as connection:
        waiting = [each for each in erasures.requested(connection) if each.rows_hash == WHOLE or each.rows is not None]
        waiting = [each for each in waiting if contributions.is_named(connection, ContributionId(each.contribution))]
    for each in waiting:
        with database.reading() as connection:
            given = contributions.named(connection, ContributionId(each.contribution))
        if each.rows_hash == WHOLE:
            _whole(database, stores, given, each)
        else:
            _some(database, stores, given, each)
    return len(waiting)


def erased_rows(connection: Connection, contribution: Contribution) -> frozenset[RowHash] | None:
    """Which rows of a contribution are not to be used any more; None stands for all of them."""
    asked = erasures.erasures_of(connection, Hash32(contribution.name or contribution.key))
    if any(each.rows_hash == WHOLE for each in asked):
        return None
    return frozenset(row for each in asked for row in each.rows or ())


def touched(connection: Connection, given: Contribution) -> tuple[list[Snapshot], list[Use]]:
    """Which versions hold rows of it, and which models were trained on those."""
    held = snapshots.with_contribution(connection, given.key)
    versions = [each.version for each in held if each.version is not None]
    return held, snapshots.uses_of(connection, given.datanet, versions)


def _whole(database: Database, stores: Stores, given: Contribution, request: Erasure) -> None:
    if given.seal is not None:
        stores.vault.destroy(given.seal)
    _delete(database, stores, given, given.blob)
    clear(database, stores, given)
    with database.transaction() as connection:
        contributions.note(connection, given.key, erased=True)
        erasures.done(connection, request.contribution, request.rows_hash)


def _some(database: Database, stores: Stores, given: Contribution, request: Erasure) -> None:
    """The new blob first, then the record that points to it and remembers the old one; then the old bytes go."""
    assert request.rows is not None
    old_blob, old_seal = request.blob, request.seal
    if request.state == "requested":
        assert given.blob is not None
        old_blob, old_seal = given.blob, given.seal
        # A destroyed key stays destroyed: what is left gets one of its own.
        seal = None if old_seal is None else Hash32(keccak(old_seal + request.rows_hash))
        with stores.rows(stores.published, old_blob, old_seal) as content:
            left = stores.put_rows(stores.published, _without(content, set(request.rows)), seal)
        with database.transaction() as connection:
            contributions.note(connection, given.key, blob=left, seal=seal)
            old_blob = None if left == old_blob else old_blob
            erasures.rewritten(connection, request.contribution, request.rows_hash, old_blob, old_seal)
    if old_seal is not None:
        stores.vault.destroy(old_seal)
    _delete(database, stores, given, old_blob)
    with database.transaction() as connection:
        erasures.done(connection, request.contribution, request.rows_hash)


def _delete(database: Database, stores: Stores, given: Contribution, blob: Cid | None) -> None:
    """The same bytes may be somebody else's too, who did not ask: whoever copies rows cannot erase the original."""
    if blob is None:
        return
    with database.reading() as connection:
        needed = references.is_needed(connection, blob, given.key)
    if not needed:
        stores.published.delete(blob)


def _without(content: BinaryIO, gone: set[RowHash]) -> Iterator[bytes]:
    for line, _ in lines(content, _LONGEST):
        assert line is not None
        hash_ = hash_of_line(line)
        yield (erased_line(hash_) if hash_ in gone else line) + b"\n"

"""seen → on_chain: the bytes of a contribution are here, and they are those whose root is on chain.

What cannot be fetched is asked for again later and holds nobody up; what does not match says precisely where.
"""

from __future__ import annotations

from oracle.datanets.canonical import row_hash
from oracle.datanets.kinds import Kind
from oracle.datanets.limits import DEFAULT
from oracle.datanets.lines import lines
from oracle.datanets.manifest import BadManifest, Manifest, read_manifest
from oracle.datanets.merkle import rows_root
from oracle.datanets.publishing import manifest_cid
from oracle.datanets.stores import Stores
from oracle.errors import NeedsPerson
from oracle.store import contributions
from oracle.store.blobs import MissingBlob
from oracle.store.contributions import Contribution
from oracle.store.database import Database
from oracle.types import RowHash

_LONGEST = 8 * DEFAULT.row_bytes  # canonical form may write a byte in six


class _Mismatch(Exception):
    pass


def collect(database: Database, stores: Stores, given: Contribution) -> str:
    """Says what it is now. Raises MissingBlob where the bytes are nowhere to be found yet; it then stays `seen`, and
    says why."""
    assert given.rows_root is not None
    try:
        manifest = _manifest(stores, given)
        # The key of private rows is kept under what the contribution was called before its rows were known.
        seal = (given.seal or given.name) if manifest.private else None
        hashes = _hashes(stores, manifest, seal)
        root = rows_root(given.contributor, hashes)
        if len(hashes) != given.count:
            raise _Mismatch(f"its blob {manifest.blob} holds {len(hashes)} rows, the chain says {given.count}")
        if root != given.rows_root:
            raise _Mismatch(
                f"the rows of its blob {manifest.blob} have the root {root.hex()},"
                f" the chain says {given.rows_root.hex()}"
            )
    except MissingBlob as error:
        with database.transaction() as connection:
            contributions.note(connection, given.key, reason=str(error))
        raise
    except (_Mismatch, NeedsPerson) as error:
        with database.transaction() as connection:
            contributions.move(connection, given.key, "mismatched", reason=str(error))
        return "mismatched"
    with database.transaction() as connection:
        contributions.move(
            connection,
            given.key,
            "on_chain",
            reason=None,
            blob=manifest.blob,
            manifest=manifest.as_json(),
            seal=seal,
            private=manifest.private,
            licence=manifest.licence,
        )
    return "on_chain"


def look_again(database: Database, given: Contribution) -> None:
    """A person has restored the bytes."""
    with database.transaction() as connection:
        contributions.move(connection, given.key, "seen", reason=None)


def _manifest(stores: Stores, given: Contribution) -> Manifest:
    found = read_manifest(stores.published.read(manifest_cid(given)))
    assert given.rows_root is not None
    said = (found.datanet, found.contributor, found.kind, found.count, found.rows_root)
    known = Kind(given.kind).word if given.kind in set(Kind) else str(given.kind)
    chain = (given.datanet, given.contributor, known, given.count, "0x" + given.rows_root.hex())
    for name, here, there in zip(("datanet", "contributor", "kind", "count", "rows_root"), said, chain):
        if here != there:
            raise BadManifest(f"its manifest says {name} {here}, the chain says {there}")
    return found


def _hashes(stores: Stores, manifest: Manifest, seal: bytes | None) -> list[RowHash]:
    found: list[RowHash] = []
    with stores.rows(stores.published, manifest.blob, seal) as content:  # type: ignore[arg-type]
        for line, ended in lines(content, _LONGEST):
            if line is None:
                raise _Mismatch(f"line {len(found) + 1} of its blob {manifest.blob} is longer than any row")
            if not ended:
                raise _Mismatch(f"its blob {manifest.blob} ends in the middle of line {len(found) + 1}")
            if len(found) == manifest.count:
                raise _Mismatch(f"its blob {manifest.blob} goes on after its {manifest.count} rows")
            found.append(hash_of_line(line))
    return found


def hash_of_line(line: bytes) -> RowHash:
    """Of a row; or the hash that stands where a row was erased."""
    if line.startswith(_ERASED) and len(line) == len(_ERASED) + 66:
        try:
            return RowHash(bytes.fromhex(line[len(_ERASED) : -2].decode()))
        except ValueError:
            pass
    return row_hash(line)


def erased_line(row: RowHash) -> bytes:
    return _ERASED + row.hex().encode() + b'"}'


_ERASED = b'{"erased":"0x'

"""A snapshot: every accepted row of a datanet in the order in which it came, with its owner, its cluster and its split.

It is a pure function of what was settled, of the policy and of what was erased: whoever has the published bytes makes
the same one. Splits hang on the cluster alone, so that no near duplicate is on both sides, in this version or the
next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import orjson
from sqlalchemy import Connection

from oracle.datanets import calls
from oracle.datanets.announcing import Plan
from oracle.datanets.calls import Call
from oracle.datanets.canonical import canonical
from oracle.datanets.erasing import erased_rows
from oracle.datanets.kinds import Kind
from oracle.datanets.merkle import row_leaf, tree_root
from oracle.datanets.policy import Policy
from oracle.datanets.stores import Stores
from oracle.datanets.verdicts import Verdict
from oracle.errors import NeedsPerson
from oracle.store import contributions, datanets, rows, snapshots
from oracle.store.contributions import Contribution
from oracle.store.database import Database
from oracle.store.snapshots import Snapshot
from oracle.types import Address, ContributionId, DatanetId, Hash32, RowHash

TRAIN, VALIDATION, HELD_OUT, EVALUATION = "train", "validation", "held-out", "evaluation"
_USED = frozenset({Kind.TRAINING_ROW, Kind.DOCUMENT, Kind.CORRECTION, Kind.EVALUATION_ITEM})
_AT_ONCE = 4096


class NothingToSnapshot(NeedsPerson):
    """Not one row is settled."""


@dataclass(frozen=True)
class SnapshotRow:
    """One row: whose it is by its bytes, and who holds the credit of its cluster."""

    hash: RowHash
    contribution: ContributionId
    row: int
    contributor: Address
    owner: Address
    cluster: Hash32
    split: str
    kind: str

    def as_line(self) -> bytes:
        told = {
            "contribution": "0x" + self.contribution.hex(),
            "contributor": self.contributor,
            "hash": "0x" + self.hash.hex(),
            "kind": self.kind,
            "row": self.row,
            "split": self.split,
        }
        # What goes without saying is not said: a million rows are mostly clusters of one.
        if bytes(self.cluster) != bytes(self.hash):
            told["cluster"] = "0x" + self.cluster.hex()
        if self.owner != self.contributor:
            told["owner"] = self.owner
        return canonical(told) + b"\n"


def split_of(cluster: Hash32, policy: Policy) -> str:
    """By the cluster's name alone: a row keeps its side for ever."""
    share = int.from_bytes(sha256(b"openledger split" + cluster).digest()[:8], "big") % 1000
    if share < policy.held_out:
        return HELD_OUT
    return VALIDATION if share < policy.held_out + policy.validation else TRAIN


def rows_of(connection: Connection, datanet: DatanetId, policy: Policy) -> Iterator[SnapshotRow]:
    """In their order. Rows that were erased are absent; so are reviews, which nobody trains on."""
    owners: dict[Hash32, Address] = {}  # of clusters with more than one row
    for given in contributions.ranked(connection, datanet):
        if given.state not in ("settled", "included") or given.kind not in _USED:
            continue
        gone = erased_rows(connection, given)
        clusters = {each.row: each.cluster for each in rows.members_of(connection, given.key) if not each.facts_differ}
        founded = rows.founded_by(connection, given.key)
        for chunk in rows.chunks(connection, given.key):
            for at in range(chunk.count):
                if chunk.verdicts[at] != Verdict.ACCEPTED:
                    continue
                hash_, place = chunk.hash_of(at), chunk.first + at
                cluster = clusters.get(place, Hash32(hash_))
                owner = given.contributor
                if place in clusters or place in founded:
                    # The earliest accepted row holds the credit, also after it was erased: nobody inherits it by
                    # copying.
                    owner = owners.setdefault(cluster, given.contributor)
                if gone is None or hash_ in gone:
                    continue
                split = EVALUATION if given.kind == Kind.EVALUATION_ITEM else split_of(cluster, policy)
                yield SnapshotRow(
                    hash_, _name(given), place, given.contributor, owner, cluster, split, Kind(given.kind).word
                )


def holder_in(table: Iterable[bytes], contribution: bytes, row: bytes) -> Address | None:
    """Who holds the credit of a row, by a snapshot's lines; None where it is not among them."""
    for line in table:
        if row.hex().encode() in line:
            told = orjson.loads(line)
            if (told["contribution"], told["hash"]) == ("0x" + contribution.hex(), "0x" + row.hex()):
                return Address(told.get("owner", told["contributor"]))
    return None


def build(database: Database, stores: Stores, datanet: DatanetId, name: str, policy: Policy) -> Snapshot:
    """The next one; asked again for the same name, the same one."""
    with database.reading() as connection:
        made = [each for each in snapshots.snapshots_of(connection, datanet) if each.name == name]
        if made:
            return made[0]
        leaves: list[bytes] = []
        counted: dict[Hash32, int] = {}
        splits: dict[str, int] = {}
        cid = stores.published.put_stream(_lines(rows_of(connection, datanet, policy), leaves, counted, splits))
        if not leaves:
            raise NothingToSnapshot(
                f"datanet {datanet}: no accepted row is settled yet; `openledger datanet show {datanet}`"
            )
        accumulator = _reached(connection, datanet)
        keys = {contributions.named(connection, ContributionId(each)).key: count for each, count in counted.items()}
        before = snapshots.snapshots_of(connection, datanet)
        policy_hash = datanets.get_datanet(connection, datanet).policy
    root = tree_root(leaves)
    number = before[-1].number + 1 if before else 1
    manifest = canonical(
        {
            "accumulator": "0x" + accumulator.hex(),
            "count": len(leaves),
            "datanet": datanet,
            "format": "openledger-snapshot/1",
            "name": name,
            "number": number,
            "policy": "0x" + policy_hash.hex(),
            "previous": "0x" + (before[-1].root if before else bytes(32)).hex(),
            "root": "0x" + root.hex(),
            "rows": cid,
            "splits": splits,
        }
    )
    stores.published.put(manifest)
    with database.transaction() as connection:
        datanets.get_datanet(connection, datanet, lock=True)
        made = [each for each in snapshots.snapshots_of(connection, datanet) if each.name == name]
        if made:
            return made[0]
        found = snapshots.put_snapshot(
            connection,
            datanet,
            keys,
            number=number,
            name=name,
            root=root,
            count=len(leaves),
            manifest_hash=Hash32(sha256(manifest).digest()),
            manifest=manifest,
            rows=cid,
            accumulator=accumulator,
        )
        for key in sorted(keys):
            if contributions.get(connection, key).state == "settled":
                contributions.move(connection, key, "included")
        return found


def announce(connection: Connection, made: Snapshot, plan: Plan) -> None:
    """built → announced."""
    data = calls.publish_snapshot(made.datanet, made.root, made.count, made.manifest_hash, made.accumulator)
    purpose = f"snapshot {made.name} of datanet {made.datanet}: {made.count} rows"
    plan(connection, Call(f"snapshot:{made.datanet}:{made.number}", data, purpose))
    snapshots.move(connection, made.id, "announced")


def _lines(
    found: Iterator[SnapshotRow], leaves: list[bytes], counted: dict[Hash32, int], splits: dict[str, int]
) -> Iterator[bytes]:
    held: list[bytes] = []
    for row in found:
        leaves.append(row_leaf(row.contributor, row.hash))
        counted[Hash32(row.contribution)] = counted.get(Hash32(row.contribution), 0) + 1
        splits[row.split] = splits.get(row.split, 0) + 1
        held.append(row.as_line())
        if len(held) == _AT_ONCE:
            yield b"".join(held)
            held.clear()
    yield b"".join(held)


def _reached(connection: Connection, datanet: DatanetId) -> Hash32:
    """How far into the log the snapshot reaches: all that was heard of it. The registry takes the head or a
    checkpoint."""
    return datanets.get_datanet(connection, datanet).accumulator


def _name(given: Contribution) -> ContributionId:
    assert given.name is not None
    return given.name

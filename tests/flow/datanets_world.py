"""A datanet with a steward, reviewers and contributors on a registry that this file plays: calls planned become final
events.

The registry's state lies in the same database, so that a process that is killed loses nothing that a chain would keep.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_account import Account
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
    update,
)
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.dialects import postgresql, sqlite

from oracle.datanets import announcing, calls, deciding, hearing, publishing, snapshotting
from oracle.datanets.calls import Call, Terms
from oracle.datanets.canonical import keccak
from oracle.datanets.kinds import Kind
from oracle.datanets.pipeline import Pipeline
from oracle.datanets.policy import Policy
from oracle.datanets.stores import Stores
from oracle.datanets.verdicts import Verdict
from oracle.store import contributions, datanets, rows, snapshots
from oracle.store.blobs import Blobs
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.vault import Vault, create_master_key
from oracle.types import Address, ChainId, Cid, DatanetId, Hash32, Timestamp

CHAIN = ChainId(31337)
REGISTRY = Address("0x052de04022b2550a01001a9Cc2407587024B0527")
DATANET = DatanetId(1)
NOW = 1_800_000_000
DEADLINE = 1_900_000_000


def account(name: str) -> Any:
    return Account.from_key(keccak(name.encode()))


OPERATOR, CONTRIBUTOR, COPIER, REVIEWER = (account(name) for name in ("operator", "contributor", "copier", "reviewer"))

_OWN = MetaData()
PLANNED = Table(
    "played_calls",
    _OWN,
    Column("key", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("mined", Boolean, nullable=False),
)


def plan(connection: Connection, call: Call) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    number = len(connection.execute(select(PLANNED.c.key)).all())
    row = {"key": call.key, "number": number, "data": call.data, "mined": False}
    connection.execute(dialect.insert(PLANNED).values(row).on_conflict_do_nothing())
    kept = connection.execute(select(PLANNED.c.data).where(PLANNED.c.key == call.key)).scalar_one()
    assert bytes(kept) == call.data, f"{call.key} was planned with another content"


@dataclass(frozen=True)
class Heard:
    name: str
    args: Mapping[str, Any]
    block: int


class Killed(BaseException):
    """Stands for the end of the process; nothing may catch it."""


@dataclass
class Faults:
    """Counts the places where a process may be killed, and kills at one of them."""

    at: int | None = None
    really: bool = False
    passed: int = 0

    def edge(self) -> None:
        self.passed += 1
        if self.passed - 1 == self.at:
            if self.really:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Killed(self.at)


def _changes(statement: str) -> bool:
    return statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE")


class FaultyDatabase(Database):
    faults: Faults

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        wrote = []
        with super().transaction() as connection:
            sqlalchemy_event.listen(connection, "after_cursor_execute", lambda *given: wrote.append(_changes(given[2])))
            yield connection
            if any(wrote):
                self.faults.edge()  # everything is written, nothing is committed
        if any(wrote):
            self.faults.edge()


class FaultyBlobs(Blobs):
    def __init__(self, url: str, faults: Faults) -> None:
        super().__init__(url)
        self._faults = faults

    def put(self, content: bytes) -> Cid:
        self._faults.edge()
        return super().put(content)

    def put_stream(self, pieces: Iterable[bytes]) -> Cid:
        cid = super().put_stream(pieces)
        self._faults.edge()
        return cid

    def delete(self, cid: Cid) -> None:
        super().delete(cid)
        self._faults.edge()


@dataclass
class World:
    database: Database
    folder: Path
    faults: Faults = field(default_factory=Faults)
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        faulty = FaultyDatabase.__new__(FaultyDatabase)
        faulty.__dict__.update(self.database.__dict__)
        faulty.faults = self.faults
        if self.database.is_sqlite:  # a killed process loses nothing by this, only a failing disk would
            _fast(self.database.engine)
        self.database = faulty
        key = self.folder / "keys" / "master"
        if not key.exists():
            create_master_key(key)
        self.vault = Vault(str(self.folder / "keys" / "rows"), key)
        self.stores = Stores(
            FaultyBlobs(str(self.folder / "blobs"), self.faults),
            FaultyBlobs(str(self.folder / "spool"), self.faults),
            self.vault,
        )
        self.pipeline = Pipeline(
            self.database, self.stores, CHAIN, REGISTRY, plan, Address(OPERATOR.address), lambda: NOW
        )

    def create(self) -> World:
        METADATA.create_all(self.database.engine)
        _OWN.create_all(self.database.engine)
        self.stores.published.put(self.policy.as_json())
        created = {
            "datanet": DATANET, "steward": OPERATOR.address, "policyHash": self.policy.hash, "name": "Support",
            "licence": "CC-BY-4.0", "datatype": "text", "bond": 0,
        }  # fmt: skip
        self.hear("DatanetCreated", created)
        self.hear("ReviewerSet", {"datanet": DATANET, "reviewer": REVIEWER.address, "active": True})
        self.hear("QuorumSet", {"datanet": DATANET, "quorum": 1})
        return self

    def forget(self) -> None:
        """The registry too begins anew."""
        _OWN.drop_all(self.database.engine)

    # What people do; each may be done again

    def upload(self, who: Any, content: bytes, name: str = "rows.jsonl", kind: Kind = Kind.TRAINING_ROW) -> Hash32:
        return publishing.receive(
            self.database,
            self.stores,
            iter([content]),
            contributor=Address(who.address),
            datanet=DATANET,
            kind=kind,
            private=self.policy.private,
            file=name,
            licence="CC-BY-4.0",
        )

    def sign(self, who: Any, key: Hash32) -> None:
        with self.database.reading() as connection:
            given = contributions.get(connection, key)
        if given.state != "published":
            return
        digest = publishing.terms_of(given).digest(DEADLINE, CHAIN, REGISTRY)
        signature = bytes(Account.unsafe_sign_hash(digest, who.key).signature)
        with self.database.transaction() as connection:
            announcing.sign(connection, key, DEADLINE, signature, CHAIN, REGISTRY)

    def review(self, decision: Callable[[rows.Reason], bool]) -> None:
        with self.database.reading() as connection:
            checked = contributions.in_state(connection, "checked")
        for given in sorted(checked, key=lambda each: each.rank or 0):
            with self.database.reading() as connection:
                held = rows.reasons(connection, given.key, Verdict.HELD)
            for each in held:
                if each.code != "waits_for_earlier":
                    with self.database.transaction() as connection:
                        deciding.review(
                            connection,
                            given,
                            self.policy,
                            each.row,
                            decision(each),
                            "looked at",
                            Address(REVIEWER.address),
                            Timestamp(NOW),
                        )

    def sign_outcomes(self) -> None:
        with self.database.reading() as connection:
            decided = contributions.in_state(connection, "decided")
        for given in decided:
            digest = deciding.outcome_of(given).digest(DATANET, CHAIN, REGISTRY)
            signature = bytes(Account.unsafe_sign_hash(digest, REVIEWER.key).signature)
            with self.database.transaction() as connection:
                deciding.sign_outcome(connection, given, signature, CHAIN, REGISTRY)

    def snapshot(self, name: str) -> snapshots.Snapshot:
        made = snapshotting.build(self.database, self.stores, DATANET, name, self.policy)
        with self.database.transaction() as connection:
            if snapshots.get_snapshot(connection, DATANET, made.number).state == "built":
                snapshotting.announce(connection, made, plan)
        return made

    def run(self) -> None:
        """Until nothing moves any more, here or on the registry."""
        while True:
            self.pipeline.run()
            if not self.mine():
                return

    # The registry

    def mine(self) -> int:
        """Every call that is planned takes its effect, in the order in which they were planned."""
        done = 0
        while True:
            with Database.transaction(self.database) as connection:
                row = connection.execute(select(PLANNED).where(~PLANNED.c.mined).order_by(PLANNED.c.number)).first()
                if row is None:
                    return done
                for event in _effects(connection, bytes(row.data)):
                    hearing.hear(connection, event)
                connection.execute(update(PLANNED).where(PLANNED.c.key == row.key).values(mined=True))
                done += 1

    def hear(self, name: str, args: Mapping[str, Any]) -> None:
        with Database.transaction(self.database) as connection:
            hearing.hear(connection, Heard(name, args, 1))

    def hear_contribution(self, terms: Terms) -> None:
        """Somebody else's, who never used this oracle."""
        self.hear("Contributed", _contributed(terms))

    # What came of it

    def state(self) -> dict[str, Any]:
        """All that matters, without what differs from run to run by nature (sealed bytes)."""
        with self.database.reading() as connection:
            given = contributions.in_state(connection, *contributions.STATES)
            given.sort(key=lambda each: (each.place is None, each.place))
            private = self.policy.private
            left_out = {"source", "deadline", "signature", "intent"} | (
                {"blob", "manifest", "manifest_hash", "name", "key", "reasons_hash", "recorded"} if private else set()
            )
            found = {
                "contributions": [{k: _plain(v) for k, v in vars(each).items() if k not in left_out} for each in given],
                "chunks": [_plain(vars(chunk)) for each in given for chunk in rows.chunks(connection, each.key)],
                "members": [_plain(vars(member)) for each in given for member in rows.members_of(connection, each.key)],
                "reasons": [_plain(vars(reason)) for each in given for reason in rows.reasons(connection, each.key)],
                "founders": [_plain(vars(chunk)) for chunk in rows.founders_from(connection, DATANET, 0)],
                "snapshots": [_plain({**vars(each), "id": 0}) for each in snapshots.snapshots_of(connection, DATANET)],
                "datanet": _plain(vars(datanets.get_datanet(connection, DATANET))),
                "calls": [row.key for row in connection.execute(select(PLANNED.c.key).order_by(PLANNED.c.key))],
            }
        # Sealed bytes differ each time, and with them the manifest and the registry's name for it.
        return {name: value for name, value in found.items() if not private or name not in _NAMED}

    def contribution(self, key: Hash32) -> contributions.Contribution:
        with self.database.reading() as connection:
            return contributions.get(connection, key)

    def verdicts(self, key: Hash32) -> list[str]:
        """The code of each row."""
        from oracle.datanets.verdicts import CODES

        with self.database.reading() as connection:
            return [CODES[code][0] for chunk in rows.chunks(connection, key) for code in chunk.codes]


_NAMED = ("snapshots", "datanet", "calls")


def _fast(engine: Engine) -> None:
    @sqlalchemy_event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")


def jsonl(*pairs: tuple[str, str]) -> bytes:
    return b"".join(json.dumps({"prompt": p, "completion": c}, ensure_ascii=False).encode() + b"\n" for p, c in pairs)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def _contributed(terms: Terms) -> dict[str, Any]:
    return {
        "datanet": terms.datanet, "contributor": terms.contributor, "contribution": terms.name, "kind": terms.kind,
        "count": terms.count, "rowsRoot": terms.rows_root, "manifestHash": terms.manifest_hash,
    }  # fmt: skip


_TYPES = {
    "contribute": "uint256,uint8,bytes32,uint256,bytes32",
    "contributeMany": "uint256,(uint256,bytes32,bytes32,bytes32,bytes32)[],bool",
    "recordOutcomes": "uint256,(bytes32,bytes32,uint256,bytes32)[],bytes",
    "publishSnapshot": "uint256,bytes32,uint256,bytes32,bytes32",
    "requestErasure": "(address,uint256,uint8,bytes32,uint256,bytes32),bytes32",
}


def _effects(connection: Connection, data: bytes) -> list[Heard]:
    """The events of a call, as the contracts emit them."""
    for name, types in _TYPES.items():
        if keccak(f"{name}({types})".encode())[:4] == data[:4]:
            values = decode(calls._split(types), data[4:])
            return [Heard(*event, 1) for event in _PLAYED[name](connection, *values)]
    raise AssertionError("a call that the registry does not have")


Played = list[tuple[str, dict[str, Any]]]


def _play_contribute(
    connection: Connection, datanet: int, kind: int, root: bytes, count: int, manifest: bytes
) -> Played:
    terms = Terms(Address(OPERATOR.address), DatanetId(datanet), kind, Hash32(root), count, Hash32(manifest))
    return [("Contributed", _contributed(terms))]


def _play_many(connection: Connection, datanet: int, items: Any, all_: bool) -> Played:
    reached = datanets.get_datanet(connection, DatanetId(datanet)).accumulator
    kept = [{"head": head, "rowsRoot": root, "manifestHash": manifest} for head, root, manifest, _, _ in items]
    for item in kept:
        reached = calls.extend(reached, calls.relayed(DatanetId(datanet), item).name)
    args = {"datanet": datanet, "relayer": OPERATOR.address, "accumulator": reached, "contributions": kept}
    return [("ContributionsRelayed", args)]


def _play_outcomes(connection: Connection, datanet: int, outcomes: Any, signatures: bytes) -> Played:
    assert len(signatures) == 65
    return [
        (
            "OutcomeRecorded",
            {
                "datanet": datanet,
                "contribution": name,
                "acceptedRoot": root,
                "acceptedCount": count,
                "reasonsHash": why,
            },
        )
        for name, root, count, why in outcomes
    ]


def _play_snapshot(
    connection: Connection, datanet: int, root: bytes, count: int, manifest: bytes, accumulator: bytes
) -> Played:
    version = sum(each.version is not None for each in snapshots.snapshots_of(connection, DatanetId(datanet))) + 1
    args = {
        "datanet": datanet,
        "version": version,
        "root": root,
        "count": count,
        "manifestHash": manifest,
        "accumulator": accumulator,
    }
    return [("SnapshotPublished", args)]


def _play_erasure(connection: Connection, contribution: Any, what: bytes) -> Played:
    author, datanet, kind, root, count, manifest = contribution
    terms = Terms(calls.checksummed(bytes.fromhex(author[2:])), datanet, kind, root, count, manifest)
    args = {"datanet": datanet, "contribution": terms.name, "contributor": terms.contributor, "rowsHash": what}
    return [("ErasureRequested", args)]


_PLAYED: Mapping[str, Callable[..., Played]] = {
    "contribute": _play_contribute,
    "contributeMany": _play_many,
    "recordOutcomes": _play_outcomes,
    "publishSnapshot": _play_snapshot,
    "requestErasure": _play_erasure,
}

"""A datanet with generated documents in a store of its own: the registry's events are given, all else is real."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.datanets import deciding, hearing, publishing, snapshotting
from oracle.datanets.kinds import Kind
from oracle.datanets.pipeline import Pipeline
from oracle.datanets.policy import Policy
from oracle.datanets.stores import Stores
from oracle.store import contributions
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.types import Address, ChainId, DatanetId

DATANET = DatanetId(1)
OWNER = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
# Generated rows share their template, and differ in the facts alone.
POLICY = Policy(near="accept", secrets="accept", phone="accept", ip="accept", ssn="accept", card="accept")


@dataclass(frozen=True)
class Event:
    name: str
    args: Mapping[str, Any]
    block: int = 1


def filled(folder: Path, documents: Sequence[str]) -> tuple[Database, Stores]:
    """All of them accepted, settled and in a snapshot."""
    database = Database(f"sqlite:///{folder}/ledger.db")
    database.upgrade()
    stores = Stores(Blobs(str(folder / "blobs")), Blobs(str(folder / "spool")))
    stores.published.put(POLICY.as_json())
    pipeline = Pipeline(database, stores, ChainId(1), OWNER, lambda connection, call: None, OWNER, lambda: 0)
    created = {
        "datanet": DATANET, "steward": OWNER, "policyHash": POLICY.hash, "name": "Harbours", "licence": "CC-BY-4.0",
        "datatype": "text",
    }  # fmt: skip
    _hear(database, Event("DatanetCreated", created))
    lines = (json.dumps({"text": text}).encode() + b"\n" for text in documents)
    key = publishing.receive(
        database, stores, lines, contributor=OWNER, datanet=DATANET, kind=Kind.DOCUMENT, private=False,
        file="documents.jsonl", licence="CC-BY-4.0",
    )  # fmt: skip
    pipeline.run()
    with database.reading() as connection:
        terms = publishing.terms_of(contributions.get(connection, key))
    told = {
        "datanet": DATANET, "contributor": OWNER, "contribution": terms.name, "kind": terms.kind, "count": terms.count,
        "rowsRoot": terms.rows_root, "manifestHash": terms.manifest_hash,
    }  # fmt: skip
    _hear(database, Event("Contributed", told))
    pipeline.run()
    with database.reading() as connection:
        given = contributions.get(connection, key)
    outcome = deciding.outcome_of(given)
    _hear(database, Event("OutcomeRecorded", {"datanet": DATANET, **_outcome(outcome)}))
    pipeline.run()
    snapshotting.build(database, stores, DATANET, "first", POLICY)
    return database, stores


def _outcome(outcome: Any) -> dict[str, Any]:
    return {
        "contribution": outcome.contribution,
        "acceptedRoot": outcome.accepted_root,
        "acceptedCount": outcome.accepted_count,
        "reasonsHash": outcome.reasons_hash,
    }


def _hear(database: Database, event: Event) -> None:
    with database.transaction() as connection:
        hearing.hear(connection, event)

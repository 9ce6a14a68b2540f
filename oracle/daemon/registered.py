"""What the registries say of models and contributions, from an index of one's own; and the tables of snapshots, which
are the operator's bytes under names that are on chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from oracle.daemon.ground import Ground
from oracle.daemon.looked_up import Named, OnChain
from oracle.datanets.calls import CONTRACT, Terms, relayed
from oracle.datanets.snapshotting import holder_in
from oracle.settlement.recomputing import Unable
from oracle.settlement.watching import Publisher
from oracle.store.cid import cid_of
from oracle.store.database import Database
from oracle.store.events import Event, events, topic
from oracle.types import Address, ContributionId, DatanetId, Hash32


@dataclass(frozen=True)
class Registered:
    """Without a publisher no snapshot can be asked for."""

    ground: Ground
    publisher: Publisher | None = None
    _tables: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def manifest_of(self, model: int, version: int) -> Hash32 | None:
        """The hash of a version's manifest; None where the registry does not know it."""
        found = self._events("ModelRegistry", "VersionPublished", topic(model), topic(version))
        if not found:
            return None
        artifacts = found[-1].args["artifacts"]
        return Hash32(bytes(artifacts["manifestHash"] if isinstance(artifacts, dict) else artifacts[1]))

    def contribution(self, datanet: DatanetId, name: ContributionId) -> OnChain | None:
        terms = self._terms(datanet, name)
        if terms is None:
            return None
        spoken = self._events(CONTRACT, "OutcomeRecorded", topic(datanet), bytes(name))
        return OnChain(terms, Hash32(spoken[-1].args["acceptedRoot"]) if spoken else None)

    def holder(self, passage: Named, snapshot: int) -> Address | Unable | None:
        table = self._table(passage.datanet, snapshot)
        if isinstance(table, Unable):
            return table
        return holder_in(table.splitlines(), passage.contribution, passage.row)

    def _terms(self, datanet: DatanetId, name: ContributionId) -> Terms | None:
        """Its name is the hash of its terms: what an event says otherwise is of another one."""
        alone = self._events(CONTRACT, "Contributed", topic(datanet), topic3=bytes(name))
        together = self._events(CONTRACT, "ContributionsRelayed", topic(datanet)) if not alone else []
        told = [_alone(event.args) for event in alone]
        told += [relayed(datanet, item) for event in together for item in event.args["contributions"]]
        return next((terms for terms in told if terms.name == name), None)

    def _table(self, datanet: DatanetId, version: int) -> bytes | Unable:
        """The lines of a snapshot, if they are what its manifest names, whose hash is on chain."""
        if (datanet, version) in self._tables:
            return self._tables[datanet, version]
        found = self._events(CONTRACT, "SnapshotPublished", topic(datanet), topic(version))
        if self.publisher is None or not found:
            why = "its operator's server was not given" if found else "the registry has no such version"
            return Unable(f"whose credit a passage is says version {version} of datanet {datanet}; {why}")
        manifest = self.publisher.snapshot(datanet, version, "manifest")
        if manifest is None or sha256(manifest).digest() != found[-1].args["manifestHash"]:
            return b""
        rows = self.publisher.snapshot(datanet, version, "rows")
        if rows is None or cid_of(rows) != orjson.loads(manifest)["rows"]:
            return b""
        self._tables.clear()  # one is enough: they are large
        self._tables[datanet, version] = rows
        return rows

    def _events(
        self, contract: str, name: str, topic1: bytes, topic2: bytes | None = None, topic3: bytes | None = None
    ) -> list[Event]:
        database = Database(self.ground.settings.database)
        try:
            with database.reading() as connection:
                chain = self.ground.rpc.chain
                return events(connection, chain, contract, name, topic1=topic1, topic2=topic2, topic3=topic3)
        finally:
            database.close()


def _alone(args: Mapping[str, Any]) -> Terms:
    return Terms(
        Address(args["contributor"]), DatanetId(args["datanet"]), args["kind"], Hash32(args["rowsRoot"]),
        args["count"], Hash32(args["manifestHash"]),
    )  # fmt: skip

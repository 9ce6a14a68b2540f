"""Which rows may be looked up now. Asked of the store at every question and never remembered: what was erased or
rejected after an index was made is not found any more."""

from __future__ import annotations

from sqlalchemy import Connection

from oracle.datanets.erasing import erased_rows
from oracle.datanets.near import CHUNK
from oracle.datanets.verdicts import Verdict
from oracle.store import contributions, rows
from oracle.store.contributions import Contribution
from oracle.store.rows import Chunk
from oracle.types import ContributionId, RowHash


class Standing:
    """For one question, or one building of an index: within one consistent view of the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._given: dict[ContributionId, Contribution | None] = {}
        self._gone: dict[ContributionId, frozenset[RowHash] | None] = {}
        self._chunks: dict[tuple[ContributionId, int], Chunk | None] = {}

    def holds(self, name: ContributionId, place: int, row: RowHash) -> bool:
        """Accepted, settled and not asked to be erased."""
        given = self.contribution(name)
        if given is None:
            return False
        if name not in self._gone:
            self._gone[name] = erased_rows(self._connection, given)
        gone = self._gone[name]
        if gone is None or row in gone:
            return False
        chunk = self._chunk(given, place // CHUNK)
        at = place % CHUNK
        if chunk is None or not at < chunk.count or chunk.hash_of(at) != row:
            return False
        return chunk.verdicts[at] == Verdict.ACCEPTED

    def contribution(self, name: ContributionId) -> Contribution | None:
        """None where it is unknown, not settled, or erased."""
        if name not in self._given:
            known = contributions.is_named(self._connection, name)
            given = contributions.named(self._connection, name) if known else None
            usable = given is not None and given.state in ("settled", "included") and not given.erased
            self._given[name] = given if usable else None
        return self._given[name]

    def _chunk(self, given: Contribution, number: int) -> Chunk | None:
        assert given.name is not None
        key = given.name, number
        if key not in self._chunks:
            known = number < rows.chunks_done(self._connection, given.key)
            self._chunks[key] = rows.chunk(self._connection, given.key, number) if known else None
        return self._chunks[key]

"""The index of a datanet, from its newest snapshot: only what is new is read and encoded, what is gone is destroyed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import orjson
from sqlalchemy import Connection, select

from oracle.datanets.canonical import canonical
from oracle.datanets.collecting import hash_of_line
from oracle.datanets.kinds import Kind
from oracle.datanets.limits import DEFAULT
from oracle.datanets.lines import lines
from oracle.datanets.stores import Stores
from oracle.retrieval import cutting
from oracle.retrieval.encoding import Encoder
from oracle.retrieval.records import Passage
from oracle.retrieval.segments import FORMAT, Contents, Entry, Segment, Segments
from oracle.retrieval.standing import Standing
from oracle.store import snapshots
from oracle.store.contributions import CONTRIBUTIONS, Contribution
from oracle.store.database import Database
from oracle.store.erasures import ERASURES
from oracle.store.snapshots import Snapshot
from oracle.store.vault import KeyDestroyed
from oracle.types import Address, ContributionId, DatanetId, Hash32, RowHash

log = logging.getLogger(__name__)

ROWS = 512  # of one contribution in a segment
_LONGEST = 8 * DEFAULT.row_bytes


@dataclass(frozen=True)
class Row:
    place: int
    hash: RowHash
    owner: Address
    cluster: Hash32


@dataclass(frozen=True)
class Wanted:
    """A segment that an index of now consists of."""

    entry: Entry
    given: Contribution
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Builder:
    """Without an encoder an index has words alone."""

    database: Database
    stores: Stores
    segments: Segments
    encoder: Encoder | None

    def is_due(self, datanet: DatanetId) -> bool:
        """Whether its index is missing, unfinished, or of something older than what the store has now."""
        with self.database.reading() as connection:
            if not snapshots.snapshots_of(connection, datanet):
                return False
            now = built_from(connection, snapshots.get_snapshot(connection, datanet))
        made = self.segments.contents(datanet)
        return made is None or not made.complete or made.built_from != now or made.encoder != self._encoder

    def build(self, datanet: DatanetId, most: int | None = None) -> int:
        """At most so many new segments; says how many are still to be made. May be killed anywhere and called again."""
        with self.database.reading() as connection:
            made = snapshots.get_snapshot(connection, datanet)
            mark = built_from(connection, made)
            wanted = list(_wanted(connection, self.stores, made, self._encoder))
        missing = [each for each in wanted if not self.segments.has(datanet, each.entry.name)]
        new = missing[:most]
        # Those that are there are found from now on, and what was erased is gone before anything long begins.
        self._list(made, mark, wanted, missing)
        for of_it in _by_contribution(new).values():
            self._make(datanet, of_it)
        if new:
            left = [each for each in missing if not self.segments.has(datanet, each.entry.name)]
            self._list(made, mark, wanted, left)
        return len(missing) - len(new)

    @property
    def _encoder(self) -> str:
        return "" if self.encoder is None else self.encoder.name

    def _list(self, made: Snapshot, mark: Hash32, wanted: Sequence[Wanted], missing: Sequence[Wanted]) -> None:
        """What is found from now on; all else is destroyed. Another encoder's vectors serve until its successor's are
        complete."""
        absent = {each.entry.name for each in missing}
        there = [each.entry for each in wanted if each.entry.name not in absent]
        encoder, listed = self._encoder, there
        before = self.segments.contents(made.datanet)
        if missing and before is not None and before.encoder != encoder:
            encoder = before.encoder
            older = (
                Entry(_name(each.given, each.rows, encoder), each.entry.contribution, each.entry.seal)
                for each in wanted
            )
            listed = [entry for entry in older if self.segments.has(made.datanet, entry.name)]
        contents = Contents(made.datanet, made.number, made.root, mark, encoder, not missing, tuple(listed))
        self.segments.write_contents(contents)
        self.segments.keep_only(made.datanet, [each.name for each in (*there, *listed)])

    def _make(self, datanet: DatanetId, wanted: Sequence[Wanted]) -> None:
        """All of one contribution, by reading it once."""
        given = wanted[0].given
        asked = {row.place: row for each in wanted for row in each.rows}
        texts: dict[int, list[Passage]] = {}
        assert given.blob is not None
        try:
            with self.stores.rows(self.stores.published, given.blob, given.seal) as content:
                for place, (line, _) in enumerate(lines(content, _LONGEST)):
                    row = asked.get(place)
                    # A row that is another one by now was erased meanwhile.
                    if row is not None and line is not None and hash_of_line(line) == row.hash:
                        texts[place] = _passages(given, row, line)
        except KeyDestroyed as error:
            log.warning("%s; it is left out of the index of datanet %d", error, datanet)
        for each in wanted:
            found = tuple(passage for row in each.rows for passage in texts.get(row.place, ()))
            vectors = self.encoder.encode([p.searched for p in found]) if self.encoder is not None and found else None
            if each.entry.seal is None or self.stores.vault.exists(each.entry.seal):
                self.segments.put(datanet, each.entry, Segment(found, vectors))


def built_from(connection: Connection, made: Snapshot) -> Hash32:
    """Changes with every snapshot and every erasure."""
    asked = (
        select(ERASURES.c.contribution, ERASURES.c.rows_hash, ERASURES.c.rows.is_(None))
        .join(CONTRIBUTIONS, CONTRIBUTIONS.c.name == ERASURES.c.contribution)
        .where(CONTRIBUTIONS.c.datanet == made.datanet)
    )
    gone = sorted(f"{bytes(a).hex()} {bytes(b).hex()} {bool(c)}" for a, b, c in connection.execute(asked))
    return Hash32(sha256(canonical([made.number, made.root.hex(), gone])).digest())


def _wanted(connection: Connection, stores: Stores, made: Snapshot, encoder: str) -> Iterator[Wanted]:
    """In the order of the snapshot."""
    standing = Standing(connection)
    held: dict[tuple[ContributionId, int], list[Row]] = {}
    for name, row in _documents(stores, made):
        if standing.holds(name, row.place, row.hash):
            held.setdefault((name, row.place // ROWS), []).append(row)
    for (name, _), rows in held.items():
        given = standing.contribution(name)
        assert given is not None
        yield Wanted(Entry(_name(given, rows, encoder), name, given.seal), given, tuple(rows))


def _documents(stores: Stores, made: Snapshot) -> Iterator[tuple[ContributionId, Row]]:
    """The snapshot's rows that are documents."""
    with stores.published.open(made.rows) as table:
        for line in table:
            told = orjson.loads(line)
            if told["kind"] != Kind.DOCUMENT.word:
                continue
            hash_ = bytes.fromhex(told["hash"][2:])
            cluster = bytes.fromhex(told["cluster"][2:]) if "cluster" in told else hash_
            row = Row(told["row"], RowHash(hash_), Address(told.get("owner", told["contributor"])), Hash32(cluster))
            yield ContributionId(bytes.fromhex(told["contribution"][2:])), row


def _name(given: Contribution, rows: Sequence[Row], encoder: str) -> Hash32:
    """The hash of all that a segment follows from."""
    told = [[row.place, row.hash.hex(), row.owner, row.cluster.hex()] for row in rows]
    seal = None if given.seal is None else given.seal.hex()
    assert given.name is not None
    made_of = [FORMAT, cutting.VERSION, cutting.LONGEST, encoder, given.name.hex(), seal, given.licence, told]
    return Hash32(sha256(canonical(made_of)).digest())


def _passages(given: Contribution, row: Row, line: bytes) -> list[Passage]:
    told = orjson.loads(line)
    assert given.name is not None
    return [
        Passage(
            given.datanet, given.name, row.hash, row.place, part, row.owner, row.cluster,
            given.licence or "", told.get("title", ""), text,
        )
        for part, text in enumerate(cutting.passages(told["text"]))
    ]  # fmt: skip


def _by_contribution(wanted: Sequence[Wanted]) -> Mapping[ContributionId, list[Wanted]]:
    found: dict[ContributionId, list[Wanted]] = {}
    for each in wanted:
        found.setdefault(each.entry.contribution, []).append(each)
    return found

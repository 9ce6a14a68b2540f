"""What became of each row of a contribution: by chunk and column, since there are very many of them.

A chunk holds its row hashes (32 bytes each), its codes (one byte each) and verdicts. Rows that are near duplicates, or
that wait for a reviewer, have a row of their own in a table, because they are asked for one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from oracle.errors import Retry
from oracle.store.columns import METADATA, AddressColumn, HashColumn, Time
from oracle.types import Address, DatanetId, Hash32, RowHash, Timestamp

CHUNKS = Table(
    "row_chunks",
    METADATA,
    Column("contribution", HashColumn, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    Column("verdicts", LargeBinary, nullable=False),
    Column("codes", LargeBinary, nullable=False),
)

# What the index of near duplicates has to be told again after a restart.
FOUNDERS = Table(
    "cluster_founders",
    METADATA,
    Column("datanet", BigInteger, primary_key=True, autoincrement=False),
    Column("rank", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("contribution", HashColumn, nullable=False),
    Column("first", BigInteger, nullable=False),  # the number of its first founder in the index
    Column("count", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
Index("ix_cluster_founders_first", FOUNDERS.c.datanet, FOUNDERS.c.first)

# Rows that are near to an earlier one. A cluster is named by the hash of its founder.
MEMBERS = Table(
    "cluster_members",
    METADATA,
    Column("contribution", HashColumn, primary_key=True),
    Column("row", BigInteger, primary_key=True, autoincrement=False),
    Column("datanet", BigInteger, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("hash", HashColumn, nullable=False),
    Column("cluster", HashColumn, nullable=False),
    Column("founder_contribution", HashColumn, nullable=False),
    Column("founder_row", BigInteger, nullable=False),
    Column("share", BigInteger, nullable=False),
    Column("facts_differ", Boolean, nullable=False),
)
Index("ix_cluster_members_cluster", MEMBERS.c.datanet, MEMBERS.c.cluster)
Index("ix_cluster_members_founder", MEMBERS.c.founder_contribution, MEMBERS.c.founder_row)

# Rows against which something stands, with the words of it; held ones wait here for a decision.
REASONS = Table(
    "row_reasons",
    METADATA,
    Column("contribution", HashColumn, primary_key=True),
    Column("row", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", HashColumn, nullable=False),
    Column("verdict", BigInteger, nullable=False),
    Column("code", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("decided_by", AddressColumn),
    Column("decided_at", Time),
)
Index("ix_row_reasons_verdict", REASONS.c.contribution, REASONS.c.verdict)


class ChunkTaken(Retry):
    """Another worker has written this chunk already."""


@dataclass(frozen=True)
class Chunk:
    contribution: Hash32
    number: int
    first: int
    hashes: bytes
    verdicts: bytes
    codes: bytes

    @property
    def count(self) -> int:
        return len(self.codes)

    def hash_of(self, row: int) -> RowHash:
        return RowHash(self.hashes[32 * row : 32 * row + 32])


@dataclass(frozen=True)
class FounderChunk:
    datanet: DatanetId
    rank: int
    number: int
    contribution: Hash32
    first: int
    count: int
    content: bytes


@dataclass(frozen=True)
class Member:
    contribution: Hash32
    row: int
    datanet: DatanetId
    rank: int
    hash: RowHash
    cluster: Hash32
    founder_contribution: Hash32
    founder_row: int
    share: int
    facts_differ: bool


@dataclass(frozen=True)
class Reason:
    contribution: Hash32
    row: int
    hash: RowHash
    verdict: int
    code: str
    detail: str
    decided_by: Address | None = None
    decided_at: Timestamp | None = None


def put_chunk(
    connection: Connection,
    chunk: Chunk,
    founders: FounderChunk | None,
    members: Sequence[Member],
    reasons: Sequence[Reason],
) -> None:
    """All of one chunk, or nothing; a second writer of it fails."""
    connection.execute(insert(CHUNKS).values(**vars(chunk), count=chunk.count))
    if founders is not None:
        connection.execute(insert(FOUNDERS).values(**vars(founders)))
    if members:
        connection.execute(insert(MEMBERS), [vars(member) for member in members])
    if reasons:
        connection.execute(insert(REASONS), [vars(reason) for reason in reasons])


def chunks_done(connection: Connection, contribution: Hash32) -> int:
    asked = select(func.count()).select_from(CHUNKS).where(CHUNKS.c.contribution == contribution)
    return connection.execute(asked).scalar_one()


def chunks(connection: Connection, contribution: Hash32) -> list[Chunk]:
    asked = select(CHUNKS).where(CHUNKS.c.contribution == contribution).order_by(CHUNKS.c.number)
    return [
        Chunk(row.contribution, row.number, row.first, bytes(row.hashes), bytes(row.verdicts), bytes(row.codes))
        for row in connection.execute(asked)
    ]


def chunk(connection: Connection, contribution: Hash32, number: int, lock: bool = False) -> Chunk:
    """`lock`: whoever changes its verdicts reads them first, and nobody else may meanwhile."""
    asked = select(CHUNKS).where(CHUNKS.c.contribution == contribution, CHUNKS.c.number == number)
    row = connection.execute(asked.with_for_update() if lock else asked).one()
    return Chunk(row.contribution, row.number, row.first, bytes(row.hashes), bytes(row.verdicts), bytes(row.codes))


def put_verdicts(connection: Connection, chunk: Chunk) -> None:
    """Decisions change a chunk's verdicts and codes, never its rows."""
    connection.execute(
        update(CHUNKS)
        .where(CHUNKS.c.contribution == chunk.contribution, CHUNKS.c.number == chunk.number)
        .values(verdicts=chunk.verdicts, codes=chunk.codes)
    )


def founders_from(connection: Connection, datanet: DatanetId, first: int) -> list[FounderChunk]:
    """In the order of the index, from a founder on."""
    asked = select(FOUNDERS).where(FOUNDERS.c.datanet == datanet, FOUNDERS.c.first >= first, FOUNDERS.c.count > 0)
    found = connection.execute(asked.order_by(FOUNDERS.c.first))
    return [FounderChunk(**{**row._asdict(), "content": bytes(row.content)}) for row in found]


def founder_chunk(connection: Connection, datanet: DatanetId, founder: int) -> FounderChunk:
    """The chunk that holds a founder."""
    asked = select(FOUNDERS).where(FOUNDERS.c.datanet == datanet, FOUNDERS.c.first <= founder, FOUNDERS.c.count > 0)
    row = connection.execute(asked.order_by(FOUNDERS.c.first.desc()).limit(1)).one()
    return FounderChunk(**{**row._asdict(), "content": bytes(row.content)})


def members_of(connection: Connection, contribution: Hash32) -> list[Member]:
    asked = select(MEMBERS).where(MEMBERS.c.contribution == contribution).order_by(MEMBERS.c.row)
    return [Member(**row._asdict()) for row in connection.execute(asked)]


def cluster_members(connection: Connection, datanet: DatanetId, cluster: Hash32) -> list[Member]:
    """In the order in which they came; the founder itself is not among them."""
    asked = select(MEMBERS).where(MEMBERS.c.datanet == datanet, MEMBERS.c.cluster == cluster, ~MEMBERS.c.facts_differ)
    return [Member(**row._asdict()) for row in connection.execute(asked.order_by(MEMBERS.c.rank, MEMBERS.c.row))]


def founded_by(connection: Connection, contribution: Hash32) -> frozenset[int]:
    """Its rows that others turned out to be near to."""
    asked = select(MEMBERS.c.founder_row).where(MEMBERS.c.founder_contribution == contribution, ~MEMBERS.c.facts_differ)
    return frozenset(connection.execute(asked).scalars())


def reasons(connection: Connection, contribution: Hash32, verdict: int | None = None) -> list[Reason]:
    asked = select(REASONS).where(REASONS.c.contribution == contribution).order_by(REASONS.c.row)
    if verdict is not None:
        asked = asked.where(REASONS.c.verdict == verdict)
    return [Reason(**row._asdict()) for row in connection.execute(asked)]


def count_reasons(connection: Connection, contribution: Hash32, verdict: int) -> int:
    asked = select(func.count()).select_from(REASONS)
    return connection.execute(
        asked.where(REASONS.c.contribution == contribution, REASONS.c.verdict == verdict)
    ).scalar_one()


def decide(
    connection: Connection, contribution: Hash32, row: int, held: int, verdict: int, code: str, detail: str, **by: Any
) -> bool:
    """What was held becomes accepted or rejected, once; says whether it was still held."""
    decided = connection.execute(
        update(REASONS)
        .where(REASONS.c.contribution == contribution, REASONS.c.row == row, REASONS.c.verdict == held)
        .values(verdict=verdict, code=code, detail=detail, **by)
    )
    return decided.rowcount == 1

"""Which block draws an attestor's sample of a batch: fixed once, while nobody knows its hash.

An attestor that could ask again with another block would choose whose texts it reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from oracle.store.columns import METADATA, AddressColumn, HashColumn
from oracle.types import Address, BlockNumber, ChainId, Hash32

DISCLOSURES = Table(
    "disclosures",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("content_hash", HashColumn, primary_key=True),
    Column("attestor", AddressColumn, primary_key=True),
    Column("block", BigInteger, nullable=False),
    Column("sample", Integer, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class Draw:
    """What an attestor signed: the block, and how many receipts are drawn by it."""

    block: BlockNumber
    sample: int
    signature: bytes


def find(connection: Connection, chain: ChainId, content_hash: Hash32, attestor: Address) -> Draw | None:
    named = (DISCLOSURES.c.chain == chain, DISCLOSURES.c.content_hash == content_hash)
    row = connection.execute(select(DISCLOSURES).where(*named, DISCLOSURES.c.attestor == attestor)).one_or_none()
    return None if row is None else Draw(BlockNumber(row.block), row.sample, bytes(row.signature))


def fix(connection: Connection, chain: ChainId, content_hash: Hash32, attestor: Address, draw: Draw) -> Draw:
    """The first one counts; says which one that is."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {"chain": chain, "content_hash": content_hash, "attestor": attestor, **vars(draw)}
    connection.execute(dialect.insert(DISCLOSURES).values(row).on_conflict_do_nothing())
    found = find(connection, chain, content_hash, attestor)
    assert found is not None
    return found

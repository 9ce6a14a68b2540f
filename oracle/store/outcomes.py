"""Reviewers' signatures under the outcome of a contribution, until there are as many as the datanet's quorum."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, Connection, LargeBinary, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from oracle.store.columns import METADATA, AddressColumn, HashColumn
from oracle.types import Address, Digest, Hash32

SIGNATURES = Table(
    "outcome_signatures",
    METADATA,
    Column("contribution", HashColumn, primary_key=True),
    Column("digest", HashColumn, primary_key=True),
    Column("reviewer", AddressColumn, primary_key=True),
    Column("signature", LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class OutcomeSignature:
    contribution: Hash32
    digest: Digest
    reviewer: Address
    signature: bytes


def put_signature(connection: Connection, given: OutcomeSignature) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(SIGNATURES).values(**vars(given)).on_conflict_do_nothing())


def signatures_of(connection: Connection, contribution: Hash32, digest: Digest) -> list[OutcomeSignature]:
    """By reviewers in ascending order, as the registry wants them."""
    asked = select(SIGNATURES).where(SIGNATURES.c.contribution == contribution, SIGNATURES.c.digest == digest)
    found = [
        OutcomeSignature(row.contribution, row.digest, row.reviewer, bytes(row.signature))
        for row in connection.execute(asked)
    ]
    return sorted(found, key=lambda each: int(each.reviewer, 16))

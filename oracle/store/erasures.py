"""Requests to erase, and whether they were carried out. The record that something was erased stays for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Row, String, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from oracle.store.columns import METADATA, HashColumn
from oracle.types import Cid, Hash32, RowHash

ERASURES = Table(
    "erasures",
    METADATA,
    Column("contribution", HashColumn, primary_key=True),
    Column("rows_hash", HashColumn, primary_key=True),  # zero stands for the whole contribution
    Column("state", String(16), nullable=False),
    Column("rows", LargeBinary),  # the hashes of the rows, 32 bytes each; None where nobody has told them yet
    Column("block", BigInteger),
    Column("blob", String(64)),  # where only some rows go: the bytes that are replaced
    Column("seal", HashColumn),
)

WHOLE = Hash32(bytes(32))


@dataclass(frozen=True)
class Erasure:
    contribution: Hash32
    rows_hash: Hash32
    state: str
    rows: tuple[RowHash, ...] | None
    blob: Cid | None
    seal: Hash32 | None


def request(
    connection: Connection, contribution: Hash32, rows_hash: Hash32, rows: bytes | None, block: int | None
) -> bool:
    """By the contributor's event, or by its own request here; says whether it is new."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    row = {"contribution": contribution, "rows_hash": rows_hash, "state": "requested", "rows": rows, "block": block}
    done = connection.execute(
        dialect.insert(ERASURES).values(row).on_conflict_do_nothing().returning(ERASURES.c.contribution)
    ).first()
    if done is None and rows is not None:
        connection.execute(
            update(ERASURES).where(*_key(contribution, rows_hash), ERASURES.c.rows.is_(None)).values(rows=rows)
        )
    return done is not None


def requested(connection: Connection) -> list[Erasure]:
    asked = select(ERASURES).where(ERASURES.c.state.in_(("requested", "rewritten")))
    return [_erasure(row) for row in connection.execute(asked.order_by(ERASURES.c.contribution, ERASURES.c.rows_hash))]


def erasures_of(connection: Connection, contribution: Hash32) -> list[Erasure]:
    asked = select(ERASURES).where(ERASURES.c.contribution == contribution).order_by(ERASURES.c.rows_hash)
    return [_erasure(row) for row in connection.execute(asked)]


def rewritten(
    connection: Connection, contribution: Hash32, rows_hash: Hash32, blob: Cid | None, seal: Hash32 | None
) -> None:
    """requested → rewritten: what is left lies elsewhere; the old bytes are still to go."""
    connection.execute(
        update(ERASURES)
        .where(*_key(contribution, rows_hash), ERASURES.c.state == "requested")
        .values(state="rewritten", blob=blob, seal=seal)
    )


def done(connection: Connection, contribution: Hash32, rows_hash: Hash32) -> None:
    connection.execute(
        update(ERASURES).where(*_key(contribution, rows_hash), ERASURES.c.state != "done").values(state="done")
    )


def _key(contribution: Hash32, rows_hash: Hash32) -> tuple[Any, ...]:
    return (ERASURES.c.contribution == contribution, ERASURES.c.rows_hash == rows_hash)


def _erasure(row: Row[Any]) -> Erasure:
    rows = None
    if row.rows is not None:
        content = bytes(row.rows)
        rows = tuple(RowHash(content[at : at + 32]) for at in range(0, len(content), 32))
    return Erasure(row.contribution, row.rows_hash, row.state, rows, row.blob, row.seal)

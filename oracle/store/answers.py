"""Answers: what was asked and said, sealed, for as long as the operator's policy keeps it; and who shaped each.

Written by the API together with the receipt, read by attribution, which adds its explanation. The explanation has
hashes, accounts and positions, no texts; it stays when the texts are forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, Connection, Index, LargeBinary, Table, bindparam, insert, select, update

from oracle.errors import Stop
from oracle.store.columns import METADATA, HashColumn, Time
from oracle.store.prepared import Prepared
from oracle.store.receipts import RECEIPTS
from oracle.types import Address, ChainId, Hash32, Timestamp

ANSWERS = Table(
    "answers",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("receipt", HashColumn, primary_key=True),  # its id
    Column("model", BigInteger, nullable=False),  # position of the version in the table of models
    Column("keep_until", Time, nullable=False),
    Column("sealed", LargeBinary),
    Column("explanation", LargeBinary),
)
Index("ix_answers_keep_until", ANSWERS.c.keep_until)


class ExplainedBefore(Stop):
    """An answer's explanation is fixed once, as its attribution is."""


@dataclass(frozen=True)
class Passage:
    """A retrieved row that stood in the prompt, or was looked at and left out."""

    datanet: int
    contribution: Hash32
    row: Hash32
    first: int  # its tokens in the prompt; both zero where it was left out
    last: int
    part: int = 0  # of the row, as it is cut
    owner: Address | None = None  # who holds the credit of the row's cluster; without one its contributor does


@dataclass(frozen=True)
class Exchange:
    """One question and its answer. The tokens are what the model saw and said; the texts are for the consumer.

    `said` and `texts` (of every choice) are what the receipt hashes, for whoever holds a disclosed answer against it.
    """

    prompt_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]
    prompt: str
    output: str
    passages: tuple[Passage, ...] = ()
    said: Any = None
    texts: tuple[str, ...] = ()

    def as_json(self) -> bytes:
        passages = [{**vars(p), "contribution": p.contribution.hex(), "row": p.row.hex()} for p in self.passages]
        return orjson.dumps({**vars(self), "passages": passages}, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Exchange:
        values = dict(content)
        for name in ("prompt_tokens", "output_tokens", "texts"):
            values[name] = tuple(values.get(name, ()))
        values["passages"] = tuple(
            Passage(**{**p, "contribution": bytes.fromhex(p["contribution"]), "row": bytes.fromhex(p["row"])})
            for p in values["passages"]
        )
        return cls(**values)


@dataclass(frozen=True)
class Kept:
    """`sealed` is None once the texts were forgotten, `explanation` until attribution has come."""

    model: int
    keep_until: Timestamp
    sealed: bytes | None
    explanation: bytes | None


_KEEP = Prepared(lambda _: insert(ANSWERS).values({column.name: bindparam(column.name) for column in ANSWERS.columns}))


def keep(
    connection: Connection, chain: ChainId, receipt: Hash32, model: int, sealed: bytes, keep_until: Timestamp
) -> None:
    """In the transaction that stores the receipt."""
    _KEEP(connection, chain=chain, receipt=receipt, model=model, keep_until=keep_until, sealed=sealed, explanation=None)


def find(connection: Connection, chain: ChainId, receipt: Hash32) -> Kept | None:
    row = connection.execute(select(ANSWERS).where(*_named(chain, receipt))).one_or_none()
    if row is None:
        return None
    return Kept(
        row.model,
        row.keep_until,
        None if row.sealed is None else bytes(row.sealed),
        None if row.explanation is None else bytes(row.explanation),
    )


def explain(connection: Connection, chain: ChainId, receipt: Hash32, explanation: bytes) -> None:
    """Once; the same again changes nothing."""
    explained = connection.execute(
        update(ANSWERS).where(*_named(chain, receipt), ANSWERS.c.explanation.is_(None)).values(explanation=explanation)
    )
    if explained.rowcount == 1:
        return
    before = find(connection, chain, receipt)
    if before is None or before.explanation != explanation:
        raise ExplainedBefore(f"receipt 0x{receipt.hex()}: its answer is not there, or was explained before otherwise")


def forget(connection: Connection, now: Timestamp) -> int:
    """Texts whose time is over; says how many."""
    over = (ANSWERS.c.keep_until <= now, ANSWERS.c.sealed.is_not(None))
    return connection.execute(update(ANSWERS).where(*over).values(sealed=None)).rowcount


def forget_consumer(connection: Connection, chain: ChainId, consumer: Address) -> int:
    """All texts of one consumer, whose wish it is; says how many."""
    theirs = select(RECEIPTS.c.id).where(RECEIPTS.c.chain == chain, RECEIPTS.c.consumer == consumer)
    gone = (ANSWERS.c.chain == chain, ANSWERS.c.sealed.is_not(None), ANSWERS.c.receipt.in_(theirs))
    return connection.execute(update(ANSWERS).where(*gone).values(sealed=None)).rowcount


def _named(chain: ChainId, receipt: Hash32) -> tuple[Any, ...]:
    return ANSWERS.c.chain == chain, ANSWERS.c.receipt == receipt

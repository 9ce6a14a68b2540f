"""Payments by x402: an authorisation of the token that paid for exactly one call.

A call's id follows from payer and nonce, so that the table of calls keeps an authorisation from running a model twice.
A row here is written with the receipt, in the transaction that plans the intents which move the money.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Connection, Table, insert, select

from oracle.store.columns import METADATA, AddressColumn, HashColumn, WeiColumn
from oracle.types import Address, ChainId, Hash32, Wei

PAYMENTS = Table(
    "payments",
    METADATA,
    Column("chain", BigInteger, primary_key=True, autoincrement=False),
    Column("payer", AddressColumn, primary_key=True),
    Column("nonce", HashColumn, primary_key=True),
    Column("value", WeiColumn, nullable=False),
    Column("fee", WeiColumn, nullable=False),
    Column("call", HashColumn, nullable=False),
)


@dataclass(frozen=True)
class Payment:
    """`value` was signed, `fee` was delivered; the rest goes into the payer's own account of the escrow."""

    payer: Address
    nonce: Hash32
    value: Wei
    fee: Wei
    call: Hash32

    @property
    def rest(self) -> Wei:
        return Wei(self.value - self.fee)


def put_payment(connection: Connection, chain: ChainId, payment: Payment) -> None:
    connection.execute(insert(PAYMENTS).values(chain=chain, **vars(payment)))


def find_payment(connection: Connection, chain: ChainId, payer: Address, nonce: Hash32) -> Payment | None:
    asked = select(PAYMENTS).where(PAYMENTS.c.chain == chain, PAYMENTS.c.payer == payer, PAYMENTS.c.nonce == nonce)
    row = connection.execute(asked).one_or_none()
    return None if row is None else Payment(row.payer, row.nonce, Wei(row.value), Wei(row.fee), row.call)

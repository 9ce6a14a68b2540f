"""What a consumer can be charged: money counts when it is final, and stops counting as soon as it begins to leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.anvil import CHAIN
from fixtures.escrowed import Chain
from oracle.api.escrow import Account, Escrow
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.receipts import Lane
from oracle.types import Address, ChainId, Wei

WALLET, KEY = Address("0x" + "2" * 40), Address("0x" + "3" * 40)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = Database(f"sqlite:///{tmp_path}/ledger.db")
    METADATA.create_all(opened.engine)
    return opened


@pytest.fixture
def chain(database: Database) -> Chain:
    return Chain(database)


def account(database: Database) -> Account:
    with database.transaction() as connection:
        return Escrow(ChainId(CHAIN), every=0.0).account(connection, WALLET)


def left(database: Database, total: int = 0) -> int:
    return account(database).left({WALLET: Wei(total)}, 0)


def about(**more: Any) -> dict[str, Any]:
    return {"consumer": WALLET, **more}


def test_deposit__while_not_final__then_it_does_not_count(database: Database, chain: Chain) -> None:
    chain.happened("Deposited", final=False, **about(payer=WALLET, amount=5))
    assert left(database) == 0
    chain.happened("Deposited", **about(payer=KEY, amount=7))
    assert left(database) == 12


def test_withdrawal__when_announced_at_the_head__then_it_counts_until_it_is_cancelled(
    database: Database, chain: Chain
) -> None:
    chain.deposited(WALLET, amount=10)
    chain.happened("WithdrawalRequested", final=False, **about(amount=8, readyAt=1))
    assert left(database) == 2
    chain.happened("WithdrawalCanceled", final=False, **about())
    assert left(database) == 10
    chain.happened("WithdrawalRequested", final=False, **about(amount=4, readyAt=1))
    chain.happened("Withdrawn", final=False, **about(recipient=WALLET, amount=4))
    assert left(database) == 6


def test_settled__when_more_than_this_store_knows__then_the_chain_counts(database: Database, chain: Chain) -> None:
    chain.deposited(WALLET, amount=10)
    assert left(database, total=3) == 7
    chain.happened("VoucherSettled", **about(key=WALLET, batch=bytes(32), amount=3))
    assert left(database, total=3) == 7
    chain.happened("VoucherSettled", **about(key=WALLET, batch=bytes(32), amount=2))
    assert left(database, total=3) == 5


def test_session__when_opened_revoked_and_opened_again__then_its_end_follows(database: Database, chain: Chain) -> None:
    lane = Lane(WALLET, KEY)
    chain.happened("SessionOpened", final=False, **about(key=KEY, cap=5, expiresAt=100))
    assert account(database).session(lane) is None
    chain.happened("SessionOpened", **about(key=KEY, cap=6, expiresAt=200))
    chain.happened("SessionRevoked", final=False, **about(key=KEY, endsAt=50))
    found = account(database).session(lane)
    assert found is not None and (found.cap, found.expires_at) == (6, 50)
    chain.happened("SessionOpened", **about(key=KEY, cap=9, expiresAt=300))
    again = account(database).session(lane)
    assert again is not None and (again.cap, again.expires_at) == (9, 300)

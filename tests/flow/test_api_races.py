"""Money in two processes at once over one database, and vouchers that are not what they were."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text

from fixtures.anvil import CHAIN
from fixtures.escrowed import Chain
from fixtures.waiting import eventually
from oracle.api.escrow import Escrow
from oracle.api.ledger import Ledger, Payer
from oracle.api.refusals import Refusal
from oracle.settlement.hashing import keccak
from oracle.store import calls, receipts
from oracle.store.calls import LaneState
from oracle.store.database import Database
from oracle.store.receipts import Lane, Voucher
from oracle.types import Address, ChainId, Hash32, Timestamp, Wei

WALLET = Address("0x" + "2" * 40)
LANE = Lane(WALLET, WALLET)
LATEST = Timestamp(2**40 - 1)
NOW = Timestamp(1_000)


def ledger() -> Ledger:
    """Of a process of its own."""
    return Ledger(ChainId(CHAIN), Escrow(ChainId(CHAIN)), 50, 3, 100)


def voucher(cumulative: int, deadline: Timestamp = LATEST) -> Voucher:
    return Voucher(WALLET, WALLET, Wei(cumulative), deadline, b"signed" + str(deadline).encode())


def named(what: str) -> Hash32:
    return keccak(what.encode())


@pytest.mark.parametrize("keys", [("one", "two"), ("same", "same")], ids=["two calls", "one key twice"])
def test_first_calls__of_a_consumer_in_two_processes__then_no_more_is_reserved_than_was_signed(
    database: Database, keys: tuple[str, str]
) -> None:
    Chain(database).deposited(WALLET, amount=1_000)
    payer = Payer(LANE, (voucher(10),))
    codes = ["", ""]

    def reserve(which: int) -> None:
        try:
            with database.transaction() as connection:
                name = named(keys[which])
                ledger().reserve(connection, name, named("asked"), payer, Wei(10), NOW)
                if which == 0:
                    second.start()
                    if not database.is_sqlite:
                        eventually("the second waits", lambda: waiting(database))
            codes[which] = "reserved"
        except Refusal as refusal:
            codes[which] = refusal.code

    second = threading.Thread(target=reserve, args=(1,))
    reserve(0)
    second.join()
    assert codes == ["reserved", "voucher_too_low" if keys[0] != keys[1] else "call_in_progress"]


def test_voucher__that_was_settled_and_is_public__then_it_opens_nothing_that_was_signed_later(
    database: Database,
) -> None:
    Chain(database).deposited(WALLET, amount=1_000)
    with database.transaction() as connection:
        calls.open_lane(connection, ChainId(CHAIN), LANE)
        calls.set_lane(connection, ChainId(CHAIN), LaneState(LANE, Wei(60), Wei(500), 0))

    def ask(shown: int) -> None:
        with database.transaction() as connection:
            asked = Payer(LANE, (voucher(shown),))
            ledger().reserve(connection, named(str(shown)), named("asked"), asked, Wei(10), NOW)

    with pytest.raises(Refusal, match="the highest shown is 60"):
        ask(60)
    ask(70)


def test_voucher__when_signed_anew_for_longer__then_the_longer_one_is_kept(database: Database) -> None:
    for deadline in (NOW, LATEST, NOW):
        with database.transaction() as connection:
            receipts.keep_voucher(connection, ChainId(CHAIN), voucher(7, Timestamp(deadline)))
    with database.reading() as connection:
        kept = receipts.vouchers(connection, ChainId(CHAIN))
    assert kept == {LANE: [voucher(7)]}
    assert replace(voucher(7), deadline=NOW).lane == LANE


def waiting(database: Database) -> bool:
    """Whether a transaction waits for what another one holds."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with database.reading() as connection:
        return bool(connection.execute(text(asked)).scalar_one())

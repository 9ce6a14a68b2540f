"""Money: whatever is reserved, delivered, cancelled, repeated or killed, nobody pays twice or more than was signed."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fixtures.anvil import CHAIN
from fixtures.escrowed import Chain
from oracle.api.escrow import Escrow
from oracle.api.ledger import Delivered, Ledger, Payer
from oracle.api.refusals import Refusal
from oracle.settlement.hashing import keccak
from oracle.settlement.receipts import receipt_hash, terms_hash
from oracle.store import calls, owing
from oracle.store.calls import Call, TooLate
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.receipts import Lane, Receipt, Terms, Voucher
from oracle.types import Address, BasisPoints, ChainId, Hash32, Timestamp, Wei

SECONDS = 100
ACCOUNT = Address("0x" + "1" * 40)
TERMS = Terms(tuple(BasisPoints(part) for part in (7_000, 2_000, 0, 300, 300, 400)), ACCOUNT, ACCOUNT, ACCOUNT)
WALLETS = [Address("0x" + str(number) * 40) for number in (2, 3)]
LATEST = Timestamp(2**40 - 1)
HASH = Hash32(bytes(32))


def named(text: str) -> Hash32:
    return keccak(text.encode())


def receipt_for(call: Call, lane_total: int, fee: int) -> Receipt:
    return Receipt(
        id=call.id, consumer=call.lane.consumer, key=call.lane.key, model=1, version=1, weights=HASH, prompt=HASH,
        output=HASH, prompt_tokens=1, output_tokens=1, input_price=Wei(1), output_price=Wei(1), fee=Wei(fee),
        lane_total=Wei(lane_total + fee), terms=terms_hash(TERMS), conditions=HASH, code=HASH,
        served_at=Timestamp(1),
    )  # fmt: skip


class Paying(RuleBasedStateMachine):
    """Two wallets; calls under few idempotency keys; a clock; processes that die between reservation and receipt."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.database = Database(f"sqlite:///{self._folder.name}/ledger.db")
        METADATA.create_all(self.database.engine)
        self.chain = Chain(self.database)
        self.now = 1_000
        self.ledger = self.fresh()
        self.deposited = dict.fromkeys(WALLETS, 0)
        self.signed = dict.fromkeys(WALLETS, 0)
        self.running: list[Call] = []
        self.charged: dict[Hash32, int] = {}

    def teardown(self) -> None:
        self.database.close()
        self._folder.cleanup()

    def fresh(self) -> Ledger:
        return Ledger(ChainId(CHAIN), Escrow(ChainId(CHAIN), lambda: self.now, 0.0), 50, 3, SECONDS)

    @rule(wallet=st.sampled_from(WALLETS), amount=st.sampled_from([3, 60]))
    def deposit(self, wallet: Address, amount: int) -> None:
        self.chain.deposited(wallet, amount=amount)
        self.deposited[wallet] += amount
        self.now += 1

    @rule(wallet=st.sampled_from(WALLETS), more=st.sampled_from([0, 3, 10, 20]), exact=st.booleans(),
          key=st.integers(0, 5), most=st.sampled_from([3, 10]))  # fmt: skip
    def ask(self, wallet: Address, more: int, exact: bool, key: int, most: int) -> None:
        lane = Lane(wallet, wallet)
        total = self.total(wallet)
        sums = {total + more} | ({total} if exact else set())
        vouchers = tuple(Voucher(wallet, wallet, Wei(amount), LATEST, b"") for amount in sorted(sums))
        identity = named(f"{wallet} {key}")
        try:
            with self.database.transaction() as connection:
                done = self.ledger.reserve(
                    connection, identity, named(f"asks {key}"), Payer(lane, vouchers), Wei(most), self.time
                )
        except Refusal:
            return
        # What was shown is safe with the reservation, never before it.
        self.signed[wallet] = max(self.signed[wallet], *sums)
        if done.again is None:
            assert identity not in self.charged, "charged once, it never runs again"
            self.running.append(done.call)
        else:
            assert identity in self.charged

    @precondition(lambda self: self.running)
    @rule(part=st.sampled_from([1, 10]), which=st.randoms(use_true_random=False))
    def deliver(self, part: int, which: random.Random) -> None:
        call = self.running.pop(which.randrange(len(self.running)))
        fee = min(part, call.most)
        try:
            with self.database.transaction() as connection:
                lane = self.ledger.lane(connection, call.lane)
                receipt = receipt_for(call, lane.total, fee)
                done = Delivered(
                    receipt_hash(receipt), receipt, b"signed", None, b"sealed", Timestamp(1), 1,
                    (receipt.terms, TERMS), (), b"again",
                )  # fmt: skip
                self.ledger.deliver(connection, call, done, lane, self.time)
        except TooLate:
            return
        assert call.id not in self.charged
        self.charged[call.id] = fee

    @precondition(lambda self: self.running)
    @rule()
    def fail(self) -> None:
        call = self.running.pop()
        try:
            with self.database.transaction() as connection:
                self.ledger.void(connection, call, self.time)
        except TooLate:
            return

    @rule()
    def kill(self) -> None:
        """The process is gone with what it ran; another one begins."""
        self.running, self.ledger = [], self.fresh()

    @rule(seconds=st.integers(1, 2 * SECONDS))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @property
    def time(self) -> Timestamp:
        return Timestamp(self.now)

    def total(self, wallet: Address) -> int:
        with self.database.transaction() as connection:
            return self.ledger.lane(connection, Lane(wallet, wallet)).total

    @invariant()
    def nobody_pays_more_than_was_signed_deposited_and_delivered(self) -> None:
        with self.database.reading() as connection:
            steps = list(owing.lane_steps(connection, ChainId(CHAIN)))
        for wallet in WALLETS:
            fees = [step.fee for step in steps if step.lane.consumer == wallet]
            assert sum(fees) == self.total(wallet) <= min(self.deposited[wallet], self.signed[wallet])
        assert sum(step.fee for step in steps) == sum(self.charged.values())
        assert len(steps) == len(self.charged)


TestPaying = Paying.TestCase
TestPaying.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = Database(f"sqlite:///{tmp_path}/ledger.db")
    METADATA.create_all(opened.engine)
    return opened


def test_reservation__when_its_process_was_killed__then_its_money_is_free_again_after_its_time(
    database: Database,
) -> None:
    wallet = WALLETS[0]
    Chain(database).deposited(wallet, amount=10)
    ledger = Ledger(ChainId(CHAIN), Escrow(ChainId(CHAIN)), 50, 3, SECONDS)
    payer = Payer(Lane(wallet, wallet), (Voucher(wallet, wallet, Wei(10), LATEST, b""),))

    def reserve(name: str, now: int) -> Call:
        with database.transaction() as connection:
            return ledger.reserve(connection, named(name), HASH, payer, Wei(10), Timestamp(now)).call

    lost = reserve("lost", 0)
    with pytest.raises(Refusal):
        reserve("next", 1)
    reserve("next", SECONDS + 1)
    with database.transaction() as connection, pytest.raises(TooLate):
        ledger.void(connection, lost, Timestamp(SECONDS + 1))


def test_call__when_begun_twice_at_once__then_the_second_begins_nothing(database: Database) -> None:
    call = Call(HASH, Lane(ACCOUNT, ACCOUNT), HASH, "running", Wei(1), Timestamp(10), 1, None)
    with database.transaction() as connection:
        calls.begin(connection, ChainId(CHAIN), call, None)
    with database.transaction() as connection, pytest.raises(TooLate):
        calls.begin(connection, ChainId(CHAIN), replace(call, most=Wei(2)), None)

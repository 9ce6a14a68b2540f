"""Money: whatever is reserved, delivered, cancelled, repeated or killed, nobody pays twice or more than was signed."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable, Collection
from dataclasses import astuple, dataclass, field, replace
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
from oracle.store.receipts import Lane, Receipt, Terms, Voucher, vouchers
from oracle.types import Address, BasisPoints, ChainId, Hash32, Timestamp, Wei

SECONDS = 100
ACCOUNT = Address("0x" + "1" * 40)
TERMS = Terms(tuple(BasisPoints(part) for part in (7_000, 2_000, 0, 300, 300, 400)), ACCOUNT, ACCOUNT, ACCOUNT)
WALLETS = [Address("0x" + str(number) * 40) for number in (2, 3)]
LATEST = Timestamp(2**40 - 1)
HASH = Hash32(bytes(32))
SESSION = Address("0x" + "4" * 40)
CAP = 25
MOST_UNSIGNED = 3
IN_MEMORY = Path("/dev/shm")  # no disk to wait for


def named(text: str) -> Hash32:
    return keccak(text.encode())


def receipt_for(call: Call, lane_total: int, fee: int) -> Receipt:
    return Receipt(
        id=call.id, consumer=call.lane.consumer, key=call.lane.key, model=1, version=1, weights=HASH, prompt=HASH,
        output=HASH, prompt_tokens=1, output_tokens=1, input_price=Wei(1), output_price=Wei(1), fee=Wei(fee),
        lane_total=Wei(lane_total + fee), terms=terms_hash(TERMS), conditions=HASH, code=HASH,
        served_at=Timestamp(1),
    )  # fmt: skip


@dataclass
class Known:
    """A call as it should be."""

    call: Call
    state: str = "running"
    fee: int = 0

    def reserves(self, now: int) -> int:
        return self.call.most if self.state == "running" and self.call.until > now else 0


@dataclass
class Expected:
    """A lane as it should be."""

    total: int = 0
    signed: int = 0
    unsigned: int = 0

    def shown(self, sums: Collection[int]) -> Expected:
        exact = self.unsigned and self.total in sums
        return Expected(self.total, max(self.signed, *sums, 0), 0 if exact else self.unsigned)


@dataclass
class Process:
    """An API process of its own over the common file: nothing that it remembers outlives it."""

    file: str
    clock: Callable[[], float]
    running: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = Database(self.file)
        self.ledger = Ledger(ChainId(CHAIN), Escrow(ChainId(CHAIN), self.clock, 0.0), 50, MOST_UNSIGNED, SECONDS)


class Paying(RuleBasedStateMachine):
    """Two wallets, each with a lane of its own and one of a session; calls under few idempotency keys; two processes
    that die whenever they like; a clock. What each reservation and each receipt has to come to is reckoned here as
    well, from the promises alone, and every answer of the ledger is held against it."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
        self.file = f"sqlite:///{self._folder.name}/ledger.db"
        self.now = 1_000
        first = self.process()
        METADATA.create_all(first.database.engine)
        self.processes = [first, self.process()]
        self.chain = Chain(first.database)
        self.deposited = dict.fromkeys(WALLETS, 0)
        self.lanes = {Lane(wallet, key): Expected() for wallet in WALLETS for key in (wallet, SESSION)}
        self.calls: dict[Hash32, Known] = {}
        for wallet in WALLETS:
            self.deposit(wallet, 60)
            self.chain.happened("SessionOpened", consumer=wallet, key=SESSION, cap=CAP, expiresAt=LATEST)

    def teardown(self) -> None:
        for process in self.processes:
            process.database.close()
        self._folder.cleanup()

    def process(self) -> Process:
        return Process(self.file, lambda: self.now)

    def deposit(self, wallet: Address, amount: int) -> None:
        self.chain.deposited(wallet, amount=amount)
        self.deposited[wallet] += amount

    @rule(wallet=st.sampled_from(WALLETS))
    def pay_in(self, wallet: Address) -> None:
        self.deposit(wallet, 7)

    @rule(
        at=st.sampled_from([0, 1]), wallet=st.sampled_from(WALLETS), session=st.booleans(), key=st.integers(0, 3),
        other=st.sampled_from([False, False, True]), most=st.sampled_from([3, 10]), exact=st.booleans(),
        over=st.sampled_from([-1, 0, 0, 20, None]),
    )  # fmt: skip
    def ask(
        self, at: int, wallet: Address, session: bool, key: int, other: bool, most: int, exact: bool, over: int | None
    ) -> None:
        """`over`: by how much the voucher passes what is needed; `other`: another request under the same key."""
        lane = Lane(wallet, SESSION if session else wallet)
        identity, request = named(f"{lane} {key}"), named(f"asks {other}")
        known, state = self.calls.get(identity), self.lanes[lane]
        sums: set[int] = set()
        if not session:
            sums = ({state.total} if exact else set()) | (
                {self.needed(lane, most) + over} if over is not None else set()
            )
        shown = state.shown(sums)
        refusal = self.refusal(lane, known, request, shown, most, max(sums, default=0))
        listed = tuple(Voucher(wallet, lane.key, Wei(amount), LATEST, b"") for amount in sorted(sums))
        payer = Payer(lane, listed, by_session=session)
        process = self.processes[at]
        said: str | None = None
        try:
            with process.database.transaction() as connection:
                done = process.ledger.reserve(connection, identity, request, payer, Wei(most), self.time)
        except Refusal as refused:
            said = refused.code
        assert said == refusal
        if said is not None:
            return
        if known is not None and known.state == "done":
            assert done.again == b"again", "what was answered is answered again, and never run"
            return
        assert done.again is None
        # What was shown is safe with the reservation, never before it.
        self.lanes[lane] = shown
        self.calls[identity] = Known(done.call)
        process.running.append(done.call)

    def needed(self, lane: Lane, most: int) -> int:
        return self.lanes[lane].total + self.reserved(lane) + most

    def reserved(self, lane: Lane) -> int:
        return sum(one.reserves(self.now) for one in self.calls.values() if one.call.lane == lane)

    def refusal(
        self, lane: Lane, known: Known | None, request: Hash32, state: Expected, most: int, voucher: int
    ) -> str | None:
        """What an honest ledger says to this call, of which `voucher` is the highest that came with it."""
        if known is not None and known.call.request != request:
            return "idempotency_key_reused"
        if known is not None and known.state == "done":
            return None
        if known is not None and known.reserves(self.now):
            return "call_in_progress"
        needed = self.needed(lane, most)
        if lane.key == SESSION and needed > CAP:
            return "spending_cap_reached"
        if lane.key != SESSION and state.unsigned >= MOST_UNSIGNED:
            return "voucher_missing"
        if lane.key != SESSION and voucher < needed:
            return "voucher_too_low"
        theirs = [one for one in self.lanes if one.consumer == lane.consumer]
        spoken_for = sum(self.lanes[one].total + self.reserved(one) for one in theirs)
        return "insufficient_funds" if self.deposited[lane.consumer] - spoken_for < most else None

    @precondition(lambda self: any(process.running for process in self.processes))
    @rule(part=st.sampled_from([1, 3, 10]), which=st.randoms(use_true_random=False))
    def deliver(self, part: int, which: random.Random) -> None:
        process, call = self.taken(which)
        fee, signs = min(part, call.most), call.lane.key == SESSION
        try:
            with process.database.transaction() as connection:
                lane = process.ledger.lane(connection, call.lane)
                receipt = receipt_for(call, lane.total, fee)
                voucher = Voucher(receipt.consumer, SESSION, receipt.lane_total, LATEST, b"") if signs else None
                done = Delivered(
                    receipt_hash(receipt), receipt, b"signed", voucher, b"sealed", Timestamp(1), 1,
                    (receipt.terms, TERMS), (), b"again",
                )  # fmt: skip
                process.ledger.deliver(connection, call, done, lane, self.time)
        except TooLate:
            assert not self.is_mine(call), "its time was not over"
            return
        assert self.is_mine(call), "whoever comes too late charges nothing"
        self.calls[call.id].state, self.calls[call.id].fee = "done", fee
        state = self.lanes[call.lane]
        state.total += fee
        state.unsigned = 0 if signs else state.unsigned + 1
        state.signed = max(state.signed, state.total) if signs else state.signed

    @precondition(lambda self: any(process.running for process in self.processes))
    @rule(which=st.randoms(use_true_random=False))
    def fail(self, which: random.Random) -> None:
        process, call = self.taken(which)
        try:
            with process.database.transaction() as connection:
                process.ledger.void(connection, call, self.time)
        except TooLate:
            assert not self.is_mine(call)
            return
        assert self.is_mine(call)
        self.calls[call.id].state = "void"

    def taken(self, which: random.Random) -> tuple[Process, Call]:
        process = which.choice([process for process in self.processes if process.running])
        return process, process.running.pop(which.randrange(len(process.running)))

    def is_mine(self, call: Call) -> bool:
        known = self.calls[call.id]
        return known.call.attempt == call.attempt and known.reserves(self.now) > 0

    @rule(at=st.sampled_from([0, 1]))
    def kill(self, at: int) -> None:
        """A process is gone with what it ran and all that it knew; another one begins."""
        self.processes[at].database.close()
        self.processes[at] = self.process()

    @rule(seconds=st.sampled_from([1, SECONDS]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @property
    def time(self) -> Timestamp:
        return Timestamp(self.now)

    @invariant()
    def each_lane_stands_where_it_should(self) -> None:
        process = self.processes[0]
        with process.database.transaction() as connection:
            found = {lane: process.ledger.lane(connection, lane) for lane in self.lanes}
            kept = vouchers(connection, ChainId(CHAIN))
        for lane, state in self.lanes.items():
            assert (found[lane].total, found[lane].signed, found[lane].unsigned) == astuple(state)
            assert max((voucher.cumulative for voucher in kept.get(lane, ())), default=0) == state.signed

    @invariant()
    def nobody_pays_more_than_was_signed_deposited_and_delivered(self) -> None:
        with self.processes[1].database.reading() as connection:
            steps = list(owing.lane_steps(connection, ChainId(CHAIN)))
        for lane, state in self.lanes.items():
            assert sum(step.fee for step in steps if step.lane == lane) == state.total
            assert state.total <= (CAP if lane.key == SESSION else state.signed)
        for wallet in WALLETS:
            assert sum(step.fee for step in steps if step.lane.consumer == wallet) <= self.deposited[wallet]
        charged = [known for known in self.calls.values() if known.state == "done"]
        assert (len(steps), sum(step.fee for step in steps)) == (len(charged), sum(one.fee for one in charged))


TestPaying = Paying.TestCase
TestPaying.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


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


def test_call__when_begun_by_many_at_once__then_one_runs_and_one_receipt_is_made(database: Database) -> None:
    wallet, lane = WALLETS[0], Lane(WALLETS[0], WALLETS[0])
    Chain(database).deposited(wallet, amount=1_000)
    ledger = Ledger(ChainId(CHAIN), Escrow(ChainId(CHAIN)), 50, 3, SECONDS)
    payer = Payer(lane, (Voucher(wallet, wallet, Wei(1_000), LATEST, b""),))
    begun: list[Call] = []
    refused: list[str] = []
    ready = threading.Barrier(8)

    def ask() -> None:
        ready.wait()
        try:
            with database.transaction() as connection:
                done = ledger.reserve(connection, named("one"), HASH, payer, Wei(10), Timestamp(1))
            begun.append(done.call)
        except Refusal as error:
            refused.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1 and refused == ["call_in_progress"] * 7
    with database.reading() as connection:
        assert calls.reserved(connection, ChainId(CHAIN), wallet, Timestamp(1)) == {wallet: 10}

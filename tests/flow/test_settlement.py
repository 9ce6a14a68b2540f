"""Receipts in the store, money in the accounts: the whole way over a real chain, with what goes wrong on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from unit.settlement.world import SPLIT, Person, World, account, text

from fixtures.anvil import ACCOUNTS, CHAIN
from fixtures.chain import sender_on, signer_for_tests
from fixtures.suite import Suite
from oracle.chain.rpc import Rpc
from oracle.chain.sender import Sender
from oracle.chain.signer import KeystoreSigner
from oracle.settlement.adopt import adopt
from oracle.settlement.attest import AlreadySigned, NotPaidYet, Opinion, Policy, attest
from oracle.settlement.claims import ClaimBook
from oracle.settlement.onchain import Onchain
from oracle.settlement.post import Braked, ChainIsAhead, Pace, Settler, accept, signed
from oracle.settlement.verify import Signed, verify
from oracle.store import batches, receipts
from oracle.store.batches import Attestation, Batch, State
from oracle.store.blobs import Blobs
from oracle.store.columns import METADATA
from oracle.store.database import Database
from oracle.store.folder import Folder
from oracle.store.intents import INTENTS
from oracle.store.receipts import Attribution, Receipt
from oracle.types import Address, ChainId, Wei

OPEN = 10**18
BOND = 100_000 * OPEN
ZERO = b"\0" * 32
ATTESTORS = [Person(f"attestor {number}") for number in range(3)]
POOR = "0x00000000000000000000000000000000000000AA"


class Stage:
    """The suite with seats taken, a model published and consumers who have deposited."""

    def __init__(self, suite: Suite, database: Database, folder: Path, **options: int) -> None:
        self.suite, self.database, self.folder = suite, database, folder
        self.blobs = Blobs(str(folder / "blobs"))
        METADATA.create_all(database.engine)
        suite.anvil.ask("anvil_autoImpersonateAccount", True)
        rpc = Rpc.of_urls([suite.anvil.url], ChainId(CHAIN))
        self.onchain = Onchain(rpc, suite.book, "finalized")
        self.model = self._published()
        self.world = World(ChainId(CHAIN), suite.book["InferenceEscrow"], model=self.model, **options)  # type: ignore[arg-type]
        for one in ATTESTORS:
            self._seated(one)
        for person in self.world.people:
            self._deposited(person, 100 * OPEN)
        self.sender: Sender = sender_on(suite, database, signer=signer_for_tests(1))
        suite.anvil.mine(3)

    def send(self, contract: str, function: str, *arguments: object, sender: str = ACCOUNTS[0]) -> None:
        tx = self.suite.send(contract, function, *arguments, sender=sender)
        while (mined := self.suite.anvil.ask("eth_getTransactionReceipt", tx)) is None:
            self.suite.anvil.mine()  # a busy machine answers before it has mined
        assert int(mined["status"], 16) == 1, function

    def _funded(self, address: str, amount: int) -> None:
        self.suite.anvil.ask("anvil_setBalance", address, hex(10**20))
        self.send("OpenToken", "transfer", address, amount)

    def _published(self) -> int:
        self.send("ModelRegistry", "register", "base", True, 0, 0)
        model: int = self.suite.read("ModelRegistry", "modelCount")
        artifacts = tuple(text(name) for name in ("weights", "manifest", "evaluation", "accuracy"))
        self.send("ModelRegistry", "publish", model, artifacts, SPLIT, [], [])
        return model

    def _seated(self, one: Person) -> None:
        timelock, seats = self.suite.book["OpenTimelock"], self.suite.book["AttestorSet"]
        self.suite.anvil.ask("anvil_setBalance", timelock, hex(10**20))
        self.send("AttestorSet", "admit", one.address, sender=timelock)
        self._funded(one.address, BOND)
        self.send("OpenToken", "approve", seats, BOND, sender=one.address)
        self.send("AttestorSet", "join", one.address, BOND, sender=one.address)

    def _deposited(self, person: Person, amount: int) -> None:
        escrow = self.suite.book["InferenceEscrow"]
        self._funded(person.address, amount)
        self.send("OpenToken", "approve", escrow, amount, sender=person.address)
        self.send("InferenceEscrow", "deposit", amount, sender=person.address)

    # The operator's side

    def settler(self, edge: Callable[[str], None] = lambda name: None, **pace: object) -> Settler:
        operator = self.world.operator.address
        return Settler(self.database, self.blobs, self.onchain, operator, Pace(**pace), edge=edge)  # type: ignore[arg-type]

    def serve(self, count: int = 9, **options: bool) -> None:
        with self.database.transaction() as connection:
            self.world.serve(connection, count, **options)

    def current(self) -> Batch | None:
        with self.database.reading() as connection:
            return batches.on_its_way(connection, ChainId(CHAIN))

    def active(self) -> Batch:
        with self.database.reading() as connection:
            found = batches.newest(connection, ChainId(CHAIN), State.ACTIVE)
        assert found is not None
        return found

    def unsigned(self, batch: Batch) -> Signed:
        return signed(self.onchain, batch, [])

    def opinion(self, batch: Batch, one: Person, **options: object) -> Opinion:
        """On the attestor's own machine: the chain, the bytes, its key and its journal."""
        assert batch.document is not None
        said = self.unsigned(batch)
        published = options.pop("published", self.blobs.read(batch.document))
        journal = Folder(str(self.folder / one.name))
        policy = Policy(operator=self.world.operator.address)
        return attest(said, published, self.onchain, KeystoreSigner(one.eth), journal, policy, **options)  # type: ignore[arg-type]

    def step(self, settler: Settler, attesting: bool = True) -> str | None:
        """One turn of everybody: settler, attestors, sender, and the chain goes on."""
        said = settler.advance(close_now=True)
        batch = self.current()
        if attesting and batch is not None and batch.state == State.PUBLISHED:
            with contextlib.suppress(NotPaidYet):
                for one in ATTESTORS:
                    accept(self.database, self.onchain, batch, self.opinion(batch, one).signature)
        self.sender.advance()
        self.suite.anvil.mine(3)
        return said

    def until(self, settler: Settler, state: State, attesting: bool = True) -> Batch:
        for _ in range(30):
            batch = self.current()
            if batch is not None and batch.state == state:
                return batch
            self.step(settler, attesting)
        raise AssertionError(f"never {state}: {self.current()}")

    def wait(self, seconds: int) -> None:
        self.suite.anvil.ask("evm_increaseTime", seconds)
        self.suite.anvil.mine(3)

    def finish(self, settler: Settler) -> Batch:
        """To the end of the epoch, with the pool filled for claims."""
        batch = self.until(settler, State.POSTED)
        self.wait(700)
        for _ in range(6):
            self.step(settler, attesting=False)
        assert self.active().id == batch.id
        return self.active()

    def claim_everything(self, batch: Batch) -> dict[str, int]:
        """What each account has after everybody claimed, by the published bytes alone."""
        assert batch.document is not None
        with self.blobs.open(batch.document) as published:
            book = ClaimBook.of_document(published)
        owed = [name for name, amount in self.world.owed.items() if amount]
        for name in owed:
            one = book.of(Address(name))
            self.suite.anvil.send(self.suite.book["RewardDistributor"], "0x" + one.data.hex(), sender=ACCOUNTS[2])
        self.suite.anvil.mine()
        return {name: self.suite.read("OpenToken", "balanceOf", name) for name in owed}

    def require_settled(self, batch: Batch) -> None:
        """To the wei: accounts have their shares, consumers paid what was delivered, and nothing else moved."""
        owed = {name: amount for name, amount in self.world.owed.items() if amount}
        assert self.claim_everything(batch) == owed
        served = sum(self.world.totals.values())
        assert sum(owed.values()) == served == batch.total
        for lane, total in self.world.totals.items():
            balance, spent = self.suite.read("InferenceEscrow", "accountOf", lane.consumer)
            assert (spent, balance) == (total, 100 * OPEN - total)
        assert self.suite.read("RewardDistributor", "ledger") == [served, served]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    opened.close()


@pytest.fixture
def stage(suite: Suite, ledger: Database, tmp_path: Path) -> Stage:
    return Stage(suite, ledger, tmp_path)


def test_settle__from_receipts_to_claims_over_two_epochs__then_everybody_has_it_to_the_wei(
    suite: Suite, database: Database, tmp_path: Path
) -> None:
    stage = Stage(suite, database, tmp_path)
    settler = stage.settler()
    for _ in range(2):
        stage.serve()
        batch = stage.finish(settler)
    assert batch.epoch == 2
    with database.reading() as connection:
        said = signed(stage.onchain, batch, batches.attestations(connection, batch.id))
    assert batch.document is not None
    replayed, _ = verify(said.as_json(), stage.blobs.read(batch.document))
    assert replayed.checked["receipt"] == 9 and len(said.signatures) == 3
    stage.require_settled(batch)


def test_settle__when_the_guardian_vetoes__then_reopens_and_pays_once(stage: Stage) -> None:
    settler = stage.settler()
    stage.serve()
    first = stage.until(settler, State.POSTED)
    stage.send("RewardDistributor", "veto", first.root)
    stage.suite.anvil.mine(3)
    stage.step(settler)
    with stage.database.reading() as connection:
        stopped = batches.batch(connection, first.id)
    assert stopped.state == State.VETOED and stopped.reason == "vetoed or challenged on the chain"
    stage.serve(3)
    batch = stage.finish(settler)
    assert (batch.epoch, batch.attempt, batch.round) == (1, 2, 1)
    stage.require_settled(batch)


EDGES = [
    f"{when} {what}"
    for what in ("open", "close", "publish", "attest", "settle", "post", "posted", "activate", "refill")
    for when in ("before", "in", "after")
]


class Killed(BaseException):
    """As kill −9: nothing catches it."""


def test_settle__when_killed_at_every_edge__then_nothing_is_lost_or_paid_twice(stage: Stage) -> None:
    reached: list[str] = []
    deadly = set(EDGES)

    def edge(name: str) -> None:
        reached.append(name)
        if name in deadly:
            deadly.discard(name)
            raise Killed

    stage.serve()
    waited = False
    for _ in range(90):
        try:
            stage.step(stage.settler(edge))  # a new process each time
        except Killed:
            continue
        current = stage.current()
        if current is not None and current.state == State.POSTED and not waited:
            waited = True
            stage.wait(700)
        if not deadly:
            break
    assert not deadly, f"never came to {sorted(deadly)}"
    for _ in range(4):
        stage.step(stage.settler())
    stage.require_settled(stage.active())
    with stage.database.reading() as connection:
        purposes = [row.purpose for row in connection.execute(select(INTENTS.c.purpose))]
    assert sorted(purposes) == ["posts a root", "refills", "settles vouchers"]


def test_settle__when_two_daemons_run__then_one_does_each_step(stage: Stage) -> None:
    first, second = stage.settler(), stage.settler()
    stage.serve()
    waited = False
    for turn in range(40):
        stage.step((first, second)[turn % 2])
        (second, first)[turn % 2].advance(close_now=True)
        current = stage.current()
        if current is not None and current.state == State.POSTED and not waited:
            waited = True
            stage.wait(700)
        with stage.database.reading() as connection:
            active = batches.newest(connection, ChainId(CHAIN), State.ACTIVE)
        if active and stage.suite.read("RewardDistributor", "ledger")[1]:
            break
    stage.require_settled(stage.active())


def test_settle__when_a_consumer_withdraws_what_it_owes__then_the_others_are_paid_without_it(stage: Stage) -> None:
    settler = stage.settler()
    stage.serve()
    stage.until(settler, State.PUBLISHED)
    gone = stage.world.people[0]
    stage.send("InferenceEscrow", "requestWithdrawal", 100 * OPEN, sender=gone.address)
    stage.wait(700)
    stage.send("InferenceEscrow", "withdraw", gone.address, sender=gone.address)
    for _ in range(6):
        stage.step(settler)
    batch = stage.finish(settler)
    assert batch.attempt == 2
    paid = sum(total for lane, total in stage.world.totals.items() if lane.consumer != gone.address)
    assert batch.total == paid == stage.suite.read("RewardDistributor", "ledger")[0]
    with stage.database.reading() as connection:
        assert receipts.waiting(connection, ChainId(CHAIN)) == {"final": 3}


def test_settle__when_the_database_is_yesterdays__then_says_so_and_pays_nobody_twice(
    stage: Stage, tmp_path: Path
) -> None:
    settler = stage.settler()
    stage.serve()
    yesterday = Database(f"sqlite:///{tmp_path}/yesterday.db")
    with stage.database.engine.connect() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql(f"VACUUM INTO '{tmp_path}/yesterday.db'")
    stage.finish(settler)
    restored = Settler(yesterday, stage.blobs, stage.onchain, stage.world.operator.address, Pace())
    with pytest.raises(ChainIsAhead, match="openledger settle adopt"):
        restored.advance(close_now=True)
    with stage.database.reading() as connection:
        said = signed(stage.onchain, stage.active(), batches.attestations(connection, stage.active().id))
    published = stage.blobs.read(said.document)
    assert adopt(yesterday, stage.blobs, stage.onchain, said, published) == 9
    # From here the restored database goes on, and what it served since is paid on top.
    stage.database = yesterday
    stage.sender.close()
    stage.sender = sender_on(stage.suite, yesterday, signer=signer_for_tests(1))
    stage.serve(3)
    stage.finish(restored)
    stage.require_settled(stage.active())
    yesterday.close()


def test_settle__when_more_than_the_brake_allows__then_waits_for_a_person(stage: Stage) -> None:
    stage.serve()
    careful = stage.settler(most_fees=Wei(1))
    stage.until(careful, State.CLOSED)
    with pytest.raises(Braked, match="--most-fees"):
        careful.advance()
    assert stage.settler(paused=True).advance(close_now=True) is None
    current = stage.current()
    assert current is not None and current.state == State.CLOSED
    stage.until(stage.settler(), State.PUBLISHED, attesting=False)


def test_close__when_not_yet_time_nor_amount__then_waits(stage: Stage) -> None:
    stage.serve()
    settler = stage.settler(every_s=600)
    settler.advance()
    assert settler.advance() is None
    stage.wait(700)
    assert (settler.advance() or "").startswith("closed")


def test_attest__when_it_differs__then_objects_precisely_and_a_majority_stops_the_batch(stage: Stage) -> None:
    settler = stage.settler()
    stage.serve()
    batch = stage.until(settler, State.PUBLISHED, attesting=False)

    def biased(receipt: Receipt) -> Attribution:
        return Attribution((), 1)

    for _ in range(3):
        stage.step(settler, attesting=False)
    for one, options, kind in (
        (ATTESTORS[0], {"published": None}, "bytes"),
        (ATTESTORS[1], {"recompute": biased}, "attribution"),
    ):
        opinion = stage.opinion(batch, one, **options)
        assert opinion.kind == kind and opinion.objection
        with stage.database.transaction() as connection:
            said = Attestation(one.address, opinion.signature, opinion.objection)
            batches.put_attestation(connection, batch.id, said)
    assert "stopped" in (settler.advance() or "")
    assert "reopened" in (settler.advance() or "")


def test_attest__when_another_root_of_the_same_round_is_asked_for__then_refuses_to_lose_its_bond(
    stage: Stage, tmp_path: Path
) -> None:
    settler = stage.settler()
    stage.serve()
    batch = stage.until(settler, State.PUBLISHED, attesting=False)
    with pytest.raises(NotPaidYet):
        stage.opinion(batch, ATTESTORS[0])
    for _ in range(3):
        stage.step(settler, attesting=False)
    first = stage.opinion(batch, ATTESTORS[0])
    assert first.objection is None and first.said["sampled"] == 9
    assert stage.opinion(batch, ATTESTORS[0]).signature == first.signature
    # The operator withdraws the batch and publishes another one: a second statement of the same round.
    with stage.database.transaction() as connection:
        batches.move(connection, batch.id, State.VETOED, reason="a trick")
    settler.advance()
    stage.serve(2)
    again = stage.until(settler, State.PUBLISHED, attesting=False)
    for _ in range(3):
        stage.step(settler, attesting=False)
    with pytest.raises(AlreadySigned, match="costs the bond"):
        stage.opinion(again, ATTESTORS[0])


def test_claims__for_many_and_by_subtree__then_paid_in_one_transaction(stage: Stage) -> None:
    from oracle.settlement.claims import many

    settler = stage.settler()
    stage.serve()
    batch = stage.finish(settler)
    assert batch.document is not None
    with stage.blobs.open(batch.document) as published:
        book = ClaimBook.of_document(published)
    owed = {name: amount for name, amount in stage.world.owed.items() if amount}
    ordered = sorted(owed, key=str.lower)
    distributor = stage.suite.book["RewardDistributor"]
    stage.suite.anvil.send(distributor, "0x" + many(book.of(Address(name)) for name in ordered[:5]).hex())
    stage.suite.anvil.mine()
    assert [stage.suite.read("OpenToken", "balanceOf", name) for name in ordered[:5]] == [owed[n] for n in ordered[:5]]
    stage.suite.anvil.send(distributor, "0x" + book.subtree(Address(ordered[-1]), 3).hex())
    stage.suite.anvil.mine()
    assert stage.suite.read("OpenToken", "balanceOf", ordered[-1]) == owed[ordered[-1]]
    assert account(1) and book.root == batch.root

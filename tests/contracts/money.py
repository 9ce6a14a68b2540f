"""The ways money takes through the suite, as steps that tests are written in."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from eth_utils import keccak

from clock import FOREVER, mine_at, now
from conftest import quorum
from merkle import Tree, rewards
from suite import OPEN
from typed import digest

BATCH = keccak(text="batch")
CONTENT = keccak(text="batch header")
NOTHING = b"\0" * 32


@dataclass
class Money:
    suite: SimpleNamespace
    actors: SimpleNamespace
    attestors: list

    def fund(self, account: object, amount: int) -> None:
        """`account` is an address, or anything that has one."""
        to = getattr(account, "address", account)
        self.suite.token.transfer(to, amount, {"from": self.actors.holder.account})

    def deposit(self, consumer, amount: int) -> None:
        self.fund(consumer, amount)
        self.suite.token.approve(self.suite.escrow, amount, {"from": consumer.account})
        self.suite.escrow.deposit(amount, {"from": consumer.account})

    def voucher(self, consumer, cumulative: int, key=None, deadline: int = FOREVER, signer=None) -> tuple:
        """A voucher as `settle` takes it; `signer` is for thieves who sign in another's name."""
        key = key or consumer
        content = (consumer.address, key.address, cumulative, deadline)
        return (*content, (signer or key).sign(digest(self.suite.escrow, "Voucher", *content)))

    def settle(self, *vouchers: tuple, batch: bytes = BATCH, sender=None):
        return self.suite.escrow.settle(batch, list(vouchers), {"from": (sender or self.actors.relayer).account})

    def collect_fees(self, amount: int) -> None:
        """`amount` of real fees: deposited, signed for, settled."""
        consumer = self.actors.second_consumer
        self.deposit(consumer, amount)
        spent = self.suite.escrow.accountOf(consumer.address)[1]
        self.settle(self.voucher(consumer, spent + amount))

    def statement(self, root: bytes, total: int, previous: bytes = NOTHING, epoch: int = 1) -> tuple:
        """What attestors sign, in the round of now."""
        return (previous, root, epoch, self.suite.distributor.state()[3], total, CONTENT)

    def submit(self, statement: tuple, signatures: bytes | None = None, sender=None):
        previous, root, epoch, _, total, content = statement
        if signatures is None:
            signatures = self.quorum_for(statement)
        sender = (sender or self.actors.relayer).account
        return self.suite.distributor.submitRoot(previous, root, epoch, total, content, signatures, {"from": sender})

    def quorum_for(self, statement: tuple, signers=(0, 1, 2)) -> bytes:
        return quorum(self.attestors, digest(self.suite.distributor, "RewardRoot", *statement), signers)

    def post(self, root: bytes, total: int, previous: bytes = NOTHING, epoch: int = 1):
        return self.submit(self.statement(root, total, previous, epoch))

    def activate(self, root: bytes) -> None:
        activates_at = self.suite.distributor.recordOf(root)[0]
        if activates_at > now():
            mine_at(activates_at)

    def challenger(self, bonds: int = 1):
        """Somebody who can pay for challenges."""
        actor = self.actors.challenger
        bond = self.suite.distributor.challengeTerms()[0] * bonds
        self.fund(actor, bond)
        self.suite.token.approve(self.suite.distributor, bond, {"from": actor.account})
        return actor

    def reward(self, entries: list[tuple[str, int]], previous: bytes = NOTHING, epoch: int = 1) -> Tree:
        """Fees for all that is missing, a root over `entries` in force, and the pool filled from it."""
        tree = rewards(entries)
        total = sum(amount for _, amount in entries)
        missing = total - self.suite.distributor.ledger()[0]
        if missing > 0:
            self.collect_fees(missing)
        self.post(tree.root, total, previous, epoch)
        self.activate(tree.root)
        if self.suite.distributor.ledger()[1] < total:
            _, length, refilled_at = self.suite.distributor.poolLimit()
            if now() < refilled_at + length:
                mine_at(refilled_at + length + 1)
            self.suite.distributor.refill(tree.root, {"from": self.actors.relayer.account})
        return tree


__all__ = ["BATCH", "CONTENT", "NOTHING", "OPEN", "Money"]

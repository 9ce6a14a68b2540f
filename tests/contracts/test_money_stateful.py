"""Random lives of the three contracts that hold money; what must always be true is looked at after every step.

Attestors of this machine lie as they like within what the chain lets them sign: leaves may promise more than was
collected.
"""

from __future__ import annotations

from inspect import signature
from random import Random

from brownie import reverts
from brownie.test import strategy
from eth_utils import keccak
from hypothesis import Phase

from clock import DAY, mine_at, now
from conftest import impersonated, refusal
from merkle import rewards
from money import NOTHING
from suite import OPEN

SUPPLY = 1_000_000_000 * OPEN
CAP = 400 * OPEN
EPOCH = DAY
CHALLENGE_BOND = 10 * OPEN
# Between a look at the clock and the transaction that follows it.
MARGIN = 60

DRAWN = {
    "who": lambda lot: lot.randrange(2),
    "account": lambda lot: lot.randrange(3),
    "amount": lambda lot: lot.randint(1, 300 * OPEN),
    "part": lambda lot: lot.randint(1, 4),
    "seconds": lambda lot: lot.randint(1, 5 * DAY),
    "lane": lambda lot: lot.random() < 0.5,
    "lie": lambda lot: lot.random() < 0.5,
}


class MoneyMachine:
    st_lot = strategy("uint256")

    def __init__(cls, money):
        cls.money = money
        cls.token, cls.escrow, cls.distributor = money.suite.token, money.suite.escrow, money.suite.distributor
        cls.timelock = impersonated(money.suite.timelock.address)
        actors = money.actors
        cls.consumers = [actors.consumer, actors.second_consumer]
        cls.earners = [actors.contributor, actors.second_contributor, actors.builder]
        cls.key, cls.thief, cls.challenger = actors.session_key, actors.thief, actors.challenger
        cls.sender = {"from": actors.relayer.account}
        cls.distributor.setPoolLimit(CAP, EPOCH, {"from": cls.timelock})
        cls.distributor.setChallengeTerms(CHALLENGE_BOND, 2 * DAY, {"from": cls.timelock})
        for actor in (*cls.consumers, cls.thief):
            money.fund(actor, 100_000 * OPEN)
            cls.token.approve(cls.escrow, 2**256 - 1, {"from": actor.account})
        money.fund(cls.challenger, 100_000 * OPEN)
        cls.token.approve(cls.distributor, 2**256 - 1, {"from": cls.challenger.account})
        suite = money.suite
        contracts = (suite.token, suite.escrow, suite.distributor, suite.attestors, suite.timelock)
        cls.holders = [contract.address for contract in contracts] + [
            actor.address for actor in (actors.holder, *cls.consumers, *cls.earners, cls.thief, cls.challenger)
        ]

    def setup(self):
        self.deposited = dict.fromkeys(range(2), 0)
        self.withdrawn = dict.fromkeys(range(2), 0)
        self.signed = {(who, lane): 0 for who in range(2) for lane in (False, True)}
        self.vouchers = []
        self.chain = []
        self.pending = None
        self.challenges = {}
        self.posted = 0
        self.highest = {earner.address: 0 for earner in self.earners}
        self.promised = dict(self.highest)
        self.credited = dict(self.highest)
        self.outflows = []

    def rule_step(self, st_lot):
        """One step by lot. Rules of their own would be drawn far less evenly, and some never in a run this short."""
        lot = Random(st_lot)
        step = getattr(self, lot.choice(STEPS))
        chosen = {name: DRAWN[name](lot) for name in list(signature(step).parameters)}
        print(step.__name__, chosen)
        step(**chosen)

    def initialize_deposits(self):
        for who in range(2):
            self.step_deposit(who, 100 * OPEN)
            self.step_open_session(who, 50 * OPEN)

    # Consumers

    def step_deposit(self, who, amount):
        self.escrow.deposit(amount, {"from": self.consumers[who].account})
        self.deposited[who] += amount

    def step_grief(self, who):
        self.escrow.depositFor(self.consumers[who].address, 1, {"from": self.thief.account})
        self.deposited[who] += 1

    def step_settle(self, who, lane, amount):
        consumer = self.consumers[who]
        cumulative = self.spent(who, lane) + amount
        voucher = self.money.voucher(consumer, cumulative, key=self.key if lane else None)
        self.signed[who, lane] = max(self.signed[who, lane], cumulative)
        self.vouchers.append(voucher)
        self.money.settle(voucher, voucher)

    def step_replay(self, part):
        self.money.settle(*self.vouchers[-part:], *self.vouchers[:part])

    def step_forge(self, who, lane, amount):
        cumulative = self.signed[who, lane] + amount
        key = self.key if lane else None
        forged = self.money.voucher(self.consumers[who], cumulative, key=key, signer=self.thief)
        assert self.money.settle(forged).return_value == 0

    def step_open_session(self, who, amount):
        consumer = self.consumers[who]
        cap, _, expires_at = self.escrow.sessionOf(consumer.address, self.key.address)
        end = max(expires_at, now() + 4 * DAY)
        self.escrow.openSession(self.key.address, cap + amount, end, {"from": consumer.account})

    def step_revoke_session(self, who):
        consumer = self.consumers[who]
        if self.escrow.sessionOf(consumer.address, self.key.address)[2] > now() + MARGIN:
            self.escrow.revokeSession(self.key.address, {"from": consumer.account})

    def step_request_withdrawal(self, who, part):
        consumer = self.consumers[who]
        amount = self.escrow.accountOf(consumer.address)[0] // part
        if amount:
            self.escrow.requestWithdrawal(amount, {"from": consumer.account})

    def step_withdraw(self, who):
        consumer = self.consumers[who]
        amount, ready_at = self.escrow.withdrawalOf(consumer.address)
        if amount == 0:
            return
        if now() + MARGIN < ready_at:
            with reverts(refusal("WithdrawalNotReady", ready_at)):
                self.escrow.withdraw(consumer.address, {"from": consumer.account})
            mine_at(ready_at)
        due = min(amount, self.escrow.accountOf(consumer.address)[0])
        assert self.escrow.withdraw(consumer.address, {"from": consumer.account}).return_value == due
        self.withdrawn[who] += due

    # Roots

    def step_post(self, account, amount, part, lie):
        """The next root: a part of what is undistributed to one account, or a lie about it."""
        if self.pending:
            return
        earlier = self.chain[-1]["total"] if self.chain else 0
        share = (self.distributor.ledger()[0] - earlier) // part
        leaves = dict(self.promised)
        leaves[self.earners[account].address] += share + amount if lie else share
        self.posted += 1
        entries = [*leaves.items(), (f"0x{0x1000 + self.posted:040x}", 0)]
        tree = rewards(entries)
        total = earlier + share
        self.money.post(tree.root, total, self.chain[-1]["tree"].root if self.chain else NOTHING, len(self.chain) + 1)
        self.pending = {"tree": tree, "entries": entries, "total": total, "leaves": leaves}

    def step_activate(self):
        if self.pending:
            self.money.activate(self.pending["tree"].root)

    def step_veto(self):
        if self.stoppable():
            self.distributor.veto(self.pending["tree"].root, {"from": self.money.actors.guardian.account})
            self.pending = None

    def step_challenge(self):
        if self.stoppable():
            root = self.pending["tree"].root
            tx = self.distributor.challenge(root, keccak(text="wrong"), {"from": self.challenger.account})
            self.challenges[tx.return_value] = {**self.pending, "epoch": len(self.chain) + 1}
            self.pending = None

    def step_reject(self):
        for number in list(self.challenges)[:1]:
            if now() + MARGIN < self.distributor.challengeOf(number)[3]:
                stopped = self.challenges.pop(number)
                tx = self.distributor.rejectChallenge(number, {"from": self.timelock})
                restored = self.pending is None and stopped["epoch"] == len(self.chain) + 1
                assert (tx.events["ChallengeRejected"]["activatesAt"] != 0) == restored
                if restored:
                    self.pending = stopped

    def step_return_bond(self):
        for number in list(self.challenges)[:1]:
            deadline = self.distributor.challengeOf(number)[3]
            if now() <= deadline:
                mine_at(deadline + 1)
            before = self.token.balanceOf(self.challenger.address)
            self.distributor.returnChallengeBond(number, self.sender)
            assert self.token.balanceOf(self.challenger.address) == before + CHALLENGE_BOND
            del self.challenges[number]

    # Rewards

    def step_refill(self):
        self.advance()
        if not self.chain:
            return
        _, length, refilled_at = self.distributor.poolLimit()
        if now() <= refilled_at + length:
            mine_at(refilled_at + length + 1)
            self.advance()
        newest = self.chain[-1]
        if self.token.rewardPool() < CAP // 2 and newest["total"] > self.distributor.ledger()[1]:
            self.distributor.refill(newest["tree"].root, self.sender)

    def step_claim(self, account, part):
        """Out of the newest root or an older one, twice: the second pays nothing."""
        self.advance()
        if not self.chain:
            return
        chosen = self.chain[-part % len(self.chain)]
        earner, cumulative = chosen["entries"][account]
        claim = (earner, cumulative, chosen["tree"].proof(account))
        due = min(max(cumulative - self.token.credited(earner), 0), self.token.rewardPool())
        tx = self.distributor.claimMany([claim, claim], self.sender)
        assert tx.return_value == due
        self.outflows.append((tx.timestamp, tx.return_value))

    def step_push(self):
        self.advance()
        if self.chain:
            newest = self.chain[-1]
            leaves = [int(account, 16) << 96 | cumulative for account, cumulative in newest["entries"]]
            tx = self.distributor.pushSubtree(leaves, [], self.sender)
            self.outflows.append((tx.timestamp, tx.return_value))

    def step_whole_round(self, who, account, amount, part):
        """Used, paid, attributed, claimed: the way of an honest day."""
        self.step_deposit(who, amount)
        self.step_settle(who, False, amount)
        self.advance()
        self.step_post(account, amount, part, False)
        self.step_activate()
        self.step_refill()
        self.step_claim(account, 1)

    def step_spend(self, account, part):
        """What was earned is spent; the lifetime credit stays."""
        earner = self.earners[account]
        value = self.token.balanceOf(earner.address) // part
        self.token.transfer(self.consumers[0].address, value, {"from": earner.account})

    def step_wait(self, seconds):
        mine_at(now() + seconds)

    # Always

    def invariant_balances_and_pool_sum_to_the_supply(self):
        assert sum(self.token.balanceOf(holder) for holder in self.holders) == SUPPLY

    def invariant_escrow_holds_all_its_balances(self):
        balances = [self.escrow.accountOf(consumer.address)[0] for consumer in self.consumers]
        assert self.token.balanceOf(self.escrow.address) >= sum(balances)

    def invariant_distributor_holds_what_it_owes(self):
        collected, funded = self.distributor.ledger()
        bonds = len(self.challenges) * CHALLENGE_BOND
        assert funded <= collected
        assert self.token.balanceOf(self.distributor.address) >= collected - funded + bonds

    def invariant_credited_never_falls_nor_exceeds_the_highest_leaf(self):
        self.advance()
        pool, (_, funded) = self.token.rewardPool(), self.distributor.ledger()
        for account, before in self.credited.items():
            self.credited[account] = self.token.credited(account)
            assert before <= self.credited[account] <= self.highest[account]
        assert sum(self.credited.values()) + pool == funded

    def invariant_no_more_than_a_cap_leaves_within_an_epoch(self):
        for start, _ in self.outflows:
            assert sum(amount for moment, amount in self.outflows if start <= moment < start + EPOCH) <= CAP

    def invariant_nobodys_withdrawal_is_blocked(self):
        for consumer in self.consumers:
            amount, ready_at = self.escrow.withdrawalOf(consumer.address)
            if amount and now() >= ready_at:
                due = min(amount, self.escrow.accountOf(consumer.address)[0])
                assert self.escrow.withdraw.call(consumer.address, {"from": consumer.account}) == due

    def invariant_nobody_pays_more_than_signed(self):
        for who, consumer in enumerate(self.consumers):
            own, session = self.spent(who, False), self.spent(who, True)
            cap = self.escrow.sessionOf(consumer.address, self.key.address)[0]
            assert own <= self.signed[who, False]
            assert session <= min(self.signed[who, True], cap)
            paid = own + session + self.withdrawn[who]
            assert self.escrow.accountOf(consumer.address)[0] == self.deposited[who] - paid

    # The machine's own view

    def spent(self, who, lane):
        consumer = self.consumers[who].address
        if lane:
            return self.escrow.sessionOf(consumer, self.key.address)[1]
        return self.escrow.accountOf(consumer)[1]

    def stoppable(self):
        """Whether a root still waits, with a few seconds to spare for the transaction."""
        self.advance()
        return self.pending and self.distributor.recordOf(self.pending["tree"].root)[0] > now() + MARGIN

    def advance(self):
        """A root whose time has come is in force."""
        if self.pending and self.distributor.isActive(self.pending["tree"].root):
            self.chain.append(self.pending)
            self.promised = self.pending["leaves"]
            for account, leaf in self.pending["leaves"].items():
                self.highest[account] = max(self.highest[account], leaf)
            self.pending = None


STEPS = sorted(name for name in vars(MoneyMachine) if name.startswith("step_"))


def test_money__when_anything_happens_in_any_order__then_nobody_loses_any(state_machine, money):
    # Steps are printed as they are taken; to shrink a failure would replay hundreds of lives. The first ten are short.
    phases = [Phase.generate]
    state_machine(MoneyMachine, money, settings={"max_examples": 20, "stateful_step_count": 20, "phases": phases})

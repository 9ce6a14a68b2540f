"""Random walks over the attestors' seats. After every step the chain must agree with a model half a page long."""

from random import Random
from types import SimpleNamespace

import brownie
import pytest
from brownie import chain
from eth_utils import keccak

from batches import Batch, Receipt
from conftest import impersonated, refusal
from contributions import fund
from suite import OPEN

BOND = 100_000 * OPEN
WALKS, STEPS = 6, 40
ACTIONS = "raise_bond rotate leave withdraw join slash time".split()


class Seats:
    """The chain's attestors beside the model of them."""

    def __init__(self, suite, actors, attestor_actors):
        self.suite, self.actors, self.attestor_actors = suite, actors, attestor_actors
        self.governance = {"from": impersonated(self.suite.timelock.address)}
        self.keys = self.treasury = 0
        self.seats = [
            SimpleNamespace(bond=BOND, leaves_at=0, admitted=True, slashed=False, key=signer.address)
            for _, signer in self.attestor_actors
        ]

    def step(self, chance: Random):
        drawn = SimpleNamespace(
            place=chance.randrange(5),
            amount=chance.randint(1, 50_000 * OPEN),
            flag=chance.random() < 0.5,
            days=chance.randint(1, 15),
        )
        getattr(self, chance.choice(ACTIONS))(drawn)

    def check(self):
        self.weight_is_the_sum_of_seated_bonds()
        self.tokens_cover_the_bonds_of_attestors()
        self.treasury_has_its_part()

    def seat(self, place):
        operator, signer = self.attestor_actors[place]
        return self.seats[place], operator, signer

    def raise_bond(self, d):
        place, amount = d.place, d.amount
        seat, operator, _ = self.seat(place)
        sender = {"from": operator.account}
        if not seat.bond or seat.leaves_at or seat.bond + amount > 2 * BOND:
            with brownie.reverts():
                self.suite.attestors.raiseBond(amount, sender)
            return
        self.suite.attestors.raiseBond(amount, sender)
        seat.bond += amount

    def new_key(self) -> str:
        self.keys += 1
        return brownie.web3.to_checksum_address(keccak(text=f"key {self.keys}")[:20])

    def rotate(self, d):
        """To a new key, or back to the very first one."""
        place, flag = d.place, d.flag
        seat, operator, signer = self.seat(place)
        if not seat.bond or seat.leaves_at:
            return
        seat.key = signer.address if flag else self.new_key()
        self.suite.attestors.rotateKey(seat.key, {"from": operator.account})

    def leave(self, d):
        place, flag = d.place, d.flag
        seat, operator, _ = self.seat(place)
        if not seat.bond or seat.leaves_at:
            return
        if flag and seat.admitted:
            tx = self.suite.attestors.expel(operator.address, self.governance)
            seat.admitted = False
        else:
            tx = self.suite.attestors.announceExit({"from": operator.account})
        seat.leaves_at = tx.events["ExitAnnounced"]["leavesAt"]

    def withdraw(self, d):
        place = d.place
        seat, operator, _ = self.seat(place)
        if not seat.leaves_at or chain[-1].timestamp < seat.leaves_at:
            return
        self.suite.attestors.withdrawBond(operator.address, {"from": operator.account})
        seat.bond = seat.leaves_at = 0

    def join(self, d):
        place, amount = d.place, d.amount
        seat, operator, _ = self.seat(place)
        if seat.bond:
            return
        if seat.slashed:
            with brownie.reverts(refusal("WasSlashed", operator.address)):
                self.suite.attestors.admit(operator.address, self.governance)
            return
        if not seat.admitted:
            self.suite.attestors.admit(operator.address, self.governance)
            seat.admitted = True
        seat.key, seat.bond = self.new_key(), BOND + amount
        self.suite.attestors.join(seat.key, seat.bond, {"from": operator.account})

    def slash(self, d):
        """The very first key signs a header that does not sum up; its owner answers for it whatever key it has now."""
        place = d.place
        seat, _, signer = self.seat(place)
        receipt = Receipt(0, self.actors.consumer.address, 1, 1, 1, 0, ())
        batch = Batch([receipt], overrides={"fees": 2})
        signature = signer.sign(batch.statement.digest(self.suite.distributor))
        evidence = (batch.statement.struct, signature, batch.header.struct, {"from": self.actors.finder.account})
        if not seat.bond:
            with brownie.reverts():
                self.suite.attestors.proveHeaderSum(*evidence)
            return
        self.suite.attestors.proveHeaderSum(*evidence)
        self.treasury += seat.bond - seat.bond // 5
        seat.bond, seat.leaves_at, seat.admitted, seat.slashed = 0, 0, False, True

    def time(self, d):
        days = d.days
        chain.sleep(days * 86_400)
        chain.mine()

    # What must always hold

    def weight_is_the_sum_of_seated_bonds(self):
        seated = [seat for seat in self.seats if seat.bond and not seat.leaves_at]
        assert tuple(self.suite.attestors.totals())[:2] == (sum(seat.bond for seat in seated), len(seated))
        for seat in self.seats:
            weight = seat.bond if seat in seated else 0
            assert self.suite.attestors.seatOf(seat.key)[1] == weight

    def tokens_cover_the_bonds_of_attestors(self):
        assert self.suite.token.balanceOf(self.suite.attestors) == sum(seat.bond for seat in self.seats)
        for place, seat in enumerate(self.seats):
            bond = tuple(self.suite.attestors.bondOf(self.attestor_actors[place][0].address))
            assert bond[:4] == (seat.bond, seat.leaves_at, seat.admitted, seat.slashed)

    def treasury_has_its_part(self):
        assert self.suite.token.balanceOf(self.suite.timelock) == self.treasury


@pytest.fixture(scope="module")
def funded(suite, actors, attestor_actors):
    for operator, _ in attestor_actors:
        fund(suite, actors, operator, 50_000_000 * OPEN, suite.attestors)


@pytest.mark.parametrize("seed", range(WALKS))
def test_attestors__when_walked_at_random__then_the_chain_agrees_with_the_model(
    suite, actors, attestor_actors, funded, seed
):
    """The seed is the whole of the chance: a walk that fails once fails always."""
    seats, chance = Seats(suite, actors, attestor_actors), Random(seed)
    for _ in range(STEPS):
        seats.step(chance)
        seats.check()

"""Random walks over datanets. After every step the chain must agree with a model a page long."""

from random import Random
from types import SimpleNamespace

import brownie
import pytest
from brownie import chain
from eth_utils import keccak

from conftest import refusal
from contributions import FAR, NO_HASH, Contribution, fold, fund, log_of, open_datanet, outcomes_digest, row_leaf
from suite import OPEN

DATANETS = 2
REVIEWED, FORCED_BOND = keccak(text="reasons"), 10 * OPEN
WEEK = 604_800
ROW, SLASH = keccak(text="the one row"), 100 * OPEN
PENALTIES = 3 * SLASH
WALKS, STEPS = 8, 60
ACTIONS = (
    "contribute contribute_by_sig contribute_many contribute_forced record_outcome record_outcome prove_neglect"
    " post_bond exit_bond accuse accuse refute settle time"
).split()


class Datanets:
    """The chain's datanets beside the model of them."""

    def __init__(self, suite, actors, numbers):
        self.suite, self.actors, self.numbers = suite, actors, numbers
        self.people = (self.actors.contributor, self.actors.second_contributor)
        self.logs = {number: [] for number in self.numbers}
        self.datanet_bonds = dict.fromkeys(self.numbers, 1_000 * OPEN)
        self.bonds = {(number, person.address): PENALTIES for number in self.numbers for person in self.people}
        self.ready = {}
        self.forced, self.decided = {}, set()
        self.known, self.outcomes, self.accusations = {}, {}, {}
        self.treasury = 0

    def step(self, chance: Random):
        drawn = SimpleNamespace(
            place=chance.randrange(5),
            datanet=chance.randrange(DATANETS),
            count=chance.randint(1, 5),
            amount=chance.randint(1, 300 * OPEN),
            flag=chance.random() < 0.5,
            days=chance.randint(1, 15),
        )
        getattr(self, chance.choice(ACTIONS))(drawn)

    def check(self):
        self.accumulator()
        self.tokens_cover_the_bonds_of_datanets()
        self.treasury_has_its_part()

    # Datanets

    def made(self, place, datanet, count):
        person = self.people[place % 2]
        contribution = Contribution(
            person.address, self.numbers[datanet], rows_root=row_leaf(person.address, ROW), count=count
        )
        self.known[contribution.name] = contribution
        return person, contribution

    def contribute(self, d):
        place, datanet, count = d.place, d.datanet, d.count
        person, contribution = self.made(place, datanet, count)
        self.suite.datanets.contribute(*contribution.content, {"from": person.account})
        self.logs[contribution.datanet].append(contribution.name)

    def contribute_by_sig(self, d):
        place, datanet, count = d.place, d.datanet, d.count
        person, contribution = self.made(place, datanet, count)
        signature = person.sign(contribution.digest(self.suite.datanets))
        relayer = {"from": self.actors.relayer.account}
        self.suite.datanets.contributeBySig(contribution.struct, FAR, signature, relayer)
        self.logs[contribution.datanet].append(contribution.name)

    def contribute_many(self, d):
        """Every other item is signed by a thief if the flag says so; those leave no trace in the accumulator."""
        place, datanet, count, flag = d.place, d.datanet, d.count, d.flag
        items, names = [], []
        for number in range(place):
            person, contribution = self.made(number, datanet, count)
            stolen = flag and number % 2 == 1
            signer = self.actors.thief if stolen else person
            items.append(contribution.signed_rows(signer.sign(contribution.digest(self.suite.datanets))))
            names += [] if stolen else [contribution.name]
        number = self.numbers[datanet]
        relayer = {"from": self.actors.relayer.account}
        accepted = self.suite.datanets.contributeMany(number, items, False, relayer).return_value
        assert accepted == len(names)
        self.logs[number] += names

    def contribute_forced(self, d):
        place, datanet, count = d.place, d.datanet, d.count
        person, contribution = self.made(place, datanet, count)
        name = contribution.name
        if name in self.forced or name in self.decided:
            with brownie.reverts():
                self.suite.datanets.contributeForced(*contribution.content, {"from": person.account})
            return
        tx = self.suite.datanets.contributeForced(*contribution.content, {"from": person.account})
        deadline = tx.events["InclusionForced"]["deadline"]
        entry = SimpleNamespace(datanet=contribution.datanet, deadline=deadline, open=True, neglected=False)
        self.forced[name] = entry
        self.logs[contribution.datanet].append(name)

    def record_outcome(self, d):
        place, datanet, flag = d.place, d.datanet, d.flag
        number = self.numbers[datanet]
        waiting = [name for name in self.logs[number] if name not in self.decided]
        if not waiting:
            return
        name = waiting[place % len(waiting)]
        outcomes = [(name, self.known[name].rows_root if flag else NO_HASH, int(flag), REVIEWED)]
        signature = self.actors.reviewer.sign(outcomes_digest(self.suite.datanets, number, outcomes))
        self.suite.datanets.recordOutcomes(number, outcomes, signature, {"from": self.actors.relayer.account})
        self.decided.add(name)
        self.outcomes[name] = outcomes[0]
        if name in self.forced:
            self.forced[name].open = False

    def prove_neglect(self, d):
        place = d.place
        if not self.forced:
            return
        name = list(self.forced)[place % len(self.forced)]
        entry = self.forced[name]
        due = entry.open and not entry.neglected and chain[-1].timestamp > entry.deadline
        finder = {"from": self.actors.finder.account}
        if not due:
            if entry.open and not entry.neglected:
                return
            with brownie.reverts():
                self.suite.datanets.proveNeglect(entry.datanet, name, finder)
            return
        self.suite.datanets.proveNeglect(entry.datanet, name, finder)
        entry.neglected = True
        penalty = min(FORCED_BOND, self.datanet_bonds[entry.datanet])
        self.datanet_bonds[entry.datanet] -= penalty
        self.treasury += penalty - penalty // 2

    def post_bond(self, d):
        place, datanet, amount = d.place, d.datanet, d.amount
        person, number = self.people[place % 2], self.numbers[datanet]
        self.suite.datanets.postBond(number, amount, {"from": person.account})
        at = (number, person.address)
        self.bonds[at] = self.bonds.get(at, 0) + amount
        self.ready.pop(at, None)

    def exit_bond(self, d):
        place, datanet = d.place, d.datanet
        person, number = self.people[place % 2], self.numbers[datanet]
        at, sender = (number, person.address), {"from": person.account}
        if at not in self.bonds:
            with brownie.reverts():
                self.suite.datanets.announceBondExit(number, sender)
        elif at not in self.ready:
            self.suite.datanets.announceBondExit(number, sender)
            self.ready[at] = chain[-1].timestamp + WEEK
        elif chain[-1].timestamp >= self.ready[at]:
            self.suite.datanets.withdrawBond(number, sender)
            del self.bonds[at], self.ready[at]

    # Copies: every contribution holds the one row, so whoever came later can be accused

    def first_places(self, number) -> dict:
        """Where each name stands in the log first."""
        first = {}
        for place, name in enumerate(self.logs[number]):
            first.setdefault(name, place)
        return first

    def segment(self, number, place) -> tuple:
        names = self.logs[number]
        return (fold(NO_HASH, names[:place]), names[place + 1 :])

    def accuse(self, d):
        """The last name in the log, at its last place, over somebody's accepted contribution before."""
        number = self.numbers[d.datanet]
        names = self.logs[number]
        if not names:
            return
        newer, last = self.known[names[-1]], len(names) - 1
        accepted = [
            (place, self.known[name])
            for name, place in self.first_places(number).items()
            if name in self.outcomes and self.outcomes[name][1] != NO_HASH
        ]
        others = [(place, older) for place, older in accepted if older.contributor != newer.contributor]
        if not others:
            return
        place, older = others[0]
        outcome = self.outcomes[older.name]
        at = (number, newer.contributor)
        evidence = (older.struct, newer.struct, ROW, outcome, [], [])
        proof = (*evidence, self.segment(number, place), self.segment(number, last))
        finder = {"from": self.actors.finder.account}
        if newer.name in self.accusations:
            with brownie.reverts(refusal("AlreadyAccused", newer.name)):
                self.suite.datanets.accuseDuplicate(proof, finder)
            return
        bond = self.bonds.get(at, 0)
        if bond < SLASH:
            with brownie.reverts(refusal("BondTooSmall", bond, SLASH)):
                self.suite.datanets.accuseDuplicate(proof, finder)
            return
        tx = self.suite.datanets.accuseDuplicate(proof, finder)
        self.bonds[at] = bond - SLASH
        deadline = tx.events["DuplicateAccused"]["deadline"]
        entry = SimpleNamespace(at=at, older_place=place, deadline=deadline, settled=False)
        self.accusations[newer.name] = entry

    def accused(self, place):
        """One of the accusations that stand."""
        standing = [name for name, entry in self.accusations.items() if not entry.settled]
        return (None, None) if not standing else (one := standing[place % len(standing)], self.accusations[one])

    def refute(self, d):
        name, entry = self.accused(d.place)
        if not name:
            return
        number = entry.at[0]
        place = self.first_places(number)[name]
        evidence = (name, self.segment(number, place), {"from": self.actors.relayer.account})
        if place > entry.older_place:
            with brownie.reverts(refusal("NotARefutation", name, place, entry.older_place)):
                self.suite.datanets.refuteDuplicate(*evidence)
            return
        self.suite.datanets.refuteDuplicate(*evidence)
        self.bonds[entry.at] = self.bonds.get(entry.at, 0) + SLASH
        self.ready.pop(entry.at, None)
        del self.accusations[name]

    def settle(self, d):
        name, entry = self.accused(d.place)
        if not name:
            return
        if chain[-1].timestamp <= entry.deadline:
            return
        self.suite.datanets.settleDuplicate(name, {"from": self.actors.relayer.account})
        entry.settled = True
        self.treasury += SLASH - SLASH // 5

    def time(self, d):
        days = d.days
        chain.sleep(days * 86_400)
        chain.mine()

    # What must always hold

    def accumulator(self):
        for number, names in self.logs.items():
            assert bytes(self.suite.datanets.accumulatorOf(number)) == fold(NO_HASH, names)

    def tokens_cover_the_bonds_of_datanets(self):
        pending = sum(FORCED_BOND for entry in self.forced.values() if entry.open)
        pending += sum(2 * SLASH for entry in self.accusations.values() if not entry.settled)
        expected = sum(self.datanet_bonds.values()) + sum(self.bonds.values()) + pending
        assert self.suite.token.balanceOf(self.suite.datanets) == expected
        for number, bond in self.datanet_bonds.items():
            assert self.suite.datanets.datanetOf(number)[4] == bond
        for (number, account), bond in self.bonds.items():
            assert self.suite.datanets.bondOf(number, account)[0] == bond

    def treasury_has_its_part(self):
        assert self.suite.token.balanceOf(self.suite.timelock) == self.treasury

    def check_log(self):
        """The log alone, read from the beginning, comes to what the chain holds."""
        for number, names in self.logs.items():
            assert log_of(self.suite.datanets, number) == names


@pytest.fixture(scope="module")
def numbers(suite, actors):
    """The datanets, with everybody funded for as long a walk as there is."""
    for person in (actors.contributor, actors.second_contributor):
        fund(suite, actors, person, 10_000_000 * OPEN, suite.datanets)
    fund(suite, actors, actors.finder, 10_000_000 * OPEN, suite.datanets)
    opened = [open_datanet(suite, actors, [actors.reviewer], 1) for _ in range(DATANETS)]
    for number in opened:
        for person in (actors.contributor, actors.second_contributor):
            suite.datanets.postBond(number, PENALTIES, {"from": person.account})
    return opened


@pytest.mark.parametrize("seed", range(WALKS))
def test_datanets__when_walked_at_random__then_the_chain_agrees_with_the_model(suite, actors, numbers, seed):
    """The seed is the whole of the chance: a walk that fails once fails always."""
    datanets, chance = Datanets(suite, actors, numbers), Random(seed)
    for _ in range(STEPS):
        datanets.step(chance)
        datanets.check()
    datanets.check_log()

"""Roots and claims: what posting, stopping, claiming and pushing cost on a tree of a million accounts."""

from __future__ import annotations

import random
from dataclasses import dataclass

from web3 import Web3

from .deployed import OPEN, ZERO_WORD, Deployed, Person
from .reward_tree import DEPTH, EPOCHS, Population, RewardTree, keccak, population

FULL_ACCOUNTS = 1_000_000
QUICK_ACCOUNTS = 2**14
CLAIMS = 9
SUBTREES = 3
HEIGHT = 6
PUSHED = 2**HEIGHT
DELEGATE_CLAIMS = 3
NEVER = 2**40 - 1


@dataclass(frozen=True)
class Leaf:
    """One account's claim in one epoch."""

    account: str
    packed: int
    cumulative: int
    proof: list[bytes]


@dataclass(frozen=True)
class Epoch:
    """What the chain has to be shown of one epoch's tree. `total` is the sum of all its leaves."""

    root: bytes
    total: int
    claims: list[Leaf]
    claims_to: list[Leaf]
    subtrees: list[tuple[list[Leaf], list[bytes]]]


@dataclass(frozen=True)
class Rewards:
    """Both epochs of one population, and the owners of the accounts that sign."""

    accounts: int
    owners: list[Person]
    epochs: list[Epoch]


def build_rewards(seed: int, quick: bool) -> Rewards:
    """Builds the trees and keeps of each only what is going to be claimed."""
    count = QUICK_ACCOUNTS if quick else FULL_ACCOUNTS
    chosen = random.Random(seed)
    runs = chosen.sample(range(count // PUSHED), SUBTREES)
    pushed = {index for run in runs for index in range(run * PUSHED, (run + 1) * PUSHED)}
    # An account that is pushed to cannot also claim first, so as many are drawn as may have to be passed over.
    drawn = chosen.sample(range(count), CLAIMS + DELEGATE_CLAIMS + len(pushed))
    single = [index for index in drawn if index not in pushed]
    claimed, signed = single[:CLAIMS], single[CLAIMS : CLAIMS + DELEGATE_CLAIMS]
    owners = [Person(seed, f"owner {index}") for index in signed]
    people = population(seed, count, {index: owner.account for index, owner in zip(signed, owners)})
    epochs = []
    for epoch in range(EPOCHS):
        tree = RewardTree(people.accounts, people.cumulative[epoch], seed)
        epochs.append(
            Epoch(
                root=tree.root,
                total=people.total(epoch),
                claims=[_leaf(tree, people, epoch, index) for index in claimed],
                claims_to=[_leaf(tree, people, epoch, index) for index in signed],
                subtrees=[
                    (
                        [_leaf(tree, people, epoch, index) for index in range(run * PUSHED, (run + 1) * PUSHED)],
                        tree.proof(run * PUSHED, HEIGHT),
                    )
                    for run in runs
                ],
            )
        )
    return Rewards(count, owners, epochs)


def _leaf(tree: RewardTree, people: Population, epoch: int, index: int) -> Leaf:
    account, cumulative = people.accounts[index], people.cumulative[epoch][index]
    proof = tree.proof(index)
    assert len(proof) == DEPTH
    packed = int.from_bytes(account, "big") << 96 | cumulative
    return Leaf(Web3.to_checksum_address(account), packed, cumulative, proof)


def measure_rewards(deployed: Deployed, rewards: Rewards) -> None:
    _collect_fees(deployed, rewards.epochs[-1].total + OPEN)
    for number, epoch in enumerate(rewards.epochs, start=1):
        times = "first" if number == 1 else "repeat"
        _post(deployed, rewards, number, "submit_first" if number == 1 else "post_root_3of5")
        _measure_stops(deployed, epoch.root, times)
        deployed.chain.advance(deployed.parameters["distributor"]["delay"])
        _refill(deployed, epoch.root, times)
        _measure_claims(deployed, rewards, epoch, times)


def _collect_fees(deployed: Deployed, amount: int) -> None:
    """Brings real fees into the reserve: a root cannot promise more than was collected."""
    consumer, escrow = deployed.people.consumer, deployed.parts.escrow
    deployed.fund(consumer, amount)
    deployed.approve(consumer, escrow, amount)
    escrow.send(consumer.address, "deposit", amount)
    digest = escrow.read("voucherDigest", consumer.address, consumer.address, amount, NEVER)
    voucher = (consumer.address, consumer.address, amount, NEVER, consumer.sign(digest))
    escrow.send(deployed.people.relayer.address, "settle", keccak(b"fees"), [voucher])


def _post(deployed: Deployed, rewards: Rewards, number: int, figure: str) -> None:
    epoch, distributor = rewards.epochs[number - 1], deployed.parts.distributor
    previous = ZERO_WORD if number == 1 else rewards.epochs[number - 2].root
    content = keccak(b"batch %d" % number)
    round_ = distributor.read("state")[3]
    digest = distributor.read("rootDigest", (previous, epoch.root, number, round_, epoch.total, content))
    fields = (previous, epoch.root, number, epoch.total, content, deployed.quorum(digest))
    deployed.measured.add(figure, distributor.send(deployed.people.relayer.address, "submitRoot", *fields))


def _measure_stops(deployed: Deployed, root: bytes, times: str) -> None:
    """A veto and a challenge of the pending root, each undone. Figures are those of a chain of roots in use."""
    if times == "first":
        return
    distributor, people, chain = deployed.parts.distributor, deployed.people, deployed.chain
    bond = deployed.parameters["distributor"]["challenge_bond"] * OPEN
    deployed.fund(people.challenger, 2 * bond)
    deployed.approve(people.challenger, distributor, bond)
    before = chain.snapshot()
    deployed.measured.add("veto", distributor.send(people.guardian.address, "veto", root))
    chain.revert(before)
    before = chain.snapshot()
    gas = distributor.send(people.challenger.address, "challenge", root, keccak(b"reason"))
    deployed.measured.add("challenge", gas)
    chain.revert(before)


def _refill(deployed: Deployed, root: bytes, times: str) -> None:
    deployed.chain.advance(deployed.parameters["distributor"]["epoch_length"])
    gas = deployed.parts.distributor.send(deployed.people.relayer.address, "refill", root)
    if times == "repeat":
        deployed.measured.add("refill", gas)


def _measure_claims(deployed: Deployed, rewards: Rewards, epoch: Epoch, times: str) -> None:
    distributor, people = deployed.parts.distributor, deployed.people
    for leaf in epoch.claims:
        gas = distributor.send(people.stranger.address, "claim", leaf.account, leaf.cumulative, leaf.proof)
        deployed.measured.add(f"claim_{times}_1m", gas)
    for leaves, proof in epoch.subtrees:
        gas = distributor.send(people.stranger.address, "pushSubtree", [leaf.packed for leaf in leaves], proof)
        deployed.measured.add(f"push64_{times}", gas, PUSHED)
    if times == "repeat":
        return
    for number, (owner, leaf) in enumerate(zip(rewards.owners, epoch.claims_to)):
        recipient = Person(deployed.seed, f"cold wallet {number}").address
        digest = distributor.read("claimDigest", owner.address, recipient, leaf.cumulative, NEVER)
        fields = (owner.address, recipient, leaf.cumulative, leaf.proof, NEVER, owner.sign(digest))
        deployed.measured.add("claim_to", distributor.send(people.stranger.address, "claimTo", *fields))

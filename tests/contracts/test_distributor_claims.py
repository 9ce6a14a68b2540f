"""Claims: what a leaf says, once, to whom it says, for ever."""

import brownie
import pytest
from eth_utils import to_checksum_address

from clock import FOREVER, at, mine_at, now
from conftest import ZERO, refusal
from merkle import node, reward_leaf, rewards
from money import NOTHING
from suite import OPEN


@pytest.fixture(scope="module")
def entries(actors):
    return [
        (actors.contributor.address, 10 * OPEN),
        (actors.second_contributor.address, 20 * OPEN),
        (actors.builder.address, 30 * OPEN),
        (actors.steward.address, 40 * OPEN),
    ]


@pytest.fixture(scope="module")
def tree(money, entries):
    """In force, with the pool filled for it."""
    return money.reward(entries)


@pytest.fixture(scope="module")
def distributor(suite, tree):
    return suite.distributor


@pytest.fixture
def sender(actors):
    return {"from": actors.relayer.account}


# Leaves


def test_leaf__then_it_is_the_double_hash_of_the_standard_tree(distributor, actors):
    account = actors.contributor.address
    for cumulative in (0, 1, 10 * OPEN, 2**96, FOREVER):
        assert bytes(distributor.leafOf(account, cumulative)) == reward_leaf(account, cumulative)


def test_claim__when_in_the_tree__then_anybody_sends_it_and_the_account_is_paid(
    distributor, suite, tree, entries, sender
):
    for index, (account, amount) in enumerate(entries):
        tx = distributor.claim(account, amount, tree.proof(index), sender)
        assert tx.return_value == amount
        assert dict(tx.events["Transfer"]) == {"from": suite.token.address, "to": account, "value": amount}
        assert suite.token.balanceOf(account) == suite.token.credited(account) == amount
    assert suite.token.rewardPool() == 0


def test_claim__when_replayed__then_it_pays_nothing(distributor, suite, tree, entries, sender):
    account, amount = entries[0]
    distributor.claim(account, amount, tree.proof(0), sender)
    with brownie.reverts(refusal("NothingToClaim", account, amount)):
        distributor.claim(account, amount, tree.proof(0), sender)
    assert suite.token.balanceOf(account) == amount


def test_claim__when_a_thief_runs_ahead__then_the_account_has_its_money_all_the_same(
    distributor, suite, tree, entries, actors
):
    account, amount = entries[0]
    distributor.claim(account, amount, tree.proof(0), {"from": actors.thief.account})
    assert suite.token.balanceOf(account) == amount
    assert suite.token.balanceOf(actors.thief.address) == 0


def test_claim__when_of_more_than_the_leaf_says__then_the_proof_fails(distributor, tree, entries, sender):
    account, amount = entries[0]
    computed = node(node(reward_leaf(account, amount + 1), tree.layers[0][1]), tree.layers[1][1])
    with brownie.reverts(refusal("RootNotActive", computed, 0)):
        distributor.claim(account, amount + 1, tree.proof(0), sender)


def test_claim__when_with_anothers_proof__then_the_proof_fails(distributor, tree, entries, actors, sender):
    thief = actors.thief.address
    computed = node(node(reward_leaf(thief, 10 * OPEN), tree.layers[0][1]), tree.layers[1][1])
    with brownie.reverts(refusal("RootNotActive", computed, 0)):
        distributor.claim(thief, 10 * OPEN, tree.proof(0), sender)


def test_claim__when_an_inner_node_is_passed_off_as_a_leaf__then_it_is_none(distributor, tree, sender):
    left, right = sorted(tree.layers[0][:2])
    account, cumulative = to_checksum_address(left[12:]), int.from_bytes(right, "big")
    computed = node(reward_leaf(account, cumulative), tree.layers[1][1])
    with brownie.reverts(refusal("RootNotActive", computed, 0)):
        distributor.claim(account, cumulative, tree.proof(0, height=1), sender)


def test_claim__when_the_root_itself_is_claimed_without_a_proof__then_it_is_no_leaf(distributor, tree, sender):
    account, cumulative = to_checksum_address(tree.root[12:]), 1
    with brownie.reverts(refusal("RootNotActive", reward_leaf(account, cumulative), 0)):
        distributor.claim(account, cumulative, [], sender)


@pytest.mark.parametrize("change", ["shorter", "longer", "swapped"])
def test_claim__when_the_proof_is_mangled__then_it_fails(distributor, tree, entries, sender, change):
    account, amount = entries[0]
    below, above = tree.proof(0)
    proof = {"shorter": [below], "longer": [below, above, NOTHING], "swapped": [above, below]}[change]
    computed = reward_leaf(account, amount)
    for sibling in proof:
        computed = node(computed, sibling)
    with brownie.reverts(refusal("RootNotActive", computed, 0)):
        distributor.claim(account, amount, proof, sender)


def test_claim__when_the_padding_is_claimed__then_nobody_is_paid(distributor, money, tree, entries, sender):
    odd = money.reward([(account, 40 * OPEN) for account, _ in entries[:3]], tree.root, 2)
    with brownie.reverts(refusal("ERC20InvalidReceiver", ZERO)):
        distributor.claim(ZERO, 0, odd.proof(3), sender)


def test_claim__when_the_root_waits__then_one_second_early_is_refused_and_then_it_pays(
    suite, money, tree, entries, sender
):
    account, amount = entries[0]
    later = rewards([(account, amount)])
    money.post(later.root, sum(a for _, a in entries), tree.root, 2)
    activates_at = suite.distributor.recordOf(later.root)[0]
    at(activates_at - 1)
    with brownie.reverts(refusal("RootNotActive", later.root, activates_at)):
        suite.distributor.claim(account, amount, [], sender)
    at(activates_at)
    suite.distributor.claim(account, amount, [], sender)
    assert suite.token.credited(account) == amount


# Old roots


def test_claim__when_newer_roots_came__then_the_old_one_still_pays_and_the_newer_the_rest(
    distributor, suite, money, tree, entries, sender
):
    account, amount = entries[0]
    newer = money.reward([(account, amount + 5 * OPEN), *entries[1:]], tree.root, 2)
    money.reward([(account, amount + 6 * OPEN), *entries[1:]], newer.root, 3)
    assert distributor.claim(account, amount, tree.proof(0), sender).return_value == amount
    assert distributor.claim(account, amount + 5 * OPEN, newer.proof(0), sender).return_value == 5 * OPEN
    assert suite.token.credited(account) == amount + 5 * OPEN


def test_claim__when_the_newer_root_was_claimed_first__then_the_old_one_pays_nothing(
    distributor, money, tree, entries, sender
):
    account, amount = entries[0]
    newer = money.reward([(account, amount + 5 * OPEN), *entries[1:]], tree.root, 2)
    assert distributor.claim(account, amount + 5 * OPEN, newer.proof(0), sender).return_value == amount + 5 * OPEN
    with brownie.reverts(refusal("NothingToClaim", account, amount)):
        distributor.claim(account, amount, tree.proof(0), sender)


def test_claim__when_the_leaf_fell__then_nobody_pays_back_and_nothing_is_due(
    distributor, suite, money, tree, entries, sender
):
    account, amount = entries[0]
    distributor.claim(account, amount, tree.proof(0), sender)
    fallen = money.reward([(account, amount - 1), (entries[1][0], 100 * OPEN)], tree.root, 2)
    with brownie.reverts(refusal("NothingToClaim", account, amount - 1)):
        distributor.claim(account, amount - 1, fallen.proof(0), sender)
    assert suite.token.credited(account) == suite.token.balanceOf(account) == amount


def test_claim__when_the_leaf_exceeds_96_bits__then_it_is_refused(distributor, money, tree, entries, sender):
    account = entries[0][0]
    liar = rewards([(account, 2**96)])
    money.post(liar.root, 100 * OPEN, tree.root, 2)
    money.activate(liar.root)
    with brownie.reverts(refusal("CreditTooLarge", 2**96)):
        distributor.claim(account, 2**96, [], sender)


def test_claim__when_the_pool_is_short__then_it_pays_in_parts(
    distributor, suite, money, tree, entries, sender, as_timelock
):
    account, amount = entries[0]
    distributor.claimMany([(a, v, tree.proof(i)) for i, (a, v) in enumerate(entries)], sender)
    distributor.setPoolLimit(8 * OPEN, 600, {"from": as_timelock})
    newer = money.reward([(account, amount + 5 * OPEN), *entries[1:]], tree.root, 2)
    assert distributor.claim(account, amount + 5 * OPEN, newer.proof(0), sender).return_value == 4 * OPEN
    with brownie.reverts(refusal("NothingToClaim", account, amount + 5 * OPEN)):
        distributor.claim(account, amount + 5 * OPEN, newer.proof(0), sender)
    mine_at(now() + 601)
    distributor.refill(newer.root, sender)
    assert distributor.claim(account, amount + 5 * OPEN, newer.proof(0), sender).return_value == OPEN
    assert suite.token.credited(account) == amount + 5 * OPEN

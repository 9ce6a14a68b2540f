"""What governance does about a root that slipped through its window, and about attestors who are split."""

import brownie
import pytest
from eth_utils import keccak

from clock import DAY, at
from conftest import refusal
from merkle import rewards
from suite import OPEN

WINDOW = 30 * DAY
CONDEMNED = 2**40 - 2
FEES = 1_000 * OPEN
NEXT, AFTER_NEXT = (keccak(text=f"root after the condemned one {n}") for n in range(2))


@pytest.fixture(scope="module")
def bad(suite, money, actors):
    """A root in force that gives everything to the thief; the pool is empty yet."""
    money.collect_fees(FEES)
    tree = rewards([(actors.thief.address, 2**96 - 1)])
    money.post(tree.root, FEES // 2)
    money.activate(tree.root)
    return tree


@pytest.fixture
def distributor(suite, bad):
    return suite.distributor


# Condemning


def test_condemn__when_governance_does__then_the_root_pays_nobody_and_funds_nothing(
    distributor, bad, actors, as_timelock
):
    tx = distributor.condemn(bad.root, {"from": as_timelock})
    assert dict(tx.events["RootCondemned"]) == {"root": "0x" + bad.root.hex(), "epoch": 1}
    assert tuple(distributor.recordOf(bad.root)) == (CONDEMNED, 1, FEES // 2)
    assert distributor.isActive(bad.root) is False
    with brownie.reverts(refusal("RootNotActive", bad.root, CONDEMNED)):
        distributor.claim(actors.thief.address, 2**96 - 1, bad.proof(0), {"from": actors.thief.account})
    with brownie.reverts(refusal("RootNotActive", bad.root, CONDEMNED)):
        distributor.refill(bad.root, {"from": actors.thief.account})


@pytest.mark.parametrize("caller", ["thief", "guardian", "holder", "challenger"])
def test_condemn__when_anybody_else_calls__then_it_is_refused(distributor, bad, actors, caller):
    sender = getattr(actors, caller)
    with brownie.reverts(refusal("OnlyGovernance", sender.address)):
        distributor.condemn(bad.root, {"from": sender.account})


def test_condemn__when_in_the_last_second_of_its_window__then_it_is_in_time(distributor, bad, as_timelock):
    at(distributor.recordOf(bad.root)[0] + WINDOW)
    distributor.condemn(bad.root, {"from": as_timelock})
    assert distributor.recordOf(bad.root)[0] == CONDEMNED


def test_condemn__when_one_second_later__then_the_root_is_good_for_ever(distributor, bad, as_timelock):
    until = distributor.recordOf(bad.root)[0] + WINDOW
    at(until + 1)
    with brownie.reverts(refusal("WindowClosed", bad.root, until)):
        distributor.condemn(bad.root, {"from": as_timelock})
    assert distributor.isActive(bad.root) is True


def test_condemn__when_pending_unknown_or_condemned_before__then_it_is_refused(distributor, bad, money, as_timelock):
    money.post(NEXT, FEES, previous=bad.root, epoch=2)
    with brownie.reverts(refusal("RootNotActive", NEXT, distributor.recordOf(NEXT)[0])):
        distributor.condemn(NEXT, {"from": as_timelock})
    with brownie.reverts(refusal("RootNotActive", AFTER_NEXT, 0)):
        distributor.condemn(AFTER_NEXT, {"from": as_timelock})
    distributor.condemn(bad.root, {"from": as_timelock})
    with brownie.reverts(refusal("RootNotActive", bad.root, CONDEMNED)):
        distributor.condemn(bad.root, {"from": as_timelock})


def test_condemned_root__when_the_next_one_is_active__then_its_owners_are_paid(
    distributor, bad, money, actors, as_timelock
):
    distributor.condemn(bad.root, {"from": as_timelock})
    good = rewards([(actors.contributor.address, FEES)])
    money.post(good.root, FEES, previous=bad.root, epoch=2)
    money.activate(good.root)
    distributor.refill(good.root, {"from": actors.relayer.account})
    tx = distributor.claim(actors.contributor.address, FEES, good.proof(0), {"from": actors.relayer.account})
    assert tx.return_value == FEES


# A round without a quorum


def test_skip_round__when_governance_does__then_old_signatures_are_void_and_new_ones_good(
    distributor, bad, money, as_timelock
):
    statement = money.statement(NEXT, FEES, previous=bad.root, epoch=2)
    signatures = money.quorum_for(statement)
    tx = distributor.skipRound({"from": as_timelock})
    assert dict(tx.events["RoundSkipped"]) == {"round": 1}
    assert tuple(distributor.state()[2:]) == (1, 1)
    with brownie.reverts():
        money.submit(statement, signatures)
    money.post(NEXT, FEES, previous=bad.root, epoch=2)
    assert tuple(distributor.state()[2:]) == (2, 1)


@pytest.mark.parametrize("caller", ["thief", "guardian", "holder"])
def test_skip_round__when_anybody_else_calls__then_it_is_refused(distributor, actors, caller):
    sender = getattr(actors, caller)
    with brownie.reverts(refusal("OnlyGovernance", sender.address)):
        distributor.skipRound({"from": sender.account})


# Refills from old roots


def test_refill__when_the_root_is_two_behind_the_head__then_it_is_too_old(distributor, bad, money, actors):
    money.post(NEXT, FEES, previous=bad.root, epoch=2)
    money.activate(NEXT)
    money.post(AFTER_NEXT, FEES, previous=NEXT, epoch=3)
    with brownie.reverts(refusal("RootTooOld", bad.root, 3)):
        distributor.refill(bad.root, {"from": actors.thief.account})
    tx = distributor.refill(NEXT, {"from": actors.relayer.account})
    assert tx.return_value == FEES

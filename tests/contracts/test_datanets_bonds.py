"""Contributors stand in for what they contribute; a bond leaves only after its delay."""

import brownie
import pytest

from conftest import refusal
from contributions import fund, next_block_at, open_datanet
from suite import OPEN

BOND = 250 * OPEN


@pytest.fixture(scope="module")
def datanet(suite, actors):
    return open_datanet(suite, actors, [actors.reviewer], 1)


@pytest.fixture(scope="module")
def bonded(suite, actors, datanet):
    fund(suite, actors, actors.contributor, BOND, suite.datanets)
    suite.datanets.postBond(datanet, BOND, {"from": actors.contributor.account})


def test_post_bond__when_posted_twice__then_the_sums_add_up_and_a_begun_exit_is_off(suite, actors, datanet, bonded):
    contributor = actors.contributor
    suite.datanets.announceBondExit(datanet, {"from": contributor.account})
    fund(suite, actors, contributor, OPEN, suite.datanets)
    tx = suite.datanets.postBond(datanet, OPEN, {"from": contributor.account})
    event = tx.events["ContributorBonded"]
    assert (event["datanet"], event["account"], event["bond"]) == (datanet, contributor.address, BOND + OPEN)
    assert tuple(suite.datanets.bondOf(datanet, contributor.address)) == (BOND + OPEN, 0)
    with brownie.reverts(refusal("BondNotReady", 0)):
        suite.datanets.withdrawBond(datanet, {"from": contributor.account})


def test_post_bond__when_it_is_nothing__then_it_is_refused(suite, actors, datanet):
    with brownie.reverts(refusal("OutOfBounds", 0, 1, 2**96 - 1)):
        suite.datanets.postBond(datanet, 0, {"from": actors.thief.account})


def test_post_bond__when_it_does_not_fit__then_it_is_refused(suite, actors, datanet):
    with brownie.reverts(refusal("OutOfBounds", 2**96, 1, 2**96 - 1)):
        suite.datanets.postBond(datanet, 2**96, {"from": actors.thief.account})


def test_post_bond__when_the_datanet_does_not_exist__then_it_is_refused(suite, actors, datanet):
    with brownie.reverts(refusal("UnknownDatanet", datanet + 1)):
        suite.datanets.postBond(datanet + 1, 1, {"from": actors.contributor.account})


def test_withdraw_bond__when_the_delay_has_passed__then_it_is_paid_and_not_a_second_before(
    suite, actors, datanet, bonded
):
    contributor = actors.contributor
    tx = suite.datanets.announceBondExit(datanet, {"from": contributor.account})
    ready = tx.timestamp + 604_800
    assert tx.events["ContributorBondExit"]["readyAt"] == ready
    next_block_at(ready - 1)
    with brownie.reverts(refusal("BondNotReady", ready)):
        suite.datanets.withdrawBond(datanet, {"from": contributor.account})
    next_block_at(ready)
    tx = suite.datanets.withdrawBond(datanet, {"from": contributor.account})
    assert tx.events["ContributorBondWithdrawn"]["amount"] == BOND
    assert suite.token.balanceOf(contributor.address) == BOND


@pytest.mark.parametrize("function", ["announceBondExit", "withdrawBond"])
def test_bond_exit__when_nothing_is_bonded__then_it_is_refused(suite, actors, datanet, function):
    with brownie.reverts(refusal("NoBond", actors.thief.address)):
        getattr(suite.datanets, function)(datanet, {"from": actors.thief.account})

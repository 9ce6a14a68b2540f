"""OPEN as an ERC-20: a fixed supply that only moves."""

import brownie
import pytest

from clock import FOREVER
from conftest import ZERO, refusal
from suite import OPEN

SUPPLY = 1_000_000_000 * OPEN


@pytest.fixture(scope="module")
def token(suite, money, actors):
    money.fund(actors.contributor, 100 * OPEN)
    return suite.token


def test_deployment__then_the_holder_has_the_whole_supply_and_it_is_announced(doubles, actors):
    token = actors.deployer.account.deploy(doubles.OpenToken, actors.holder.address, actors.thief.address)
    assert (token.name(), token.symbol(), token.decimals()) == ("OpenLedger", "OPEN", 18)
    assert token.totalSupply() == token.TOTAL_SUPPLY() == token.balanceOf(actors.holder.address) == SUPPLY
    assert token.DISTRIBUTOR() == actors.thief.address
    assert dict(token.tx.events["Transfer"]) == {"from": ZERO, "to": actors.holder.address, "value": SUPPLY}


def test_deployment__when_nobody_would_hold_the_supply__then_it_is_refused(doubles, actors):
    deployer = actors.deployer.account
    with brownie.reverts(refusal("ERC20InvalidReceiver", ZERO)):
        deployer.deploy(doubles.OpenToken, ZERO, actors.thief.address)
    itself = deployer.get_deployment_address()
    with brownie.reverts(refusal("ERC20InvalidReceiver", itself)):
        deployer.deploy(doubles.OpenToken, itself, actors.thief.address)


def test_deployment__when_it_would_have_no_distributor__then_it_is_refused(doubles, actors):
    with brownie.reverts(refusal("OnlyDistributor", ZERO)):
        actors.deployer.account.deploy(doubles.OpenToken, actors.holder.address, ZERO)


def test_transfer__when_balance_suffices__then_exactly_the_value_moves(token, actors):
    sender, receiver = actors.contributor, actors.recipient
    tx = token.transfer(receiver.address, 30 * OPEN, {"from": sender.account})
    assert tx.return_value is True
    assert dict(tx.events["Transfer"]) == {"from": sender.address, "to": receiver.address, "value": 30 * OPEN}
    assert token.balanceOf(sender.address) == 70 * OPEN
    assert token.balanceOf(receiver.address) == 30 * OPEN


def test_transfer__when_it_is_the_whole_balance__then_nothing_stays(token, actors):
    token.transfer(actors.recipient.address, 100 * OPEN, {"from": actors.contributor.account})
    assert token.balanceOf(actors.contributor.address) == 0


def test_transfer__when_one_wei_is_missing__then_it_is_refused(token, actors):
    wanted = 100 * OPEN + 1
    with brownie.reverts(refusal("ERC20InsufficientBalance", actors.contributor.address, 100 * OPEN, wanted)):
        token.transfer(actors.recipient.address, wanted, {"from": actors.contributor.account})


@pytest.mark.parametrize("value", [2**96, 2**96 + 1, 2**192, FOREVER])
def test_transfer__when_the_value_exceeds_its_field_of_the_slot__then_it_is_refused(token, actors, value):
    with brownie.reverts(refusal("ERC20InsufficientBalance", actors.contributor.address, 100 * OPEN, value)):
        token.transfer(actors.recipient.address, value, {"from": actors.contributor.account})


def test_transfer__when_the_whole_supply_moves__then_it_fits(doubles, actors):
    token = actors.deployer.account.deploy(doubles.OpenToken, actors.holder.address, actors.deployer.address)
    token.transfer(actors.recipient.address, SUPPLY, {"from": actors.holder.account})
    assert token.balanceOf(actors.recipient.address) == SUPPLY
    assert token.credited(actors.recipient.address) == 0


def test_transfer__when_to_oneself__then_nothing_changes(token, actors):
    token.transfer(actors.contributor.address, 100 * OPEN, {"from": actors.contributor.account})
    assert token.balanceOf(actors.contributor.address) == 100 * OPEN


def test_transfer__when_of_nothing__then_it_succeeds_with_an_event(token, actors):
    tx = token.transfer(actors.recipient.address, 0, {"from": actors.thief.account})
    assert tx.events["Transfer"]["value"] == 0


def test_transfer__when_to_the_token_itself__then_the_pool_takes_no_gifts(token, actors):
    with brownie.reverts(refusal("ERC20InvalidReceiver", token.address)):
        token.transfer(token.address, 1, {"from": actors.contributor.account})
    assert token.rewardPool() == token.balanceOf(token.address) == 0


def test_transfer__when_to_nobody__then_it_is_refused(token, actors):
    with brownie.reverts(refusal("ERC20InvalidReceiver", ZERO)):
        token.transfer(ZERO, 1, {"from": actors.contributor.account})


def test_approve__then_the_allowance_stands_and_replaces_the_last(token, actors):
    owner, spender = actors.contributor, actors.steward
    token.approve(spender.address, 10, {"from": owner.account})
    tx = token.approve(spender.address, 7, {"from": owner.account})
    assert tx.return_value is True
    assert dict(tx.events["Approval"]) == {"owner": owner.address, "spender": spender.address, "value": 7}
    assert token.allowance(owner.address, spender.address) == 7
    assert token.allowance(spender.address, owner.address) == 0


def test_approve__when_for_nobody__then_it_is_refused(token, actors):
    with brownie.reverts(refusal("ERC20InvalidSpender", ZERO)):
        token.approve(ZERO, 1, {"from": actors.contributor.account})


def test_transfer_from__when_allowed__then_it_moves_and_the_allowance_falls(token, actors):
    owner, spender = actors.contributor, actors.steward
    token.approve(spender.address, 40 * OPEN, {"from": owner.account})
    tx = token.transferFrom(owner.address, actors.recipient.address, 30 * OPEN, {"from": spender.account})
    assert tx.return_value is True
    assert token.allowance(owner.address, spender.address) == 10 * OPEN
    assert token.balanceOf(actors.recipient.address) == 30 * OPEN
    with brownie.reverts(refusal("ERC20InsufficientAllowance", spender.address, 10 * OPEN, 10 * OPEN + 1)):
        token.transferFrom(owner.address, spender.address, 10 * OPEN + 1, {"from": spender.account})
    token.transferFrom(owner.address, spender.address, 10 * OPEN, {"from": spender.account})
    assert token.allowance(owner.address, spender.address) == 0


def test_transfer_from__when_the_allowance_has_no_end__then_it_stays(token, actors):
    owner, spender = actors.contributor, actors.steward
    token.approve(spender.address, FOREVER, {"from": owner.account})
    token.transferFrom(owner.address, spender.address, 30 * OPEN, {"from": spender.account})
    assert token.allowance(owner.address, spender.address) == FOREVER


def test_transfer_from__when_never_allowed__then_a_thief_gets_nothing(token, actors):
    with brownie.reverts(refusal("ERC20InsufficientAllowance", actors.thief.address, 0, 1)):
        token.transferFrom(actors.contributor.address, actors.thief.address, 1, {"from": actors.thief.account})


def test_transfer_from__when_allowed_more_than_there_is__then_it_is_refused_and_the_allowance_stays(token, actors):
    owner, spender = actors.contributor, actors.steward
    token.approve(spender.address, 101 * OPEN, {"from": owner.account})
    with brownie.reverts(refusal("ERC20InsufficientBalance", owner.address, 100 * OPEN, 101 * OPEN)):
        token.transferFrom(owner.address, spender.address, 101 * OPEN, {"from": spender.account})
    assert token.allowance(owner.address, spender.address) == 101 * OPEN


def test_transfer_from__when_to_the_token_or_to_nobody__then_it_is_refused(token, actors):
    owner, spender = actors.contributor, actors.steward
    token.approve(spender.address, 2, {"from": owner.account})
    for receiver in (token.address, ZERO):
        with brownie.reverts(refusal("ERC20InvalidReceiver", receiver)):
            token.transferFrom(owner.address, receiver, 1, {"from": spender.account})

"""Credits out of the reward pool: what the distributor may do to the token, and nobody else."""

import brownie
import pytest

from conftest import ZERO, impersonated, refusal
from suite import OPEN

POOL = 1_000 * OPEN
MOST = 2**96 - 1


@pytest.fixture(scope="module")
def distributor(suite):
    return impersonated(suite.distributor.address)


@pytest.fixture(scope="module")
def token(suite, money, distributor):
    """The pool holds POOL, the distributor as much again."""
    money.fund(distributor, 2 * POOL)
    suite.token.fundRewardPool(POOL, {"from": distributor})
    return suite.token


def packed(account, cumulative):
    return int(account, 16) << 96 | cumulative


def test_fund__when_the_distributor_funds__then_its_own_balance_becomes_the_pool(token, distributor):
    tx = token.fundRewardPool(7, {"from": distributor})
    assert dict(tx.events["Transfer"]) == {"from": distributor.address, "to": token.address, "value": 7}
    assert token.rewardPool() == token.balanceOf(token.address) == POOL + 7
    assert token.balanceOf(distributor.address) == POOL - 7


def test_fund__when_the_distributor_has_less__then_it_is_refused(token, distributor):
    with brownie.reverts(refusal("ERC20InsufficientBalance", distributor.address, POOL, POOL + 1)):
        token.fundRewardPool(POOL + 1, {"from": distributor})


@pytest.mark.parametrize("caller", ["thief", "holder", "guardian", "timelock", "deployer"])
def test_rewards__when_anybody_but_the_distributor_calls__then_each_is_refused(token, suite, actors, caller):
    sender = impersonated(suite.timelock.address) if caller == "timelock" else getattr(actors, caller).account
    refused = refusal("OnlyDistributor", sender.address)
    with brownie.reverts(refused):
        token.fundRewardPool(1, {"from": sender})
    with brownie.reverts(refused):
        token.credit(sender.address, sender.address, 1, {"from": sender})
    with brownie.reverts(refused):
        token.creditMany([packed(sender.address, 1)], {"from": sender})


def test_credit__when_due__then_the_pool_pays_and_the_lifetime_credit_rises(token, distributor, actors):
    account = actors.contributor.address
    tx = token.credit(account, account, 5 * OPEN, {"from": distributor})
    assert tx.return_value == 5 * OPEN
    assert dict(tx.events["Transfer"]) == {"from": token.address, "to": account, "value": 5 * OPEN}
    assert (token.balanceOf(account), token.credited(account)) == (5 * OPEN, 5 * OPEN)
    assert token.rewardPool() == POOL - 5 * OPEN


def test_credit__when_to_another_recipient__then_the_credit_is_the_accounts_and_the_money_the_recipients(
    token, distributor, actors
):
    account, recipient = actors.contributor.address, actors.recipient.address
    tx = token.credit(account, recipient, 5 * OPEN, {"from": distributor})
    assert dict(tx.events["Transfer"]) == {"from": token.address, "to": recipient, "value": 5 * OPEN}
    assert (token.balanceOf(account), token.credited(account)) == (0, 5 * OPEN)
    assert (token.balanceOf(recipient), token.credited(recipient)) == (5 * OPEN, 0)


def test_credit__when_cumulative__then_only_the_difference_is_paid(token, distributor, actors):
    account = actors.contributor.address
    token.credit(account, account, 5, {"from": distributor})
    assert token.credit(account, account, 8, {"from": distributor}).return_value == 3
    assert (token.balanceOf(account), token.credited(account)) == (8, 8)


@pytest.mark.parametrize("cumulative", [0, 4, 5])
def test_credit__when_reached_before__then_nothing_moves_and_the_credit_never_falls(
    token, distributor, actors, cumulative
):
    account = actors.contributor.address
    token.credit(account, account, 5, {"from": distributor})
    tx = token.credit(account, account, cumulative, {"from": distributor})
    assert tx.return_value == 0
    assert "Transfer" not in tx.events
    assert token.credited(account) == 5


def test_credit__when_the_pool_is_short__then_it_pays_what_there_is_and_the_rest_stays_due(token, distributor, actors):
    account = actors.contributor.address
    assert token.credit(account, account, POOL + 9, {"from": distributor}).return_value == POOL
    assert (token.rewardPool(), token.credited(account)) == (0, POOL)
    assert token.credit(account, account, POOL + 9, {"from": distributor}).return_value == 0
    token.fundRewardPool(20, {"from": distributor})
    assert token.credit(account, account, POOL + 9, {"from": distributor}).return_value == 9


def test_credit__when_spent_meanwhile__then_the_lifetime_credit_stands(token, distributor, actors):
    account = actors.contributor
    token.credit(account.address, account.address, 5, {"from": distributor})
    token.transfer(actors.recipient.address, 5, {"from": account.account})
    assert (token.balanceOf(account.address), token.credited(account.address)) == (0, 5)
    assert token.credit(account.address, account.address, 5, {"from": distributor}).return_value == 0


def test_credit__when_the_sum_fills_its_96_bits__then_it_is_good_and_one_more_is_refused(token, distributor, actors):
    account = actors.contributor.address
    assert token.credit(account, account, MOST, {"from": distributor}).return_value == POOL
    assert (token.balanceOf(account), token.credited(account)) == (POOL, POOL)
    with brownie.reverts(refusal("CreditTooLarge", MOST + 1)):
        token.credit(account, account, MOST + 1, {"from": distributor})


def test_credit__when_the_recipient_cannot_hold_open__then_it_is_refused(token, distributor, actors):
    for recipient in (ZERO, token.address):
        with brownie.reverts(refusal("ERC20InvalidReceiver", recipient)):
            token.credit(actors.contributor.address, recipient, 1, {"from": distributor})


def test_credit__when_the_account_is_the_pool__then_it_is_refused(token, distributor, actors):
    with brownie.reverts(refusal("ERC20InvalidSender", token.address)):
        token.credit(token.address, actors.thief.address, 1, {"from": distributor})
    assert token.rewardPool() == POOL


def test_credit__then_no_balance_but_the_pools_falls(token, distributor, actors, money):
    money.fund(actors.consumer, 11)
    money.fund(actors.contributor, 13)
    token.credit(actors.contributor.address, actors.recipient.address, 5, {"from": distributor})
    token.creditMany([packed(actors.contributor.address, 6)], {"from": distributor})
    assert token.balanceOf(actors.consumer.address) == 11
    assert token.balanceOf(actors.contributor.address) == 14
    assert token.balanceOf(distributor.address) == POOL


def test_credit_many__when_due__then_each_is_paid_to_itself(token, distributor, actors):
    first, second = actors.contributor.address, actors.second_contributor.address
    token.credit(second, second, 2, {"from": distributor})
    tx = token.creditMany([packed(first, 5), packed(second, 9)], {"from": distributor})
    assert tx.return_value == 12
    moved = [(event["from"], event["to"], event["value"]) for event in tx.events["Transfer"]]
    assert moved == [(token.address, first, 5), (token.address, second, 7)]
    assert (token.credited(first), token.credited(second)) == (5, 9)
    assert token.rewardPool() == POOL - 14


def test_credit_many__when_one_cannot_be_paid__then_it_is_passed_over(token, distributor, actors):
    account = actors.contributor.address
    done = actors.second_contributor.address
    token.credit(done, done, 4, {"from": distributor})
    listed = [packed(ZERO, 3), packed(token.address, 3), packed(done, 4), packed(account, 0), packed(account, 6)]
    tx = token.creditMany(listed, {"from": distributor})
    assert tx.return_value == 6
    assert len(tx.events["Transfer"]) == 1
    assert (token.credited(account), token.credited(done)) == (6, 4)
    assert token.rewardPool() == POOL - 10


def test_credit_many__when_one_account_comes_twice__then_it_is_paid_the_higher_sum_once(token, distributor, actors):
    account = actors.contributor.address
    tx = token.creditMany([packed(account, 5), packed(account, 5), packed(account, 8)], {"from": distributor})
    assert tx.return_value == 8
    assert (token.balanceOf(account), token.credited(account)) == (8, 8)


def test_credit_many__when_the_pool_runs_dry__then_those_who_come_later_wait(token, distributor, actors):
    first, second = actors.contributor.address, actors.second_contributor.address
    tx = token.creditMany([packed(first, POOL - 1), packed(second, 5), packed(first, POOL)], {"from": distributor})
    assert tx.return_value == POOL
    assert (token.credited(first), token.credited(second)) == (POOL - 1, 1)
    assert token.rewardPool() == 0


def test_credit_many__when_the_sum_fills_its_96_bits__then_the_fields_do_not_run_into_each_other(
    token, distributor, actors
):
    account = actors.contributor.address
    token.creditMany([packed(account, MOST)], {"from": distributor})
    assert (token.balanceOf(account), token.credited(account)) == (POOL, POOL)
    assert token.getVotes(account) == 0


def test_credit_many__when_empty__then_nothing_moves(token, distributor):
    assert token.creditMany([], {"from": distributor}).return_value == 0
    assert token.rewardPool() == POOL

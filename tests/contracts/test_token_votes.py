"""Votes follow balances, for those who delegated, by time in seconds."""

import brownie
import pytest

from clock import FOREVER, at, mine_at, now
from conftest import ZERO, impersonated, refusal
from suite import OPEN
from typed import digest, vrs


@pytest.fixture(scope="module")
def token(suite, money, actors):
    money.fund(actors.contributor, 100 * OPEN)
    money.fund(actors.consumer, 50 * OPEN)
    return suite.token


@pytest.fixture
def delegated(token, actors):
    """The contributor votes for itself."""
    token.delegate(actors.contributor.address, {"from": actors.contributor.account})
    return token


@pytest.fixture
def distributor(token, suite, money):
    sender = impersonated(suite.distributor.address)
    money.fund(sender, 100 * OPEN)
    token.fundRewardPool(100 * OPEN, {"from": sender})
    return sender


def test_clock__then_it_counts_seconds(token):
    assert token.CLOCK_MODE() == "mode=timestamp"
    assert token.clock() == now()


def test_delegate__when_never_done__then_a_holder_has_no_votes(token, actors):
    assert token.delegates(actors.contributor.address) == ZERO
    assert token.getVotes(actors.contributor.address) == 0


def test_delegate__when_to_oneself__then_the_balance_votes(token, actors):
    account = actors.contributor.address
    tx = token.delegate(account, {"from": actors.contributor.account})
    assert dict(tx.events["DelegateChanged"]) == {"delegator": account, "fromDelegate": ZERO, "toDelegate": account}
    assert dict(tx.events["DelegateVotesChanged"]) == {
        "delegate": account,
        "previousVotes": 0,
        "newVotes": 100 * OPEN,
    }
    assert token.getVotes(account) == 100 * OPEN
    assert token.balanceOf(account) == 100 * OPEN
    assert token.credited(account) == 0


def test_delegate__when_to_another_and_back_to_nobody__then_the_votes_follow(delegated, actors):
    token, account = delegated, actors.contributor
    token.delegate(actors.steward.address, {"from": account.account})
    assert (token.getVotes(account.address), token.getVotes(actors.steward.address)) == (0, 100 * OPEN)
    token.delegate(ZERO, {"from": account.account})
    assert token.getVotes(actors.steward.address) == 0
    token.transfer(actors.recipient.address, OPEN, {"from": account.account})
    assert token.getVotes(actors.steward.address) == 0


def test_transfer__when_the_sender_delegated__then_its_votes_fall(delegated, actors):
    delegated.transfer(actors.recipient.address, 30 * OPEN, {"from": actors.contributor.account})
    assert delegated.getVotes(actors.contributor.address) == 70 * OPEN
    assert delegated.getVotes(actors.recipient.address) == 0


def test_transfer__when_the_receiver_delegated__then_its_votes_rise(delegated, actors):
    delegated.transfer(actors.contributor.address, 20 * OPEN, {"from": actors.consumer.account})
    assert delegated.getVotes(actors.contributor.address) == 120 * OPEN


def test_transfer__when_both_delegated__then_votes_move_and_none_is_made(delegated, actors):
    delegated.delegate(actors.steward.address, {"from": actors.consumer.account})
    delegated.transfer(actors.consumer.address, 30 * OPEN, {"from": actors.contributor.account})
    assert delegated.getVotes(actors.contributor.address) == 70 * OPEN
    assert delegated.getVotes(actors.steward.address) == 80 * OPEN


def test_transfer__when_to_oneself__then_the_votes_stay(delegated, actors):
    delegated.transfer(actors.contributor.address, 30 * OPEN, {"from": actors.contributor.account})
    assert delegated.getVotes(actors.contributor.address) == 100 * OPEN


def test_credit__when_the_account_delegated__then_its_votes_rise(delegated, distributor, actors):
    account = actors.contributor.address
    delegated.credit(account, account, 5 * OPEN, {"from": distributor})
    assert delegated.getVotes(account) == 105 * OPEN
    delegated.creditMany([int(account, 16) << 96 | 8 * OPEN], {"from": distributor})
    assert delegated.getVotes(account) == 108 * OPEN


def test_credit__when_paid_to_another__then_the_votes_are_the_recipients(delegated, distributor, actors):
    account, recipient = actors.contributor.address, actors.recipient
    delegated.delegate(recipient.address, {"from": recipient.account})
    delegated.credit(account, recipient.address, 5 * OPEN, {"from": distributor})
    assert delegated.getVotes(account) == 100 * OPEN
    assert delegated.getVotes(recipient.address) == 5 * OPEN


def test_credit__when_the_recipient_never_delegated__then_it_has_no_votes(delegated, distributor, actors):
    delegated.credit(actors.contributor.address, actors.recipient.address, 5 * OPEN, {"from": distributor})
    assert delegated.getVotes(actors.recipient.address) == 0
    assert delegated.getVotes(actors.contributor.address) == 100 * OPEN


def test_delegate__when_after_credits__then_the_whole_balance_votes_and_the_credit_stands(token, distributor, actors):
    account = actors.contributor
    token.credit(account.address, account.address, 5 * OPEN, {"from": distributor})
    token.delegate(account.address, {"from": account.account})
    assert token.getVotes(account.address) == token.balanceOf(account.address) == 105 * OPEN
    assert token.credited(account.address) == 5 * OPEN


def test_past_votes__then_each_second_keeps_its_votes(delegated, actors):
    account = actors.contributor
    before = now()
    at(before + 100)
    delegated.transfer(actors.recipient.address, 30 * OPEN, {"from": account.account})
    mine_at(before + 101)
    assert delegated.getPastVotes(account.address, before + 99) == 100 * OPEN
    assert delegated.getPastVotes(account.address, before + 100) == 70 * OPEN
    assert delegated.getPastTotalSupply(before + 100) == 1_000_000_000 * OPEN


def test_past_votes__when_asked_about_now__then_it_is_refused(delegated, actors):
    moment = now()
    with brownie.reverts(refusal("ERC5805FutureLookup", moment, moment)):
        delegated.getPastVotes(actors.contributor.address, moment)


def test_delegate_by_signature__when_signed__then_it_counts_once(token, actors):
    account, delegatee = actors.contributor, actors.steward.address
    signature = vrs(account.sign(digest(token, "Delegation", delegatee, 0, FOREVER)))
    token.delegateBySig(delegatee, 0, FOREVER, *signature, {"from": actors.relayer.account})
    assert token.delegates(account.address) == delegatee
    assert token.getVotes(delegatee) == 100 * OPEN
    token.transfer(actors.recipient.address, OPEN, {"from": account.account})
    assert token.getVotes(delegatee) == 99 * OPEN
    with brownie.reverts(refusal("InvalidAccountNonce", account.address, 1)):
        token.delegateBySig(delegatee, 0, FOREVER, *signature, {"from": actors.thief.account})


def test_delegate_by_signature__when_one_second_late__then_it_is_refused(token, actors):
    expiry = now() + 100
    signature = vrs(actors.contributor.sign(digest(token, "Delegation", actors.steward.address, 0, expiry)))
    at(expiry + 1)
    with brownie.reverts(refusal("VotesExpiredSignature", expiry)):
        token.delegateBySig(actors.steward.address, 0, expiry, *signature, {"from": actors.relayer.account})

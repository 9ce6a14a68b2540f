"""Withdrawals: after the notice, without anybody's help, and nobody can stand in their way."""

import brownie
import pytest

from clock import at, mine_at, now
from conftest import ZERO, refusal
from suite import OPEN

NOTICE = 259_200


@pytest.fixture(scope="module")
def escrow(suite, money, actors):
    money.deposit(actors.consumer, 100 * OPEN)
    money.deposit(actors.second_consumer, 100 * OPEN)
    return suite.escrow


@pytest.fixture
def mine(actors):
    return {"from": actors.consumer.account}


@pytest.fixture
def requested(escrow, mine):
    """60 of the consumer's 100 OPEN announced; the second at which they can be taken."""
    return escrow.requestWithdrawal(60 * OPEN, mine).timestamp + NOTICE


def test_request__then_it_is_recorded_with_the_second_it_is_ready(escrow, actors, mine):
    tx = escrow.requestWithdrawal(60 * OPEN, mine)
    ready_at = tx.timestamp + NOTICE
    consumer = actors.consumer.address
    assert dict(tx.events["WithdrawalRequested"]) == {"consumer": consumer, "amount": 60 * OPEN, "readyAt": ready_at}
    assert tuple(escrow.withdrawalOf(consumer)) == (60 * OPEN, ready_at)
    assert escrow.accountOf(consumer)[0] == 100 * OPEN


def test_request__when_of_the_whole_balance__then_it_is_good_and_one_wei_more_is_refused(escrow, mine):
    with brownie.reverts(refusal("InsufficientBalance", 100 * OPEN + 1, 100 * OPEN)):
        escrow.requestWithdrawal(100 * OPEN + 1, mine)
    escrow.requestWithdrawal(100 * OPEN, mine)


def test_request__when_of_nothing__then_it_is_refused(escrow, mine):
    with brownie.reverts(refusal("ZeroAmount")):
        escrow.requestWithdrawal(0, mine)


def test_request__when_repeated__then_the_last_one_counts_from_its_own_second(escrow, actors, mine, requested):
    at(requested - 10)
    again = escrow.requestWithdrawal(5 * OPEN, mine).timestamp + NOTICE
    assert tuple(escrow.withdrawalOf(actors.consumer.address)) == (5 * OPEN, again)
    at(requested)
    with brownie.reverts(refusal("WithdrawalNotReady", again)):
        escrow.withdraw(actors.consumer.address, mine)


def test_withdraw__when_ready__then_the_announced_amount_is_paid_once(escrow, suite, actors, mine, requested):
    at(requested)
    tx = escrow.withdraw(actors.recipient.address, mine)
    consumer, recipient = actors.consumer.address, actors.recipient.address
    assert tx.return_value == 60 * OPEN
    assert dict(tx.events["Withdrawn"]) == {"consumer": consumer, "recipient": recipient, "amount": 60 * OPEN}
    assert suite.token.balanceOf(recipient) == 60 * OPEN
    assert tuple(escrow.accountOf(consumer)) == (40 * OPEN, 0)
    assert tuple(escrow.withdrawalOf(consumer)) == (0, 0)
    with brownie.reverts(refusal("NoWithdrawal", consumer)):
        escrow.withdraw(recipient, mine)


def test_withdraw__when_one_second_early__then_it_is_refused(escrow, mine, actors, requested):
    at(requested - 1)
    with brownie.reverts(refusal("WithdrawalNotReady", requested)):
        escrow.withdraw(actors.consumer.address, mine)


def test_withdraw__when_never_requested__then_it_is_refused(escrow, actors, requested):
    at(requested)
    with brownie.reverts(refusal("NoWithdrawal", actors.thief.address)):
        escrow.withdraw(actors.thief.address, {"from": actors.thief.account})
    assert escrow.accountOf(actors.consumer.address)[0] == 100 * OPEN


def test_withdraw__when_the_escrow_would_receive__then_it_is_refused(escrow, mine, requested):
    at(requested)
    with brownie.reverts(refusal("InvalidRecipient", escrow.address)):
        escrow.withdraw(escrow.address, mine)


def test_withdraw__when_nobody_or_the_pool_would_receive__then_the_request_stands(
    escrow, suite, actors, mine, requested
):
    mine_at(requested)
    for recipient in (ZERO, suite.token.address):
        with brownie.reverts(refusal("ERC20InvalidReceiver", recipient)):
            escrow.withdraw(recipient, mine)
    escrow.withdraw(actors.consumer.address, mine)


def test_cancel__then_the_request_is_gone(escrow, actors, mine, requested):
    tx = escrow.cancelWithdrawal(mine)
    assert dict(tx.events["WithdrawalCanceled"]) == {"consumer": actors.consumer.address}
    at(requested)
    with brownie.reverts(refusal("NoWithdrawal", actors.consumer.address)):
        escrow.withdraw(actors.consumer.address, mine)


def test_cancel__when_never_requested__then_it_is_refused(escrow, actors, requested):
    with brownie.reverts(refusal("NoWithdrawal", actors.thief.address)):
        escrow.cancelWithdrawal({"from": actors.thief.account})
    assert escrow.withdrawalOf(actors.consumer.address)[0] == 60 * OPEN


def test_withdraw__when_a_thief_deposits_for_the_consumer__then_nothing_is_delayed(
    escrow, suite, money, actors, mine, requested
):
    money.fund(actors.thief, 3)
    suite.token.approve(escrow, 3, {"from": actors.thief.account})
    kept = tuple(escrow.withdrawalOf(actors.consumer.address))
    for _ in range(3):
        escrow.depositFor(actors.consumer.address, 1, {"from": actors.thief.account})
    assert tuple(escrow.withdrawalOf(actors.consumer.address)) == kept
    at(requested)
    assert escrow.withdraw(actors.consumer.address, mine).return_value == 60 * OPEN
    assert escrow.accountOf(actors.consumer.address)[0] == 40 * OPEN + 3


def test_withdraw__when_governance_lengthens_the_notice__then_a_standing_request_keeps_its_own(
    escrow, actors, mine, requested, as_timelock
):
    escrow.setNotice(14 * 86_400, {"from": as_timelock})
    at(requested)
    assert escrow.withdraw(actors.consumer.address, mine).return_value == 60 * OPEN


def test_withdraw__when_vouchers_were_settled_during_the_notice__then_it_pays_what_is_left(
    escrow, suite, money, actors, mine, requested
):
    money.settle(money.voucher(actors.consumer, 70 * OPEN))
    at(requested)
    assert escrow.withdraw(actors.consumer.address, mine).return_value == 30 * OPEN
    assert suite.token.balanceOf(actors.consumer.address) == 30 * OPEN
    assert tuple(escrow.accountOf(actors.consumer.address)) == (0, 70 * OPEN)


def test_withdraw__when_vouchers_took_everything__then_it_pays_nothing_and_does_not_fail(
    escrow, suite, money, actors, mine, requested
):
    money.settle(money.voucher(actors.consumer, 100 * OPEN))
    at(requested)
    assert escrow.withdraw(actors.consumer.address, mine).return_value == 0
    assert tuple(escrow.withdrawalOf(actors.consumer.address)) == (0, 0)


def test_withdraw__when_done__then_a_voucher_takes_no_more_than_what_stayed(escrow, money, actors, mine, requested):
    at(requested)
    escrow.withdraw(actors.consumer.address, mine)
    assert money.settle(money.voucher(actors.consumer, 100 * OPEN)).return_value == 40 * OPEN
    assert tuple(escrow.accountOf(actors.consumer.address)) == (0, 40 * OPEN)


def test_withdraw__when_the_consumer_is_a_greedy_contract__then_it_is_paid_once(escrow, suite, money, doubles, actors):
    greedy = actors.thief.account.deploy(doubles.GreedyReceiver)
    execute = {"from": actors.thief.account}
    money.fund(greedy, 10 * OPEN)
    greedy.execute(suite.token.address, suite.token.approve.encode_input(escrow.address, 10 * OPEN), execute)
    greedy.execute(escrow.address, escrow.deposit.encode_input(10 * OPEN), execute)
    greedy.execute(escrow.address, escrow.requestWithdrawal.encode_input(10 * OPEN), execute)
    at(now() + NOTICE)
    tx = greedy.take(escrow.address, escrow.withdraw.encode_input(greedy.address), 3, execute)
    assert tx.return_value == 2
    assert suite.token.balanceOf(greedy.address) == 10 * OPEN
    assert greedy.callbacks() == 0
    assert suite.token.balanceOf(escrow.address) == 200 * OPEN

"""Deposits: four ways in, each booked to the consumer it names; and the notice that governance sets."""

import brownie
import pytest
from eth_utils import keccak

from clock import FOREVER, at, now
from conftest import impersonated, refusal
from suite import OPEN
from typed import digest, twin, vrs

DAY = 86_400
NONCE = keccak(text="deposit")


@pytest.fixture(scope="module")
def escrow(suite, money, actors):
    money.fund(actors.consumer, 100 * OPEN)
    money.fund(actors.thief, 100 * OPEN)
    return suite.escrow


@pytest.fixture(scope="module")
def token(suite):
    return suite.token


def allow(token, escrow, actor, amount):
    token.approve(escrow, amount, {"from": actor.account})


def booked(escrow, actor):
    return tuple(escrow.accountOf(actor.address))


# By allowance


def test_deposit__when_allowed__then_it_is_booked_and_held(escrow, token, actors):
    allow(token, escrow, actors.consumer, 100 * OPEN)
    tx = escrow.deposit(60 * OPEN, {"from": actors.consumer.account})
    consumer = actors.consumer.address
    assert dict(tx.events["Deposited"]) == {"consumer": consumer, "payer": consumer, "amount": 60 * OPEN}
    escrow.deposit(40 * OPEN, {"from": actors.consumer.account})
    assert booked(escrow, actors.consumer) == (100 * OPEN, 0)
    assert token.balanceOf(escrow.address) == 100 * OPEN


def test_deposit__when_of_nothing__then_it_is_refused(escrow, actors):
    with brownie.reverts(refusal("ZeroAmount")):
        escrow.deposit(0, {"from": actors.consumer.account})


def test_deposit__when_not_allowed__then_nothing_is_booked(escrow, token, actors):
    allow(token, escrow, actors.consumer, OPEN)
    with brownie.reverts(refusal("ERC20InsufficientAllowance", escrow.address, OPEN, OPEN + 1)):
        escrow.deposit(OPEN + 1, {"from": actors.consumer.account})
    assert booked(escrow, actors.consumer) == (0, 0)


def test_deposit__when_the_balance_is_short__then_nothing_is_booked(escrow, token, actors):
    allow(token, escrow, actors.consumer, FOREVER)
    with brownie.reverts(refusal("ERC20InsufficientBalance", actors.consumer.address, 100 * OPEN, 100 * OPEN + 1)):
        escrow.deposit(100 * OPEN + 1, {"from": actors.consumer.account})
    assert booked(escrow, actors.consumer) == (0, 0)


def test_deposit__when_larger_than_its_field__then_it_is_refused(escrow, token, actors):
    allow(token, escrow, actors.consumer, FOREVER)
    for amount in (2**96, 2**96 + OPEN, FOREVER):
        with brownie.reverts(refusal("DepositTooLarge", amount)):
            escrow.deposit(amount, {"from": actors.consumer.account})


def test_deposit_for__when_somebody_else_pays__then_the_consumer_has_it(escrow, token, actors):
    allow(token, escrow, actors.thief, OPEN)
    tx = escrow.depositFor(actors.consumer.address, OPEN, {"from": actors.thief.account})
    assert dict(tx.events["Deposited"]) == {
        "consumer": actors.consumer.address,
        "payer": actors.thief.address,
        "amount": OPEN,
    }
    assert booked(escrow, actors.consumer) == (OPEN, 0)
    assert booked(escrow, actors.thief) == (0, 0)
    assert token.balanceOf(actors.thief.address) == 99 * OPEN


def test_deposit_for__when_a_consumer_allowed_the_escrow__then_a_thief_cannot_spend_it(escrow, token, actors):
    allow(token, escrow, actors.consumer, FOREVER)
    with brownie.reverts(refusal("ERC20InsufficientAllowance", escrow.address, 0, OPEN)):
        escrow.depositFor(actors.consumer.address, OPEN, {"from": actors.thief.account})
    assert token.balanceOf(actors.consumer.address) == 100 * OPEN


def test_deposit_for__when_of_nothing_or_too_much__then_it_is_refused(escrow, actors):
    with brownie.reverts(refusal("ZeroAmount")):
        escrow.depositFor(actors.consumer.address, 0, {"from": actors.thief.account})
    with brownie.reverts(refusal("DepositTooLarge", 2**96)):
        escrow.depositFor(actors.consumer.address, 2**96, {"from": actors.thief.account})


# By permit


def permit(escrow, token, actors, amount=OPEN, signer=None, nonce=0):
    signed = digest(token, "Permit", actors.consumer.address, escrow.address, amount, nonce, FOREVER)
    return (signer or actors.consumer).sign(signed)


def test_permit__when_signed__then_one_transaction_deposits(escrow, token, actors):
    signature = permit(escrow, token, actors)
    escrow.depositWithPermit(OPEN, FOREVER, *vrs(signature), {"from": actors.consumer.account})
    assert booked(escrow, actors.consumer) == (OPEN, 0)
    assert token.allowance(actors.consumer.address, escrow.address) == 0


def test_permit__when_a_thief_ran_ahead_with_it__then_the_deposit_succeeds_all_the_same(escrow, token, actors):
    signature = permit(escrow, token, actors)
    token.permit(
        actors.consumer.address, escrow.address, OPEN, FOREVER, *vrs(signature), {"from": actors.thief.account}
    )
    escrow.depositWithPermit(OPEN, FOREVER, *vrs(signature), {"from": actors.consumer.account})
    assert booked(escrow, actors.consumer) == (OPEN, 0)


def test_permit__when_a_thief_sends_it__then_the_consumer_pays_nothing(escrow, token, actors):
    signature = permit(escrow, token, actors)
    with brownie.reverts(refusal("ERC20InsufficientAllowance", escrow.address, 0, OPEN)):
        escrow.depositWithPermit(OPEN, FOREVER, *vrs(signature), {"from": actors.thief.account})
    assert token.balanceOf(actors.consumer.address) == 100 * OPEN


@pytest.mark.parametrize("forgery", ["signer", "amount", "nonce", "mirrored"])
def test_permit__when_it_is_no_permit_and_nothing_is_allowed__then_it_is_refused(escrow, token, actors, forgery):
    signature = {
        "signer": lambda: permit(escrow, token, actors, signer=actors.thief),
        "amount": lambda: permit(escrow, token, actors, amount=OPEN - 1),
        "nonce": lambda: permit(escrow, token, actors, nonce=1),
        "mirrored": lambda: twin(permit(escrow, token, actors)),
    }[forgery]()
    with brownie.reverts(refusal("ERC20InsufficientAllowance", escrow.address, 0, OPEN)):
        escrow.depositWithPermit(OPEN, FOREVER, *vrs(signature), {"from": actors.consumer.account})


# By authorisation


def authorise(token, escrow, actors, amount=OPEN, after=0, before=FOREVER, signer=None, kind="Receive"):
    terms = (actors.consumer.address, escrow.address, amount, after, before, NONCE)
    return (signer or actors.consumer).sign(digest(token, f"{kind}WithAuthorization", *terms))


def send(escrow, actors, signature, amount=OPEN, after=0, before=FOREVER, consumer=None):
    payer = consumer or actors.consumer.address
    return escrow.depositWithAuthorization(
        payer, amount, after, before, NONCE, signature, {"from": actors.relayer.account}
    )


def test_authorization__when_signed__then_anybody_deposits_for_the_consumer(escrow, token, actors):
    tx = send(escrow, actors, authorise(token, escrow, actors))
    consumer = actors.consumer.address
    assert dict(tx.events["Deposited"]) == {"consumer": consumer, "payer": consumer, "amount": OPEN}
    assert booked(escrow, actors.consumer) == (OPEN, 0)
    assert token.balanceOf(escrow.address) == OPEN
    assert token.authorizationState(consumer, NONCE) is True


def test_authorization__when_replayed__then_nothing_more_is_booked(escrow, token, actors):
    signature = authorise(token, escrow, actors)
    send(escrow, actors, signature)
    with brownie.reverts(refusal("AuthorizationUsedOrCanceled", actors.consumer.address, NONCE)):
        send(escrow, actors, signature)
    assert booked(escrow, actors.consumer) == (OPEN, 0)


def test_authorization__when_a_thief_takes_it_to_the_token__then_only_the_escrow_may_use_it(escrow, token, actors):
    terms = (actors.consumer.address, escrow.address, OPEN, 0, FOREVER, NONCE)
    with brownie.reverts(refusal("CallerMustBePayee", actors.thief.address, escrow.address)):
        token.receiveWithAuthorization(*terms, authorise(token, escrow, actors), {"from": actors.thief.account})


def test_authorization__when_a_thief_names_itself__then_the_signature_is_not_its(escrow, token, actors):
    with brownie.reverts(refusal("InvalidSigner", actors.thief.address)):
        send(escrow, actors, authorise(token, escrow, actors), consumer=actors.thief.address)
    assert booked(escrow, actors.thief) == (0, 0)


@pytest.mark.parametrize("forgery", ["signer", "amount", "kind", "mirrored"])
def test_authorization__when_forged__then_it_is_refused(escrow, token, actors, forgery):
    signature = {
        "signer": lambda: authorise(token, escrow, actors, signer=actors.thief),
        "amount": lambda: authorise(token, escrow, actors, amount=OPEN - 1),
        "kind": lambda: authorise(token, escrow, actors, kind="Transfer"),
        "mirrored": lambda: twin(authorise(token, escrow, actors)),
    }[forgery]()
    with brownie.reverts(refusal("InvalidSigner", actors.consumer.address)):
        send(escrow, actors, signature)
    assert booked(escrow, actors.consumer) == (0, 0)


def test_authorization__when_outside_its_time__then_it_is_refused(escrow, token, actors):
    after, before = now() + 100, now() + 200
    signature = authorise(token, escrow, actors, after=after, before=before)
    at(after)
    with brownie.reverts(refusal("AuthorizationNotYetValid", after)):
        send(escrow, actors, signature, after=after, before=before)
    at(before)
    with brownie.reverts(refusal("AuthorizationExpired", before)):
        send(escrow, actors, signature, after=after, before=before)


def test_authorization__when_of_nothing_or_too_much__then_it_is_refused(escrow, actors):
    with brownie.reverts(refusal("ZeroAmount")):
        send(escrow, actors, b"", amount=0)
    with brownie.reverts(refusal("DepositTooLarge", 2**96)):
        send(escrow, actors, b"", amount=2**96)


def test_authorization__when_a_wallet_reenters__then_one_deposit_is_booked(escrow, token, money, doubles, actors):
    wallet = actors.deployer.account.deploy(doubles.Wallet, actors.consumer.address)
    money.fund(wallet, 10 * OPEN)
    other = keccak(text="another deposit")
    again = escrow.depositWithAuthorization.encode_input(wallet.address, OPEN, 0, FOREVER, other, b"")
    wallet.reenter(escrow.address, again, {"from": actors.consumer.account})
    send(escrow, actors, b"", consumer=wallet.address)
    assert booked(escrow, wallet) == (OPEN, 0)
    assert token.balanceOf(wallet.address) == 9 * OPEN
    assert token.authorizationState(wallet.address, other) is False


# Governance


@pytest.mark.parametrize("notice", [600, 14 * DAY])
def test_set_notice__when_at_a_bound__then_it_is_set(escrow, as_timelock, notice):
    tx = escrow.setNotice(notice, {"from": as_timelock})
    assert dict(tx.events["NoticeSet"]) == {"notice": notice}
    assert escrow.notice() == notice


@pytest.mark.parametrize("notice", [0, 599, 14 * DAY + 1, FOREVER])
def test_set_notice__when_beyond_a_bound__then_it_is_refused(escrow, as_timelock, notice):
    with brownie.reverts(refusal("OutOfBounds", notice, 600, 14 * DAY)):
        escrow.setNotice(notice, {"from": as_timelock})


def test_set_notice__when_anybody_but_governance_calls__then_it_is_refused(escrow, suite, actors):
    others = [actor.account for actor in (actors.thief, actors.guardian, actors.holder, actors.deployer)]
    for sender in (*others, impersonated(suite.governor.address), impersonated(suite.distributor.address)):
        with brownie.reverts(refusal("OnlyGovernance", sender.address)):
            escrow.setNotice(600, {"from": sender})

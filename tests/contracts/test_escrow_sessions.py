"""Sessions: a key with a cap and an end, which only grows, and which a revocation ends after the notice."""

import brownie
import pytest

from clock import DAY, FOREVER, at, now
from conftest import ZERO, refusal
from suite import OPEN
from typed import digest, twin

NOTICE = 259_200
CAP = 30 * OPEN
CLOSED = 1


@pytest.fixture(scope="module")
def escrow(suite, money, actors):
    money.deposit(actors.consumer, 100 * OPEN)
    return suite.escrow


@pytest.fixture
def mine(actors):
    return {"from": actors.consumer.account}


@pytest.fixture
def key(actors):
    return actors.session_key.address


@pytest.fixture
def end(escrow, key, mine):
    """A session that ends thirty days from now."""
    expires_at = now() + 30 * DAY
    escrow.openSession(key, CAP, expires_at, mine)
    return expires_at


def session(escrow, actors):
    return tuple(escrow.sessionOf(actors.consumer.address, actors.session_key.address))


def test_open__then_it_is_recorded(escrow, actors, key, mine):
    expires_at = now() + DAY
    tx = escrow.openSession(key, CAP, expires_at, mine)
    assert dict(tx.events["SessionOpened"]) == {
        "consumer": actors.consumer.address,
        "key": key,
        "cap": CAP,
        "expiresAt": expires_at,
    }
    assert session(escrow, actors) == (CAP, 0, expires_at)


def test_open__when_the_key_is_nobody_or_the_consumer__then_it_is_refused(escrow, actors, mine):
    for wrong in (ZERO, actors.consumer.address):
        with brownie.reverts(refusal("InvalidSessionKey", wrong)):
            escrow.openSession(wrong, CAP, now() + DAY, mine)


def test_open__when_the_cap_or_the_end_fills_its_field__then_it_is_good(escrow, actors, key, mine):
    escrow.openSession(key, 2**96 - 1, 2**40 - 1, mine)
    assert session(escrow, actors) == (2**96 - 1, 0, 2**40 - 1)


def test_open__when_the_cap_or_the_end_exceeds_its_field__then_it_is_refused(escrow, key, mine):
    with brownie.reverts(refusal("OutOfBounds", 2**96, 0, 2**96 - 1)):
        escrow.openSession(key, 2**96, now() + DAY, mine)
    with brownie.reverts(refusal("OutOfBounds", 2**40, 0, 2**40 - 1)):
        escrow.openSession(key, CAP, 2**40, mine)


def test_open__when_it_would_end_now__then_it_is_refused_and_one_second_later_is_good(escrow, actors, key, mine):
    moment = now() + 10
    at(moment)
    with brownie.reverts(refusal("SessionMayOnlyGrow", 0, 0)):
        escrow.openSession(key, CAP, moment, mine)
    at(moment + 1)
    escrow.openSession(key, CAP, moment + 2, mine)
    assert session(escrow, actors) == (CAP, 0, moment + 2)


def test_open__when_it_grows__then_what_was_spent_stays(escrow, money, actors, key, mine, end):
    money.settle(money.voucher(actors.consumer, 10 * OPEN, key=actors.session_key))
    escrow.openSession(key, CAP, end, mine)
    escrow.openSession(key, CAP + OPEN, end + 1, mine)
    assert session(escrow, actors) == (CAP + OPEN, 10 * OPEN, end + 1)


@pytest.mark.parametrize(("cap", "shift"), [(CAP - 1, 0), (CAP, -1), (CAP + 1, -1), (CAP - 1, 1), (0, 0)])
def test_open__when_it_would_shrink__then_it_is_refused(escrow, key, mine, end, cap, shift):
    with brownie.reverts(refusal("SessionMayOnlyGrow", CAP, end)):
        escrow.openSession(key, cap, end + shift, mine)


def test_open__when_it_ended__then_it_can_be_opened_anew_with_its_old_sum(escrow, money, actors, key, mine, end):
    money.settle(money.voucher(actors.consumer, CAP, key=actors.session_key))
    at(end + 1)
    escrow.openSession(key, CAP + OPEN, end + DAY, mine)
    tx = money.settle(money.voucher(actors.consumer, 2 * CAP, key=actors.session_key))
    assert tx.return_value == OPEN


# By signature


def paper(escrow, actors, cap=CAP, expires_at=None, nonce=0, deadline=FOREVER, **how):
    signer = how.pop("signer", actors.consumer)
    contract = how.pop("contract", escrow)
    terms = (actors.consumer.address, actors.session_key.address, cap, expires_at, nonce, deadline)
    return signer.sign(digest(contract, "OpenSession", *terms, **how))


def send(escrow, actors, signature, expires_at, cap=CAP, deadline=FOREVER):
    return escrow.openSessionBySig(
        actors.consumer.address,
        actors.session_key.address,
        cap,
        expires_at,
        deadline,
        signature,
        {"from": actors.relayer.account},
    )


def test_session_digest__then_it_is_that_of_the_published_type(escrow, actors):
    terms = (actors.consumer.address, actors.session_key.address, 5, 77, 3, 99)
    assert bytes(escrow.sessionDigest(*terms)) == digest(escrow, "OpenSession", *terms)


def test_open_by_signature__when_signed__then_anybody_opens_it(escrow, actors):
    expires_at = now() + DAY
    tx = send(escrow, actors, paper(escrow, actors, expires_at=expires_at), expires_at)
    assert tx.events["SessionOpened"]["consumer"] == actors.consumer.address
    assert session(escrow, actors) == (CAP, 0, expires_at)
    assert escrow.nonces(actors.consumer.address) == 1


def test_open_by_signature__when_replayed__then_it_is_refused(escrow, actors, key, mine):
    expires_at = now() + 30 * DAY
    signature = paper(escrow, actors, expires_at=expires_at)
    send(escrow, actors, signature, expires_at)
    escrow.revokeSession(key, mine)
    revoked = session(escrow, actors)
    with brownie.reverts(refusal("InvalidSessionSignature", actors.consumer.address)):
        send(escrow, actors, signature, expires_at)
    assert session(escrow, actors) == revoked


def test_open_by_signature__when_at_the_deadline__then_it_is_good(escrow, actors):
    deadline = now() + 100
    signature = paper(escrow, actors, expires_at=deadline + DAY, deadline=deadline)
    at(deadline)
    send(escrow, actors, signature, deadline + DAY, deadline=deadline)
    assert session(escrow, actors)[0] == CAP


def test_open_by_signature__when_one_second_late__then_it_is_refused(escrow, actors):
    deadline = now() + 100
    signature = paper(escrow, actors, expires_at=deadline + DAY, deadline=deadline)
    at(deadline + 1)
    with brownie.reverts(refusal("SignatureExpired", deadline)):
        send(escrow, actors, signature, deadline + DAY, deadline=deadline)


@pytest.mark.parametrize("forgery", ["signer", "cap", "end", "nonce", "chain", "domain", "mirrored", "empty"])
def test_open_by_signature__when_forged__then_it_is_refused(escrow, suite, actors, forgery):
    expires_at = now() + DAY
    signature = {
        "signer": lambda: paper(escrow, actors, expires_at=expires_at, signer=actors.thief),
        "cap": lambda: paper(escrow, actors, expires_at=expires_at, cap=CAP - 1),
        "end": lambda: paper(escrow, actors, expires_at=expires_at - 1),
        "nonce": lambda: paper(escrow, actors, expires_at=expires_at, nonce=1),
        "chain": lambda: paper(escrow, actors, expires_at=expires_at, chain_id=1),
        "domain": lambda: paper(escrow, actors, expires_at=expires_at, contract=suite.distributor),
        "mirrored": lambda: twin(paper(escrow, actors, expires_at=expires_at)),
        "empty": lambda: b"",
    }[forgery]()
    with brownie.reverts(refusal("InvalidSessionSignature", actors.consumer.address)):
        send(escrow, actors, signature, expires_at)
    assert escrow.nonces(actors.consumer.address) == 0


def test_open_by_signature__when_it_would_shrink__then_the_nonce_stays_good(escrow, actors, end):
    with brownie.reverts(refusal("SessionMayOnlyGrow", CAP, end)):
        send(escrow, actors, paper(escrow, actors, cap=CAP - 1, expires_at=end), end, cap=CAP - 1)
    assert escrow.nonces(actors.consumer.address) == 0


def test_open_by_signature__when_the_owner_of_a_wallet_signs__then_its_session_opens(escrow, doubles, actors, key):
    wallet = actors.deployer.account.deploy(doubles.Wallet, actors.builder.address)
    expires_at = now() + DAY
    terms = (wallet.address, key, CAP, expires_at, 0, FOREVER)
    signed = digest(escrow, "OpenSession", *terms)
    arguments = (*terms[:4], FOREVER)
    with brownie.reverts(refusal("InvalidSessionSignature", wallet.address)):
        escrow.openSessionBySig(*arguments, actors.thief.sign(signed), {"from": actors.relayer.account})
    escrow.openSessionBySig(*arguments, actors.builder.sign(signed), {"from": actors.relayer.account})
    assert tuple(escrow.sessionOf(wallet.address, key)) == (CAP, 0, expires_at)


# Revocation


def test_revoke__then_it_ends_after_the_notice(escrow, actors, key, mine, end):
    tx = escrow.revokeSession(key, mine)
    ends_at = tx.timestamp + NOTICE
    assert dict(tx.events["SessionRevoked"]) == {"consumer": actors.consumer.address, "key": key, "endsAt": ends_at}
    assert session(escrow, actors) == (CAP, 0, ends_at)


def test_revoke__when_within_the_notice__then_what_was_used_can_still_be_settled(escrow, money, actors, key, mine, end):
    ends_at = escrow.revokeSession(key, mine).timestamp + NOTICE
    voucher = money.voucher(actors.consumer, OPEN, key=actors.session_key)
    at(ends_at)
    assert money.settle(voucher).return_value == OPEN
    at(ends_at + 1)
    tx = money.settle(money.voucher(actors.consumer, 2 * OPEN, key=actors.session_key))
    assert tx.events["VoucherRefused"]["reason"] == CLOSED


def test_revoke__when_it_ends_sooner_anyway__then_its_end_is_not_moved_back(escrow, actors, key, mine, end):
    at(end - NOTICE + 1)
    tx = escrow.revokeSession(key, mine)
    assert tx.events["SessionRevoked"]["endsAt"] == end
    at(end - 10)
    escrow.revokeSession(key, mine)
    assert session(escrow, actors)[2] == end


def test_revoke__when_ended_or_never_opened__then_it_is_refused(escrow, actors, key, mine, end):
    with brownie.reverts(refusal("NoSession", actors.consumer.address, actors.thief.address)):
        escrow.revokeSession(actors.thief.address, mine)
    with brownie.reverts(refusal("NoSession", actors.thief.address, key)):
        escrow.revokeSession(key, {"from": actors.thief.account})
    at(end + 1)
    with brownie.reverts(refusal("NoSession", actors.consumer.address, key)):
        escrow.revokeSession(key, mine)


def test_revoke__when_an_opening_was_signed_and_held_back__then_it_is_void(escrow, actors, key, mine, end):
    held_back = paper(escrow, actors, cap=2 * CAP, expires_at=end + DAY)
    escrow.revokeSession(key, mine)
    assert escrow.nonces(actors.consumer.address) == 1
    revoked = session(escrow, actors)
    with brownie.reverts(refusal("InvalidSessionSignature", actors.consumer.address)):
        send(escrow, actors, held_back, end + DAY, cap=2 * CAP)
    assert session(escrow, actors) == revoked

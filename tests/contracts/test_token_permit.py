"""ERC-2612: an allowance by signature, once, in time, on this token of this chain."""

import brownie
import pytest

from clock import FOREVER, at, now
from conftest import ZERO, refusal
from typed import digest, twin, vrs


@pytest.fixture(scope="module")
def token(suite):
    return suite.token


def terms(actors, value=5, nonce=0, deadline=FOREVER):
    return (actors.contributor.address, actors.steward.address, value, nonce, deadline)


def send(token, actors, signature, value=5, deadline=FOREVER, owner=None):
    owner = owner or actors.contributor.address
    return token.permit(
        owner, actors.steward.address, value, deadline, *vrs(signature), {"from": actors.relayer.account}
    )


def test_permit__when_signed__then_anybody_may_set_the_allowance(token, actors):
    signature = actors.contributor.sign(digest(token, "Permit", *terms(actors)))
    tx = send(token, actors, signature)
    assert dict(tx.events["Approval"]) == {
        "owner": actors.contributor.address,
        "spender": actors.steward.address,
        "value": 5,
    }
    assert token.allowance(actors.contributor.address, actors.steward.address) == 5
    assert token.nonces(actors.contributor.address) == 1


def test_permit__when_at_its_deadline__then_it_is_good_and_one_second_later_it_is_not(token, actors):
    deadline = now() + 100
    signature = actors.contributor.sign(digest(token, "Permit", *terms(actors, deadline=deadline)))
    at(deadline)
    send(token, actors, signature, deadline=deadline)
    late = actors.contributor.sign(digest(token, "Permit", *terms(actors, nonce=1, deadline=deadline)))
    at(deadline + 1)
    with brownie.reverts(refusal("PermitExpired", deadline)):
        send(token, actors, late, deadline=deadline)


def test_permit__when_replayed__then_it_is_refused(token, actors):
    signature = actors.contributor.sign(digest(token, "Permit", *terms(actors)))
    send(token, actors, signature)
    with brownie.reverts(refusal("InvalidSigner", actors.contributor.address)):
        send(token, actors, signature)


@pytest.mark.parametrize("altered", ["signer", "value", "deadline", "chain", "domain", "nonce"])
def test_permit__when_anything_differs_from_what_was_signed__then_it_is_refused(token, suite, actors, altered):
    signer, contract, chain_id, value, nonce, deadline = actors.contributor, token, None, 5, 0, FOREVER
    if altered == "signer":
        signer = actors.thief
    if altered == "value":
        value = 6
    if altered == "deadline":
        deadline = FOREVER - 1
    if altered == "chain":
        chain_id = 1
    if altered == "domain":
        contract = suite.escrow
    if altered == "nonce":
        nonce = 1
    signed = digest(contract, "Permit", *terms(actors, value, nonce, deadline), chain_id=chain_id)
    with brownie.reverts(refusal("InvalidSigner", actors.contributor.address)):
        send(token, actors, signer.sign(signed))
    assert token.nonces(actors.contributor.address) == 0


def test_permit__when_the_signature_is_mirrored__then_it_is_refused(token, actors):
    signature = actors.contributor.sign(digest(token, "Permit", *terms(actors)))
    with brownie.reverts(refusal("InvalidSigner", actors.contributor.address)):
        send(token, actors, twin(signature))


def test_permit__when_nobody_owns_it__then_a_broken_signature_is_not_taken_for_nobodys(token, actors):
    with brownie.reverts(refusal("InvalidSigner", ZERO)):
        send(token, actors, b"\0" * 65, owner=ZERO)


def test_domain_separator__then_it_is_that_of_the_published_domain(token, actors):
    with_separator = brownie.web3.keccak(
        b"\x19\x01"
        + bytes(token.DOMAIN_SEPARATOR())
        + brownie.web3.keccak(
            bytes(token.PERMIT_TYPEHASH())
            + b"".join(
                int(value, 16).to_bytes(32, "big") if isinstance(value, str) else value.to_bytes(32, "big")
                for value in terms(actors)
            )
        )
    )
    assert bytes(with_separator) == digest(token, "Permit", *terms(actors))
    _, name, version, chain_id, contract, *_ = token.eip712Domain()
    assert (name, version, chain_id, contract) == ("OpenLedger", "1", brownie.chain.id, token.address)

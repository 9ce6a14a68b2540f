"""ERC-3009: transfers by signature, in every overload, by keys and by contract wallets."""

import brownie
import pytest
from eth_utils import keccak

from clock import FOREVER, at, now
from conftest import ZERO, refusal
from suite import OPEN
from typed import digest, twin, vrs

NONCE = keccak(text="authorisation")
KINDS = {"transfer": "TransferWithAuthorization", "receive": "ReceiveWithAuthorization"}


@pytest.fixture(scope="module")
def token(suite, money, actors):
    money.fund(actors.contributor, 100 * OPEN)
    return suite.token


@pytest.fixture(scope="module")
def wallet(doubles, money, actors):
    made = actors.deployer.account.deploy(doubles.Wallet, actors.contributor.address)
    money.fund(made, 100 * OPEN)
    return made


@pytest.fixture(params=["transfer", "receive"])
def kind(request):
    return request.param


@pytest.fixture(params=["vrs", "bytes"])
def form(request):
    return request.param


class Authorisation:
    """One authorisation of the contributor (or of its wallet) to pay the recipient, sent by the recipient."""

    def __init__(self, token, actors, kind, form="bytes", payer=None, value=OPEN, after=0, before=FOREVER):
        self.token, self.actors, self.form = token, actors, form
        self.kind = KINDS[kind]
        self.function = getattr(token, f"{kind}WithAuthorization")
        payer = payer or actors.contributor.address
        self.terms = (payer, actors.recipient.address, value, after, before, NONCE)

    def sign(self, signer=None, contract=None, kind=None, chain_id=None):
        signed = digest(contract or self.token, kind or self.kind, *self.terms, chain_id=chain_id)
        return (signer or self.actors.contributor).sign(signed)

    def send(self, signature, sender=None):
        sender = sender or self.actors.recipient
        parts = vrs(signature) if self.form == "vrs" else (signature,)
        return self.function(*self.terms, *parts, {"from": sender.account})


def test_authorization__when_signed__then_the_value_moves_once(token, actors, kind, form):
    paper = Authorisation(token, actors, kind, form)
    signature = paper.sign()
    tx = paper.send(signature)
    payer, payee = actors.contributor.address, actors.recipient.address
    assert dict(tx.events["AuthorizationUsed"]) == {"authorizer": payer, "nonce": "0x" + NONCE.hex()}
    assert dict(tx.events["Transfer"]) == {"from": payer, "to": payee, "value": OPEN}
    assert token.authorizationState(payer, NONCE) is True
    assert token.balanceOf(payee) == OPEN
    with brownie.reverts(refusal("AuthorizationUsedOrCanceled", payer, NONCE)):
        paper.send(signature)
    assert token.balanceOf(payee) == OPEN


def test_authorization__when_at_valid_after__then_it_is_too_early_and_one_second_later_it_is_good(token, actors, kind):
    start = now() + 100
    paper = Authorisation(token, actors, kind, after=start)
    at(start)
    with brownie.reverts(refusal("AuthorizationNotYetValid", start)):
        paper.send(paper.sign())
    at(start + 1)
    paper.send(paper.sign())
    assert token.balanceOf(actors.recipient.address) == OPEN


def test_authorization__when_one_second_before_valid_before__then_it_is_good(token, actors, kind):
    end = now() + 100
    paper = Authorisation(token, actors, kind, before=end)
    at(end - 1)
    paper.send(paper.sign())
    assert token.balanceOf(actors.recipient.address) == OPEN


def test_authorization__when_at_valid_before__then_it_is_too_late(token, actors, kind):
    end = now() + 100
    paper = Authorisation(token, actors, kind, before=end)
    at(end)
    with brownie.reverts(refusal("AuthorizationExpired", end)):
        paper.send(paper.sign())


def test_authorization__when_cancelled__then_it_is_worthless(token, actors, kind, form):
    payer = actors.contributor.address
    signature = actors.contributor.sign(digest(token, "CancelAuthorization", payer, NONCE))
    parts = vrs(signature) if form == "vrs" else (signature,)
    tx = token.cancelAuthorization(payer, NONCE, *parts, {"from": actors.relayer.account})
    assert dict(tx.events["AuthorizationCanceled"]) == {"authorizer": payer, "nonce": "0x" + NONCE.hex()}
    paper = Authorisation(token, actors, kind, form)
    with brownie.reverts(refusal("AuthorizationUsedOrCanceled", payer, NONCE)):
        paper.send(paper.sign())


def test_cancel__when_used_before__then_it_is_refused(token, actors, kind):
    paper = Authorisation(token, actors, kind)
    paper.send(paper.sign())
    payer = actors.contributor.address
    signature = actors.contributor.sign(digest(token, "CancelAuthorization", payer, NONCE))
    with brownie.reverts(refusal("AuthorizationUsedOrCanceled", payer, NONCE)):
        token.cancelAuthorization(payer, NONCE, signature, {"from": actors.relayer.account})


def test_cancel__when_a_thief_signs__then_it_is_refused(token, actors, form):
    payer = actors.contributor.address
    signature = actors.thief.sign(digest(token, "CancelAuthorization", payer, NONCE))
    parts = vrs(signature) if form == "vrs" else (signature,)
    with brownie.reverts(refusal("InvalidSigner", payer)):
        token.cancelAuthorization(payer, NONCE, *parts, {"from": actors.thief.account})
    assert token.authorizationState(payer, NONCE) is False


def test_transfer_authorization__when_sent_by_anybody__then_it_pays_the_payee(token, actors):
    paper = Authorisation(token, actors, "transfer")
    paper.send(paper.sign(), sender=actors.thief)
    assert token.balanceOf(actors.recipient.address) == OPEN
    assert token.balanceOf(actors.thief.address) == 0


def test_receive_authorization__when_sent_by_another_than_the_payee__then_it_is_refused(token, actors, form):
    paper = Authorisation(token, actors, "receive", form)
    with brownie.reverts(refusal("CallerMustBePayee", actors.thief.address, actors.recipient.address)):
        paper.send(paper.sign(), sender=actors.thief)


def test_receive_authorization__when_sent_as_a_transfer__then_nobody_runs_ahead_with_it(token, actors):
    receive = Authorisation(token, actors, "receive")
    transfer = Authorisation(token, actors, "transfer")
    with brownie.reverts(refusal("InvalidSigner", actors.contributor.address)):
        transfer.send(receive.sign(), sender=actors.thief)


@pytest.mark.parametrize("forgery", ["signer", "chain", "domain", "mirrored", "value"])
def test_authorization__when_forged__then_it_is_refused(token, suite, actors, kind, form, forgery):
    paper = Authorisation(token, actors, kind, form)
    signature = {
        "signer": lambda: paper.sign(signer=actors.thief),
        "chain": lambda: paper.sign(chain_id=1),
        "domain": lambda: paper.sign(contract=suite.escrow),
        "mirrored": lambda: twin(paper.sign()),
        "value": lambda: Authorisation(token, actors, kind, form, value=2 * OPEN).sign(),
    }[forgery]()
    with brownie.reverts(refusal("InvalidSigner", actors.contributor.address)):
        paper.send(signature)
    assert token.authorizationState(actors.contributor.address, NONCE) is False


@pytest.mark.parametrize("length", [0, 1, 64, 66])
def test_authorization__when_the_signature_has_a_wrong_length__then_it_is_refused(token, actors, kind, length):
    paper = Authorisation(token, actors, kind)
    with brownie.reverts(refusal("InvalidSigner", actors.contributor.address)):
        paper.send((paper.sign() + b"\0")[:length])


def test_authorization__when_from_nobody__then_a_broken_signature_is_not_taken_for_nobodys(token, actors, kind):
    paper = Authorisation(token, actors, kind, payer=ZERO, value=0)
    with brownie.reverts(refusal("InvalidSigner", ZERO)):
        paper.send(b"\0" * 65)


def test_authorization__when_the_balance_is_short__then_the_nonce_stays_good(token, actors, kind):
    paper = Authorisation(token, actors, kind, value=100 * OPEN + 1)
    payer = actors.contributor.address
    with brownie.reverts(refusal("ERC20InsufficientBalance", payer, 100 * OPEN, 100 * OPEN + 1)):
        paper.send(paper.sign())
    assert token.authorizationState(payer, NONCE) is False


def test_authorization__when_to_the_pool__then_it_is_refused(token, actors):
    terms = (actors.contributor.address, token.address, OPEN, 0, FOREVER, NONCE)
    signature = actors.contributor.sign(digest(token, "TransferWithAuthorization", *terms))
    with brownie.reverts(refusal("ERC20InvalidReceiver", token.address)):
        token.transferWithAuthorization(*terms, signature, {"from": actors.relayer.account})


def test_authorization__when_the_owner_of_a_wallet_signs__then_the_wallet_pays(token, wallet, actors, kind, form):
    paper = Authorisation(token, actors, kind, form, payer=wallet.address)
    paper.send(paper.sign())
    assert token.balanceOf(wallet.address) == 99 * OPEN


def test_authorization__when_a_thief_signs_for_a_wallet__then_it_is_refused(token, wallet, actors, kind, form):
    paper = Authorisation(token, actors, kind, form, payer=wallet.address)
    with brownie.reverts(refusal("InvalidSigner", wallet.address)):
        paper.send(paper.sign(signer=actors.thief))


def test_authorization__when_a_wallet_says_yes_to_anything__then_it_pays_once(token, wallet, actors, kind):
    wallet.behave(1, {"from": actors.contributor.account})
    paper = Authorisation(token, actors, kind, payer=wallet.address)
    paper.send(b"a signature of any length")
    with brownie.reverts(refusal("AuthorizationUsedOrCanceled", wallet.address, NONCE)):
        paper.send(b"another")
    assert token.balanceOf(wallet.address) == 99 * OPEN


@pytest.mark.parametrize("answer", [2, 3, 5], ids=["no", "four bytes", "burns all gas"])
def test_authorization__when_a_wallet_answers_anything_but_yes__then_it_is_refused(token, wallet, actors, answer):
    wallet.behave(answer, {"from": actors.contributor.account})
    paper = Authorisation(token, actors, "transfer", payer=wallet.address)
    with brownie.reverts(refusal("InvalidSigner", wallet.address)):
        paper.send(paper.sign())


def test_authorization__when_a_wallet_answers_at_length__then_only_its_first_word_is_read(token, wallet, actors):
    wallet.answerAtLength(200_000, {"from": actors.contributor.account})
    paper = Authorisation(token, actors, "transfer", payer=wallet.address)
    tx = paper.send(b"")
    assert token.balanceOf(actors.recipient.address) == OPEN
    assert tx.gas_used < 400_000


def test_authorization__when_a_wallet_answers_with_a_megabyte__then_it_runs_out_of_its_own_gas(token, wallet, actors):
    wallet.answerAtLength(1 << 20, {"from": actors.contributor.account})
    paper = Authorisation(token, actors, "transfer", payer=wallet.address)
    with brownie.reverts(refusal("InvalidSigner", wallet.address)):
        paper.send(b"")


def test_authorization__when_a_wallet_reenters__then_it_still_pays_once(token, wallet, actors):
    paper = Authorisation(token, actors, "transfer", payer=wallet.address)
    again = token.transferWithAuthorization["address,address,uint256,uint256,uint256,bytes32,bytes"].encode_input(
        *paper.terms, b""
    )
    wallet.reenter(token.address, again, {"from": actors.contributor.account})
    paper.send(b"")
    assert token.balanceOf(wallet.address) == 99 * OPEN
    assert token.balanceOf(actors.recipient.address) == OPEN

"""Roots: one chain, signed by a quorum, never above what was collected."""

import brownie
import pytest
from eth_utils import keccak

from clock import at, mine_at
from conftest import ZERO, refusal
from money import CONTENT, NOTHING
from suite import OPEN
from typed import digest, twin

DELAY = 86_400
FEES = 1_000 * OPEN
FIRST, SECOND, THIRD = (keccak(text=f"root {n}") for n in range(3))


@pytest.fixture(scope="module")
def distributor(suite, money):
    money.collect_fees(FEES)
    return suite.distributor


@pytest.fixture
def chained(distributor, money):
    """One root in force."""
    money.post(FIRST, 100 * OPEN)
    money.activate(FIRST)
    return distributor


def test_root_digest__then_it_is_that_of_the_published_type(distributor):
    statement = (FIRST, SECOND, 7, 3, FEES, CONTENT)
    assert bytes(distributor.rootDigest(statement)) == digest(distributor, "RewardRoot", *statement)


def test_submit__when_signed_by_a_quorum__then_anybody_posts_it_and_it_waits(distributor, money, actors):
    tx = money.submit(money.statement(FIRST, FEES), sender=actors.thief)
    assert dict(tx.events["RootSubmitted"]) == {
        "root": "0x" + FIRST.hex(),
        "epoch": 1,
        "total": FEES,
        "contentHash": "0x" + CONTENT.hex(),
    }
    assert tuple(distributor.recordOf(FIRST)) == (tx.timestamp + DELAY, 1, FEES)
    assert tuple(distributor.state()[2:]) == (1, 0)


def test_is_active__when_the_delay_is_over__then_and_not_one_second_before(distributor, money):
    money.post(FIRST, FEES)
    activates_at = distributor.recordOf(FIRST)[0]
    mine_at(activates_at - 1)
    assert distributor.isActive(FIRST) is False
    mine_at(activates_at)
    assert distributor.isActive(FIRST) is True
    assert distributor.isActive(SECOND) is False


def test_submit__when_the_root_is_empty__then_it_is_refused(distributor, money):
    with brownie.reverts(refusal("EmptyRoot")):
        money.post(NOTHING, FEES)


@pytest.mark.parametrize("epoch", [0, 1, 3, 2**32 + 2, 2**256 - 1])
def test_submit__when_an_epoch_is_skipped_or_repeated__then_it_is_refused(chained, money, epoch):
    with brownie.reverts(refusal("WrongEpoch", epoch, 2)):
        money.post(SECOND, FEES, FIRST, epoch)


def test_submit__when_the_first_root_names_a_previous_one__then_it_is_refused(distributor, money):
    with brownie.reverts(refusal("WrongPreviousRoot", SECOND, 0)):
        money.post(FIRST, FEES, SECOND, 1)


@pytest.mark.parametrize("previous", [NOTHING, SECOND, keccak(text="unknown")])
def test_submit__when_the_previous_root_is_another__then_it_is_refused(chained, money, previous):
    with brownie.reverts(refusal("WrongPreviousRoot", previous, 1)):
        money.post(SECOND, FEES, previous, 2)


def test_submit__when_the_previous_root_is_an_older_one__then_it_is_refused(chained, money):
    money.post(SECOND, FEES, FIRST, 2)
    money.activate(SECOND)
    with brownie.reverts(refusal("WrongPreviousRoot", FIRST, 2)):
        money.post(THIRD, FEES, FIRST, 3)


def test_submit__when_the_previous_root_is_pending__then_it_is_refused_until_it_is_in_force(distributor, money):
    money.post(FIRST, 100 * OPEN)
    activates_at = distributor.recordOf(FIRST)[0]
    at(activates_at - 1)
    with brownie.reverts(refusal("PreviousRootPending", FIRST, activates_at)):
        money.post(SECOND, FEES, FIRST, 2)
    at(activates_at)
    money.post(SECOND, FEES, FIRST, 2)
    assert distributor.state()[2] == 2


def test_submit__when_two_race_for_an_epoch__then_the_second_is_refused(distributor, money):
    first, second = money.statement(FIRST, FEES), money.statement(SECOND, FEES)
    money.submit(first)
    with brownie.reverts(refusal("WrongEpoch", 1, 2)):
        money.submit(second)


def test_submit__when_the_root_was_posted_before__then_it_is_not_overwritten(chained, money):
    kept = tuple(chained.recordOf(FIRST))
    with brownie.reverts(refusal("RootAlreadyPosted", FIRST)):
        money.post(FIRST, FEES, FIRST, 2)
    assert tuple(chained.recordOf(FIRST)) == kept


def test_submit__when_the_total_is_what_it_was_or_what_was_collected__then_it_is_good(chained, money):
    money.post(SECOND, 100 * OPEN, FIRST, 2)
    money.activate(SECOND)
    money.post(THIRD, FEES, SECOND, 3)
    assert chained.recordOf(THIRD)[2] == FEES


@pytest.mark.parametrize("total", [100 * OPEN - 1, FEES + 1, 2**96, 2**96 + 100 * OPEN])
def test_submit__when_the_total_falls_or_exceeds_what_was_collected__then_it_is_refused(chained, money, total):
    with brownie.reverts(refusal("TotalOutOfRange", total, 100 * OPEN, FEES)):
        money.post(SECOND, total, FIRST, 2)


def test_submit__when_too_few_sign__then_the_quorum_fails(distributor, money, parameters):
    bond = parameters["attestor_set"]["min_bond"] * OPEN
    statement = money.statement(FIRST, FEES)
    for signers in (0, 2):
        with brownie.reverts(refusal("QuorumNotReached", bond * signers, 5 * bond, signers, 3)):
            money.submit(statement, money.quorum_for(statement, range(signers)))
    assert tuple(distributor.recordOf(FIRST)) == (0, 0, 0)


def test_submit__when_one_signs_twice__then_it_is_refused(distributor, money, attestor_actors):
    statement = money.statement(FIRST, FEES)
    signer = attestor_actors[1][1].address
    with brownie.reverts(refusal("SignersNotAscending", signer, signer)):
        money.submit(statement, money.quorum_for(statement, (0, 1, 1)))


def test_submit__when_the_signers_are_out_of_order__then_it_is_refused(distributor, money, attestor_actors):
    statement = money.statement(FIRST, FEES)
    last, first = attestor_actors[1][1].address, attestor_actors[0][1].address
    with brownie.reverts(refusal("SignersNotAscending", last, first)):
        money.submit(statement, money.quorum_for(statement, (1, 0, 2)))


def test_submit__when_a_signature_is_mirrored__then_it_is_nobodys(distributor, money, attestor_actors):
    statement = money.statement(FIRST, FEES)
    signatures = money.quorum_for(statement)
    with brownie.reverts(refusal("SignersNotAscending", attestor_actors[1][1].address, ZERO)):
        money.submit(statement, signatures[:130] + twin(signatures[130:]))


def test_submit__when_a_thief_signs_beside_attestors__then_it_is_refused(distributor, money, actors, attestor_actors):
    statement = money.statement(FIRST, FEES)
    signers = sorted((attestor_actors[0][1], attestor_actors[1][1], actors.thief), key=lambda s: int(s.address, 16))
    signatures = b"".join(signer.sign(digest(distributor, "RewardRoot", *statement)) for signer in signers)
    with brownie.reverts(refusal("NotAnAttestor", actors.thief.address)):
        money.submit(statement, signatures)


@pytest.mark.parametrize("altered", ["chain", "domain", "round", "total", "content", "root", "previous", "epoch"])
def test_submit__when_the_signatures_are_for_something_else__then_no_attestor_has_signed(
    distributor, suite, money, attestor_actors, altered
):
    statement = money.statement(FIRST, FEES)
    places = {"previous": 0, "root": 1, "epoch": 2, "round": 3, "total": 4, "content": 5}
    signed = list(statement)
    if altered in places:
        value = signed[places[altered]]
        signed[places[altered]] = value - 1 if altered == "total" else keccak(value) if isinstance(value, bytes) else 9
    contract = suite.escrow if altered == "domain" else distributor
    message = digest(contract, "RewardRoot", *signed, chain_id=1 if altered == "chain" else None)
    signatures = b"".join(attestor_actors[i][1].sign(message) for i in range(3))
    with pytest.raises(brownie.exceptions.VirtualMachineError) as refused:
        money.submit(statement, signatures)
    assert refused.value.revert_msg.startswith(("NotAnAttestor", "SignersNotAscending"))
    assert tuple(distributor.recordOf(FIRST)) == (0, 0, 0)


def test_submit__when_a_root_was_stopped__then_its_signatures_do_not_bring_it_back(distributor, money, actors):
    statement = money.statement(FIRST, FEES)
    signatures = money.quorum_for(statement)
    money.submit(statement, signatures)
    distributor.veto(FIRST, {"from": actors.guardian.account})
    with pytest.raises(brownie.exceptions.VirtualMachineError) as refused:
        money.submit(statement, signatures)
    assert refused.value.revert_msg.startswith(("NotAnAttestor", "SignersNotAscending"))
    money.post(FIRST, FEES)
    assert distributor.recordOf(FIRST)[1] == 1


def test_submit__when_the_delay_changes_meanwhile__then_a_posted_root_keeps_its_own(distributor, money, as_timelock):
    money.post(FIRST, FEES)
    kept = tuple(distributor.recordOf(FIRST))
    distributor.setDelay(600, {"from": as_timelock})
    assert tuple(distributor.recordOf(FIRST)) == kept
    money.activate(FIRST)
    tx = money.post(SECOND, FEES, FIRST, 2)
    assert distributor.recordOf(SECOND)[0] == tx.timestamp + 600

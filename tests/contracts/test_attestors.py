"""The attestors' seats and bonds, and the quorum that they make."""

import brownie
import pytest
from eth_utils import keccak

from conftest import ZERO, refusal
from contributions import fund, malleable, next_block_at
from suite import OPEN

BOND = 100_000 * OPEN
MOST = 200_000 * OPEN
EXIT = 1_209_600
DAY = 86_400
DIGEST = keccak(text="anything that attestors sign")


@pytest.fixture
def governance(as_timelock):
    return {"from": as_timelock}


@pytest.fixture
def operator(attestor_actors):
    return attestor_actors[0][0]


@pytest.fixture
def signer(attestor_actors):
    return attestor_actors[0][1]


@pytest.fixture
def newcomer(suite, actors, governance):
    """Admitted and funded, not yet seated."""
    suite.attestors.admit(actors.finder.address, governance)
    fund(suite, actors, actors.finder, 2 * MOST, suite.attestors)
    return actors.finder


def totals(suite) -> tuple:
    return tuple(suite.attestors.totals())[:3]


def leave(suite, operator) -> int:
    tx = suite.attestors.announceExit({"from": operator.account})
    return tx.events["ExitAnnounced"]["leavesAt"]


# Quorum


def check(suite, *signatures: bytes) -> None:
    suite.attestors.checkQuorum(DIGEST, b"".join(signatures))


@pytest.fixture
def signed(attestor_actors):
    return [signer.sign(DIGEST) for _, signer in attestor_actors]


def test_quorum__when_three_of_five_equal_bonds_sign__then_it_is_reached(suite, signed):
    check(suite, *signed[:3])
    check(suite, *signed[2:])
    check(suite, *signed)


def test_quorum__when_two_of_five_sign__then_it_is_not_reached(suite, signed):
    with brownie.reverts(refusal("QuorumNotReached", 2 * BOND, 5 * BOND, 2, 3)):
        check(suite, *signed[:2])


def test_quorum__when_nobody_signs__then_it_is_not_reached(suite):
    with brownie.reverts(refusal("QuorumNotReached", 0, 5 * BOND, 0, 3)):
        check(suite)


def test_quorum__when_exactly_half_the_weight_signs__then_it_is_not_reached_and_a_wei_more_is(
    suite, actors, attestor_actors, governance, signed
):
    """Three of five against the other two who hold as much: half is not a majority."""
    for (operator, _), more in zip(attestor_actors[3:], (BOND // 2, BOND // 2), strict=True):
        fund(suite, actors, operator, more, suite.attestors)
        suite.attestors.raiseBond(more, {"from": operator.account})
    with brownie.reverts(refusal("QuorumNotReached", 3 * BOND, 6 * BOND, 3, 3)):
        check(suite, *signed[:3])
    first = attestor_actors[0][0]
    fund(suite, actors, first, 1, suite.attestors)
    suite.attestors.raiseBond(1, {"from": first.account})
    check(suite, *signed[:3])


def test_quorum__when_the_weight_is_there_but_too_few_sign__then_it_is_not_reached(
    suite, actors, attestor_actors, governance, signed
):
    for operator, _ in attestor_actors[:2]:
        fund(suite, actors, operator, MOST - BOND, suite.attestors)
        suite.attestors.raiseBond(MOST - BOND, {"from": operator.account})
    with brownie.reverts(refusal("QuorumNotReached", 2 * MOST, 2 * MOST + 3 * BOND, 2, 3)):
        check(suite, *signed[:2])
    suite.attestors.setMinSigners(2, governance)
    check(suite, *signed[:2])


def test_quorum__when_one_operator_holds_the_ceiling__then_it_neither_is_the_quorum_nor_can_prevent_it(
    suite, actors, operator, signer, signed
):
    fund(suite, actors, operator, MOST - BOND, suite.attestors)
    suite.attestors.raiseBond(MOST - BOND, {"from": operator.account})
    with brownie.reverts(refusal("QuorumNotReached", MOST, MOST + 4 * BOND, 1, 3)):
        check(suite, signed[0])
    check(suite, *signed[1:])


@pytest.mark.parametrize("places", [(0, 0, 1), (1, 0, 2)])
def test_quorum__when_signers_do_not_ascend__then_it_is_refused(suite, attestor_actors, signed, places):
    addresses = [attestor_actors[place][1].address for place in places]
    with brownie.reverts(refusal("SignersNotAscending", addresses[0], addresses[1])):
        check(suite, *(signed[place] for place in places))


def test_quorum__when_a_stranger_signs__then_it_is_refused(suite, actors):
    with brownie.reverts(refusal("NotAnAttestor", actors.thief.address)):
        check(suite, actors.thief.sign(DIGEST))


def test_quorum__when_a_retired_key_signs__then_it_is_refused(suite, actors, operator, signer, signed):
    suite.attestors.rotateKey(actors.session_key.address, {"from": operator.account})
    with brownie.reverts(refusal("NotAnAttestor", signer.address)):
        check(suite, *signed[:3])


def test_quorum__when_an_attestor_is_leaving__then_it_has_no_say_and_counts_for_nothing(
    suite, operator, signer, signed
):
    leave(suite, operator)
    with brownie.reverts(refusal("NotAnAttestor", signer.address)):
        check(suite, *signed[:3])
    with brownie.reverts(refusal("QuorumNotReached", 2 * BOND, 4 * BOND, 2, 3)):
        check(suite, *signed[1:3])
    check(suite, *signed[1:4])


@pytest.mark.parametrize("length", [1, 64, 66, 194])
def test_quorum__when_bytes_are_missing_or_too_many__then_it_is_refused(suite, signed, length):
    with brownie.reverts(refusal("SignaturesLength", length)):
        check(suite, b"".join(signed)[:length])


def test_quorum__when_s_is_the_other_one_or_the_bytes_are_no_signature__then_it_is_refused(suite, signer, signed):
    """Neither names a signer, and nobody comes before everybody."""
    for forged in (malleable(signed[1]), b"\0" * 65):
        with brownie.reverts(refusal("SignersNotAscending", signer.address, ZERO)):
            check(suite, signed[0], forged, signed[2])
        with brownie.reverts(refusal("SignersNotAscending", ZERO, ZERO)):
            check(suite, forged, *signed[:3])


# Admission


def test_admit__when_governance_admits__then_it_is_logged_and_not_twice(suite, actors, governance):
    event = suite.attestors.admit(actors.finder.address, governance).events["AttestorAdmitted"]
    assert event["operator"] == actors.finder.address and suite.attestors.bondOf(actors.finder.address)[2] is True
    with brownie.reverts(refusal("AlreadyAdmitted", actors.finder.address)):
        suite.attestors.admit(actors.finder.address, governance)
    with brownie.reverts(refusal("NotAdmitted", ZERO)):
        suite.attestors.admit(ZERO, governance)


def test_expel__when_seated__then_the_seat_is_lost_and_the_bond_waits_out_the_exit_delay(
    suite, operator, signer, governance
):
    tx = suite.attestors.expel(operator.address, governance)
    assert tx.events["AttestorExpelled"]["operator"] == operator.address
    assert tx.events["ExitAnnounced"]["leavesAt"] == tx.timestamp + EXIT
    assert tuple(suite.attestors.bondOf(operator.address)) == (BOND, tx.timestamp + EXIT, False, False, signer.address)
    assert totals(suite) == (4 * BOND, 4, 3)
    with brownie.reverts(refusal("NotAdmitted", operator.address)):
        suite.attestors.expel(operator.address, governance)


def test_expel__when_the_attestor_is_leaving_already__then_its_date_stays(suite, operator, governance):
    leaves_at = leave(suite, operator)
    assert "ExitAnnounced" not in suite.attestors.expel(operator.address, governance).events
    assert suite.attestors.bondOf(operator.address)[1] == leaves_at
    assert totals(suite) == (4 * BOND, 4, 3)


def test_expel__when_admitted_but_not_joined__then_joining_is_refused(suite, newcomer, governance):
    suite.attestors.expel(newcomer.address, governance)
    with brownie.reverts(refusal("NotAdmitted", newcomer.address)):
        suite.attestors.join(newcomer.address, BOND, {"from": newcomer.account})


# Joining


@pytest.mark.parametrize("bond", [BOND, MOST])
def test_join__when_the_bond_is_at_a_bound__then_the_seat_is_taken(suite, actors, newcomer, bond):
    key, held = actors.session_key.address, suite.token.balanceOf(suite.attestors)
    event = suite.attestors.join(key, bond, {"from": newcomer.account}).events["AttestorJoined"]
    assert (event["operator"], event["signer"], event["bond"]) == (newcomer.address, key, bond)
    assert tuple(suite.attestors.seatOf(key)) == (newcomer.address, bond)
    assert tuple(suite.attestors.bondOf(newcomer.address)) == (bond, 0, True, False, key)
    assert totals(suite) == (5 * BOND + bond, 6, 3)
    assert suite.token.balanceOf(suite.attestors) == held + bond


@pytest.mark.parametrize("bond", [0, BOND - 1, MOST + 1])
def test_join__when_the_bond_is_out_of_bounds__then_it_is_refused(suite, actors, newcomer, bond):
    with brownie.reverts(refusal("BondOutOfBounds", bond, BOND, MOST)):
        suite.attestors.join(actors.session_key.address, bond, {"from": newcomer.account})


def test_join__when_not_admitted__then_it_is_refused(suite, actors):
    with brownie.reverts(refusal("NotAdmitted", actors.thief.address)):
        suite.attestors.join(actors.thief.address, BOND, {"from": actors.thief.account})


def test_join__when_joined_before__then_it_is_refused(suite, actors, operator):
    with brownie.reverts(refusal("AlreadyJoined", operator.address)):
        suite.attestors.join(actors.session_key.address, BOND, {"from": operator.account})


def test_keys__when_another_holds_or_held_the_key_or_it_is_nobodys__then_it_is_refused(
    suite, actors, attestor_actors, newcomer, operator, signer
):
    suite.attestors.rotateKey(actors.session_key.address, {"from": operator.account})
    for key in (signer.address, actors.session_key.address, ZERO):
        with brownie.reverts(refusal("KeyTaken", key)):
            suite.attestors.join(key, BOND, {"from": newcomer.account})
        with brownie.reverts(refusal("KeyTaken", key)):
            suite.attestors.rotateKey(key, {"from": attestor_actors[1][0].account})


# Raising and rotating


def test_raise_bond__when_within_the_ceiling__then_the_weight_follows_and_a_wei_more_is_refused(
    suite, actors, operator, signer
):
    fund(suite, actors, operator, MOST, suite.attestors)
    event = suite.attestors.raiseBond(MOST - BOND, {"from": operator.account}).events["BondRaised"]
    assert (event["operator"], event["bond"]) == (operator.address, MOST)
    assert suite.attestors.seatOf(signer.address)[1] == suite.attestors.bondOf(operator.address)[0] == MOST
    assert totals(suite) == (4 * BOND + MOST, 5, 3)
    with brownie.reverts(refusal("BondOutOfBounds", MOST + 1, BOND, MOST)):
        suite.attestors.raiseBond(1, {"from": operator.account})


def test_rotate_key__when_rotated__then_only_the_new_key_weighs_and_the_old_keeps_its_owner(
    suite, actors, operator, signer
):
    key = actors.session_key.address
    event = suite.attestors.rotateKey(key, {"from": operator.account}).events["KeyRotated"]
    assert (event["operator"], event["oldSigner"], event["newSigner"]) == (operator.address, signer.address, key)
    assert tuple(suite.attestors.seatOf(signer.address)) == (operator.address, 0)
    assert tuple(suite.attestors.seatOf(key)) == (operator.address, BOND)
    assert totals(suite) == (5 * BOND, 5, 3)


def test_rotate_key__when_rotated_to_itself_or_back__then_the_weight_counts_once(suite, actors, operator, signer):
    for key in (signer.address, actors.session_key.address, signer.address):
        suite.attestors.rotateKey(key, {"from": operator.account})
    weights = [suite.attestors.seatOf(key)[1] for key in (signer.address, actors.session_key.address)]
    assert weights == [BOND, 0] and totals(suite) == (5 * BOND, 5, 3)


# Leaving


SEATED_ONLY = {
    "raiseBond": lambda suite, who: suite.attestors.raiseBond(1, who),
    "rotateKey": lambda suite, who: suite.attestors.rotateKey(who["from"].address, who),
    "announceExit": lambda suite, who: suite.attestors.announceExit(who),
}


@pytest.mark.parametrize("call", SEATED_ONLY.values(), ids=SEATED_ONLY)
def test_seat__when_it_is_given_up_or_never_was__then_nothing_can_be_done_with_it(suite, actors, operator, call):
    with brownie.reverts(refusal("NotJoined", actors.thief.address)):
        call(suite, {"from": actors.thief.account})
    leaves_at = leave(suite, operator)
    with brownie.reverts(refusal("Leaving", operator.address, leaves_at)):
        call(suite, {"from": operator.account})


def test_withdraw_bond__when_the_delay_has_passed__then_it_is_paid_once_and_not_a_second_before(
    suite, actors, operator
):
    with brownie.reverts(refusal("StillBonded", operator.address, 0)):
        suite.attestors.withdrawBond(actors.recipient.address, {"from": operator.account})
    leaves_at = leave(suite, operator)
    next_block_at(leaves_at - 1)
    with brownie.reverts(refusal("StillBonded", operator.address, leaves_at)):
        suite.attestors.withdrawBond(actors.recipient.address, {"from": operator.account})
    next_block_at(leaves_at)
    tx = suite.attestors.withdrawBond(actors.recipient.address, {"from": operator.account})
    event = tx.events["BondWithdrawn"]
    assert (event["operator"], event["recipient"], event["bond"]) == (operator.address, actors.recipient.address, BOND)
    assert suite.token.balanceOf(actors.recipient.address) == BOND
    with brownie.reverts(refusal("NotJoined", operator.address)):
        suite.attestors.withdrawBond(actors.recipient.address, {"from": operator.account})


def test_join__when_an_attestor_comes_back__then_its_own_old_key_is_good_again(suite, actors, operator, signer):
    next_block_at(leave(suite, operator))
    suite.attestors.withdrawBond(operator.address, {"from": operator.account})
    suite.token.approve(suite.attestors, BOND, {"from": operator.account})
    suite.attestors.join(signer.address, BOND, {"from": operator.account})
    assert tuple(suite.attestors.seatOf(signer.address)) == (operator.address, BOND)
    assert totals(suite) == (5 * BOND, 5, 3)


# Governance


GOOD_TERMS = ((1, 1, DAY, 0), (BOND, 2**96 - 1, 180 * DAY, 5_000))
BAD_TERMS = (
    ((0, MOST, DAY, 0), (0, 1, MOST)),
    ((MOST + 1, MOST, DAY, 0), (MOST + 1, 1, MOST)),
    ((BOND, 2**96, DAY, 0), (2**96, BOND, 2**96 - 1)),
    ((BOND, MOST, DAY - 1, 0), (DAY - 1, DAY, 180 * DAY)),
    ((BOND, MOST, 180 * DAY + 1, 0), (180 * DAY + 1, DAY, 180 * DAY)),
    ((BOND, MOST, DAY, 5_001), (5_001, 0, 5_000)),
)


@pytest.mark.parametrize("terms", GOOD_TERMS)
def test_set_terms__when_at_the_bounds__then_they_hold(suite, governance, terms):
    event = suite.attestors.setTerms(*terms, governance).events["TermsSet"]
    assert tuple(event[name] for name in ("minBond", "maxBond", "exitDelay", "finderBps")) == terms
    assert tuple(suite.attestors.terms()) == terms


@pytest.mark.parametrize("terms, values", BAD_TERMS)
def test_set_terms__when_beyond_the_bounds__then_they_are_refused(suite, governance, terms, values):
    with brownie.reverts(refusal("OutOfBounds", *values)):
        suite.attestors.setTerms(*terms, governance)


def test_set_min_signers__when_at_the_bounds__then_it_holds_and_beyond_is_refused(suite, governance):
    for number in (1, 2**32 - 1):
        event = suite.attestors.setMinSigners(number, governance).events["MinSignersSet"]
        assert event["minSigners"] == number == suite.attestors.totals()[2]
    for number in (0, 2**32):
        with brownie.reverts(refusal("OutOfBounds", number, 1, 2**32 - 1)):
            suite.attestors.setMinSigners(number, governance)

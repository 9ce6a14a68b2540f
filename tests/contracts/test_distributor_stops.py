"""Vetoes and challenges: how a pending root dies, and how it lives on."""

import brownie
import pytest
from eth_utils import keccak

from clock import at, mine_at, now
from conftest import refusal
from merkle import rewards
from suite import OPEN

DELAY = 86_400
RESOLUTION = 1_209_600
BOND = 10_000 * OPEN
STOPPED = 2**40 - 1
FEES = 1_000 * OPEN
REASON = keccak(text="the reason, published elsewhere")
ROOT, BETTER, NEXT = (keccak(text=f"stoppable root {n}") for n in range(3))


@pytest.fixture(scope="module")
def distributor(suite, money):
    money.collect_fees(FEES)
    return suite.distributor


@pytest.fixture
def pending(distributor, money):
    """One root, waiting."""
    money.post(ROOT, FEES)
    return distributor


@pytest.fixture
def challenged(pending, money):
    """The root, stopped by a challenge with the id 1."""
    pending.challenge(ROOT, REASON, {"from": money.challenger().account})
    return pending


# Veto


def test_veto__when_the_guardian_stops_a_pending_root__then_it_is_gone(pending, actors):
    tx = pending.veto(ROOT, {"from": actors.guardian.account})
    assert dict(tx.events["RootVetoed"]) == {"root": "0x" + ROOT.hex(), "epoch": 1}
    assert tuple(pending.recordOf(ROOT)) == (0, 0, 0)
    assert tuple(pending.state()[2:]) == (0, 1)


@pytest.mark.parametrize("caller", ["thief", "holder", "challenger"])
def test_veto__when_anybody_else_calls__then_it_is_refused(pending, actors, caller):
    sender = getattr(actors, caller)
    with brownie.reverts(refusal("OnlyGuardian", sender.address)):
        pending.veto(ROOT, {"from": sender.account})


def test_veto__when_governance_calls__then_it_is_refused(pending, as_timelock):
    with brownie.reverts(refusal("OnlyGuardian", as_timelock.address)):
        pending.veto(ROOT, {"from": as_timelock})


def test_veto__when_one_second_before_activation__then_it_is_in_time(pending, actors):
    at(pending.recordOf(ROOT)[0] - 1)
    pending.veto(ROOT, {"from": actors.guardian.account})
    assert pending.state()[2] == 0


def test_veto__when_at_activation__then_it_is_too_late(pending, actors):
    activates_at = pending.recordOf(ROOT)[0]
    at(activates_at)
    with brownie.reverts(refusal("WindowClosed", ROOT, activates_at)):
        pending.veto(ROOT, {"from": actors.guardian.account})


def test_veto__when_the_root_is_unknown_or_vetoed_before__then_it_is_refused(pending, actors):
    pending.veto(ROOT, {"from": actors.guardian.account})
    for root in (ROOT, BETTER):
        with brownie.reverts(refusal("WindowClosed", root, 0)):
            pending.veto(root, {"from": actors.guardian.account})


def test_veto__when_done__then_a_claim_against_it_never_pays(distributor, money, actors):
    tree = rewards([(actors.contributor.address, FEES)])
    money.post(tree.root, FEES)
    distributor.veto(tree.root, {"from": actors.guardian.account})
    mine_at(now() + DELAY + 1)
    with brownie.reverts(refusal("RootNotActive", tree.root, 0)):
        distributor.claim(actors.contributor.address, FEES, tree.proof(0), {"from": actors.relayer.account})


def test_veto__when_done__then_attestors_may_post_anew_at_once(pending, money, actors):
    pending.veto(ROOT, {"from": actors.guardian.account})
    money.post(BETTER, FEES)
    assert tuple(pending.state()[2:]) == (1, 1)


# Challenge


def test_challenge__when_anybody_pays_the_bond__then_the_root_is_stopped(pending, suite, money):
    challenger = money.challenger()
    before = suite.token.balanceOf(pending.address)
    tx = pending.challenge(ROOT, REASON, {"from": challenger.account})
    deadline = tx.timestamp + RESOLUTION
    assert tx.return_value == 1
    assert dict(tx.events["RootChallenged"]) == {
        "root": "0x" + ROOT.hex(),
        "challengeId": 1,
        "challenger": challenger.address,
        "deadline": deadline,
        "reasonHash": "0x" + REASON.hex(),
    }
    assert tuple(pending.recordOf(ROOT)) == (STOPPED, 1, FEES)
    assert tuple(pending.challengeOf(1)) == (challenger.address, BOND, "0x" + ROOT.hex(), deadline)
    assert tuple(pending.state()[2:]) == (0, 1)
    assert suite.token.balanceOf(pending.address) - before == BOND
    assert suite.token.balanceOf(challenger.address) == 0
    assert pending.isActive(ROOT) is False


def test_challenge__when_one_wei_of_the_bond_is_missing__then_the_root_stands(pending, suite, money, actors):
    challenger = money.challenger()
    suite.token.transfer(actors.recipient.address, 1, {"from": challenger.account})
    with brownie.reverts(refusal("ERC20InsufficientBalance", challenger.address, BOND - 1, BOND)):
        pending.challenge(ROOT, REASON, {"from": challenger.account})
    assert tuple(pending.state()[2:]) == (1, 0)


def test_challenge__when_the_bond_is_not_allowed__then_the_root_stands(pending, actors):
    with brownie.reverts(refusal("ERC20InsufficientAllowance", pending.address, 0, BOND)):
        pending.challenge(ROOT, REASON, {"from": actors.thief.account})
    assert tuple(pending.state()[2:]) == (1, 0)


def test_challenge__when_in_the_last_second__then_it_is_in_time(pending, money):
    challenger = money.challenger()
    at(pending.recordOf(ROOT)[0] - 1)
    pending.challenge(ROOT, REASON, {"from": challenger.account})
    assert pending.recordOf(ROOT)[0] == STOPPED


def test_challenge__when_one_second_later__then_it_is_too_late(pending, money):
    challenger = money.challenger()
    activates_at = pending.recordOf(ROOT)[0]
    at(activates_at)
    with brownie.reverts(refusal("WindowClosed", ROOT, activates_at)):
        pending.challenge(ROOT, REASON, {"from": challenger.account})


def test_challenge__when_stopped_before_or_unknown__then_it_is_refused(challenged, money):
    challenger = money.challenger()
    for root, activates_at in ((ROOT, STOPPED), (BETTER, 0)):
        with brownie.reverts(refusal("WindowClosed", root, activates_at)):
            challenged.challenge(root, REASON, {"from": challenger.account})


def test_challenge__when_the_terms_change__then_an_open_challenge_keeps_its_own(challenged, suite, money, as_timelock):
    deadline = challenged.challengeOf(1)[3]
    challenged.setChallengeTerms(1, 90 * 86_400, {"from": as_timelock})
    at(deadline + 1)
    tx = challenged.returnChallengeBond(1, {"from": money.actors.thief.account})
    assert tx.events["ChallengeBondReturned"]["bond"] == BOND


def test_challenged_root__when_nobody_judges__then_it_is_dead(distributor, money, actors):
    tree = rewards([(actors.contributor.address, FEES)])
    money.post(tree.root, FEES)
    distributor.challenge(tree.root, REASON, {"from": money.challenger().account})
    mine_at(now() + RESOLUTION + DELAY + 10)
    with brownie.reverts(refusal("RootNotActive", tree.root, STOPPED)):
        distributor.claim(actors.contributor.address, FEES, tree.proof(0), {"from": actors.relayer.account})
    with brownie.reverts(refusal("RootNotActive", tree.root, STOPPED)):
        distributor.refill(tree.root, {"from": actors.relayer.account})


def test_challenged_root__when_replaced__then_the_chain_goes_on_without_it(challenged, money):
    money.post(BETTER, FEES)
    money.activate(BETTER)
    with brownie.reverts(refusal("PreviousRootPending", ROOT, STOPPED)):
        money.post(NEXT, FEES, ROOT, 2)
    money.post(NEXT, FEES, BETTER, 2)
    assert tuple(challenged.state()[2:]) == (2, 1)


def test_challenged_root__when_attestors_sign_it_anew__then_it_waits_out_a_new_window(challenged, money):
    tx = money.post(ROOT, FEES)
    assert tuple(challenged.recordOf(ROOT)) == (tx.timestamp + DELAY, 1, FEES)


# Judgement


def test_reject__when_nothing_took_its_place__then_the_root_waits_anew_and_the_bond_goes_to_governance(
    challenged, suite, as_timelock
):
    before = suite.token.balanceOf(suite.timelock.address)
    tx = challenged.rejectChallenge(1, {"from": as_timelock})
    activates_at = tx.timestamp + DELAY
    assert dict(tx.events["ChallengeRejected"]) == {
        "challengeId": 1,
        "root": "0x" + ROOT.hex(),
        "activatesAt": activates_at,
    }
    assert tuple(challenged.recordOf(ROOT)) == (activates_at, 1, FEES)
    assert tuple(challenged.state()[2:]) == (1, 1)
    assert suite.token.balanceOf(suite.timelock.address) - before == BOND
    assert challenged.challengeOf(1)[1] == 0
    mine_at(activates_at)
    assert challenged.isActive(ROOT) is True


def test_reject__when_a_replacement_was_posted__then_the_root_stays_dead(challenged, money, as_timelock):
    money.post(BETTER, FEES)
    tx = challenged.rejectChallenge(1, {"from": as_timelock})
    assert tx.events["ChallengeRejected"]["activatesAt"] == 0
    assert challenged.recordOf(ROOT)[0] == STOPPED
    assert challenged.state()[2] == 1


def test_reject__when_the_replacement_was_vetoed__then_the_root_comes_back(challenged, money, actors, as_timelock):
    money.post(BETTER, FEES)
    challenged.veto(BETTER, {"from": actors.guardian.account})
    tx = challenged.rejectChallenge(1, {"from": as_timelock})
    assert tx.events["ChallengeRejected"]["activatesAt"] == tx.timestamp + DELAY
    assert challenged.state()[2] == 1


def test_reject__when_the_root_came_back__then_it_can_be_stopped_again(challenged, money, actors, as_timelock):
    challenged.rejectChallenge(1, {"from": as_timelock})
    challenged.challenge(ROOT, REASON, {"from": money.challenger().account})
    challenged.rejectChallenge(2, {"from": as_timelock})
    challenged.veto(ROOT, {"from": actors.guardian.account})
    assert tuple(challenged.state()[2:]) == (0, 3)
    assert tuple(challenged.recordOf(ROOT)) == (0, 0, 0)


def test_reject__when_two_roots_of_an_epoch_were_stopped__then_only_one_comes_back(challenged, money, as_timelock):
    money.post(BETTER, FEES)
    challenged.challenge(BETTER, REASON, {"from": money.challenger().account})
    challenged.rejectChallenge(2, {"from": as_timelock})
    tx = challenged.rejectChallenge(1, {"from": as_timelock})
    assert tx.events["ChallengeRejected"]["activatesAt"] == 0
    assert challenged.recordOf(ROOT)[0] == STOPPED
    assert challenged.state()[2] == 1


def test_reject__when_the_root_was_posted_and_challenged_anew__then_an_old_judgement_does_not_free_it(
    challenged, money, as_timelock
):
    money.post(ROOT, 0)
    challenged.challenge(ROOT, REASON, {"from": money.challenger().account})
    tx = challenged.rejectChallenge(1, {"from": as_timelock})
    assert tx.events["ChallengeRejected"]["activatesAt"] == 0
    assert challenged.recordOf(ROOT)[0] == STOPPED
    assert challenged.state()[2] == 0


def test_reject__when_at_the_deadline__then_it_is_in_time(challenged, as_timelock):
    at(challenged.challengeOf(1)[3])
    challenged.rejectChallenge(1, {"from": as_timelock})
    assert challenged.state()[2] == 1


def test_reject__when_one_second_late__then_the_root_is_dead(challenged, as_timelock):
    deadline = challenged.challengeOf(1)[3]
    at(deadline + 1)
    with brownie.reverts(refusal("ChallengeNotOpen", 1, deadline)):
        challenged.rejectChallenge(1, {"from": as_timelock})
    assert challenged.recordOf(ROOT)[0] == STOPPED


def test_reject__when_unknown_or_judged_before__then_it_is_refused(challenged, as_timelock):
    challenged.rejectChallenge(1, {"from": as_timelock})
    for challenge_id in (0, 1, 2):
        with brownie.reverts(refusal("ChallengeNotOpen", challenge_id, 0)):
            challenged.rejectChallenge(challenge_id, {"from": as_timelock})


@pytest.mark.parametrize("caller", ["thief", "guardian", "challenger"])
def test_reject__when_anybody_but_governance_calls__then_it_is_refused(challenged, actors, caller):
    sender = getattr(actors, caller)
    with brownie.reverts(refusal("OnlyGovernance", sender.address)):
        challenged.rejectChallenge(1, {"from": sender.account})


def test_bond__when_not_judged_in_time__then_anybody_sends_it_back_once(challenged, suite, actors):
    deadline = challenged.challengeOf(1)[3]
    at(deadline + 1)
    tx = challenged.returnChallengeBond(1, {"from": actors.thief.account})
    assert dict(tx.events["ChallengeBondReturned"]) == {
        "challengeId": 1,
        "challenger": actors.challenger.address,
        "bond": BOND,
    }
    assert suite.token.balanceOf(actors.challenger.address) == BOND
    with brownie.reverts(refusal("ChallengeNotOpen", 1, 0)):
        challenged.returnChallengeBond(1, {"from": actors.thief.account})


def test_bond__when_at_the_deadline__then_it_is_still_open(challenged, actors):
    deadline = challenged.challengeOf(1)[3]
    at(deadline)
    with brownie.reverts(refusal("ChallengeStillOpen", 1, deadline)):
        challenged.returnChallengeBond(1, {"from": actors.challenger.account})


def test_bond__when_the_challenge_was_rejected__then_it_is_lost(challenged, actors, as_timelock):
    challenged.rejectChallenge(1, {"from": as_timelock})
    mine_at(now() + RESOLUTION + 2)
    with brownie.reverts(refusal("ChallengeNotOpen", 1, 0)):
        challenged.returnChallengeBond(1, {"from": actors.challenger.account})


def test_bond__when_the_challenger_is_a_greedy_contract__then_it_gets_one_bond(pending, suite, money, doubles, actors):
    greedy = actors.thief.account.deploy(doubles.GreedyReceiver)
    money.fund(greedy, BOND)
    execute = {"from": actors.thief.account}
    greedy.execute(suite.token.address, suite.token.approve.encode_input(pending.address, BOND), execute)
    greedy.execute(pending.address, pending.challenge.encode_input(ROOT, REASON), execute)
    money.fund(pending, BOND)
    mine_at(pending.challengeOf(1)[3] + 1)
    tx = greedy.take(pending.address, pending.returnChallengeBond.encode_input(1), 3, execute)
    assert tx.return_value == 2
    assert suite.token.balanceOf(greedy.address) == BOND
    assert greedy.callbacks() == 0

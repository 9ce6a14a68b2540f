"""A datanet from its creation to its closing: who may change what, and when its bond comes back."""

import brownie
import pytest
from eth_utils import keccak

from conftest import ZERO, refusal
from contributions import NO_HASH, POLICY, Contribution, fund, next_block_at, open_datanet
from suite import OPEN

BOND = 1_000 * OPEN
NOTICE = 604_800


@pytest.fixture(scope="module")
def datanet(suite, actors):
    return open_datanet(suite, actors, [actors.reviewer, actors.second_reviewer], 2)


def create(suite, actors, policy=POLICY, reviewers=None, quorum=1, bond=BOND):
    named = [actors.reviewer.address] if reviewers is None else reviewers
    arguments = (policy, "name", "CC0-1.0", "text", named, quorum, bond)
    return suite.datanets.createDatanet(*arguments, {"from": actors.steward.account})


# Creation


def test_create__when_everything_is_in_order__then_it_is_the_stewards_and_the_bond_is_held(suite, actors):
    fund(suite, actors, actors.steward, BOND, suite.datanets)
    held = suite.token.balanceOf(suite.datanets)
    tx = create(suite, actors)
    number = suite.datanets.datanetCount()
    event = tx.events["DatanetCreated"]
    assert (event["datanet"], event["steward"], bytes(event["policyHash"])) == (number, actors.steward.address, POLICY)
    assert (event["name"], event["licence"], event["datatype"], event["bond"]) == ("name", "CC0-1.0", "text", BOND)
    assert tx.events["ReviewerSet"]["reviewer"] == actors.reviewer.address
    assert tx.events["QuorumSet"]["quorum"] == 1
    made = suite.datanets.datanetOf(number)
    assert tuple(made)[:6] == (actors.steward.address, 0, 1, 0, BOND, 1) and bytes(made[6]) == POLICY
    assert suite.token.balanceOf(suite.datanets) == held + BOND


def test_create__when_the_policy_is_empty__then_it_is_refused(suite, actors):
    with brownie.reverts(refusal("EmptyHash")):
        create(suite, actors, policy=NO_HASH)


def test_create__when_the_bond_is_a_wei_too_small__then_it_is_refused(suite, actors):
    with brownie.reverts(refusal("BondTooSmall", BOND - 1, BOND)):
        create(suite, actors, bond=BOND - 1)


def test_create__when_the_bond_does_not_fit__then_it_is_refused(suite, actors):
    with brownie.reverts(refusal("OutOfBounds", 2**96, 0, 2**96 - 1)):
        create(suite, actors, bond=2**96)


@pytest.mark.parametrize("quorum", [0, 2])
def test_create__when_the_reviewers_cannot_make_the_quorum__then_it_is_refused(suite, actors, quorum):
    with brownie.reverts(refusal("QuorumOutOfRange", quorum, 1)):
        create(suite, actors, quorum=quorum)


def test_create__when_a_reviewer_is_named_twice_or_is_nobody__then_it_is_refused(suite, actors):
    reviewer = actors.reviewer.address
    for named, at_fault in (([reviewer, reviewer], reviewer), ([ZERO], ZERO)):
        with brownie.reverts(refusal("ReviewerUnchanged", at_fault)):
            create(suite, actors, reviewers=named)


# The steward's rights


def stewards_calls(suite, actors, datanet) -> dict:
    registry = suite.datanets
    return {
        "setPolicy": lambda s: registry.setPolicy(datanet, POLICY, s),
        "setReviewer": lambda s: registry.setReviewer(datanet, actors.third_reviewer.address, True, s),
        "setQuorum": lambda s: registry.setQuorum(datanet, 1, s),
        "offerSteward": lambda s: registry.offerSteward(datanet, actors.thief.address, s),
        "announceClosing": lambda s: registry.announceClosing(datanet, s),
        "withdrawDatanetBond": lambda s: registry.withdrawDatanetBond(datanet, s),
        "publishSnapshot": lambda s: registry.publishSnapshot(datanet, POLICY, 1, POLICY, NO_HASH, s),
    }


STEWARDS = "setPolicy setReviewer setQuorum offerSteward announceClosing withdrawDatanetBond publishSnapshot".split()


@pytest.mark.parametrize("function", STEWARDS)
def test_stewards_rights__when_anybody_else_calls__then_it_is_refused(suite, actors, datanet, function):
    with brownie.reverts(refusal("OnlySteward", datanet, actors.thief.address)):
        stewards_calls(suite, actors, datanet)[function]({"from": actors.thief.account})


@pytest.mark.parametrize("function", STEWARDS)
def test_stewards_rights__when_the_datanet_does_not_exist__then_it_is_refused(suite, actors, datanet, function):
    with brownie.reverts(refusal("UnknownDatanet", datanet + 1)):
        stewards_calls(suite, actors, datanet + 1)[function]({"from": actors.steward.account})


def test_set_policy__when_the_steward_sets_it__then_it_holds_and_an_empty_one_is_refused(suite, actors, datanet):
    steward, policy = {"from": actors.steward.account}, keccak(text="new policy")
    event = suite.datanets.setPolicy(datanet, policy, steward).events["PolicySet"]
    assert event["datanet"] == datanet and bytes(event["policyHash"]) == policy
    assert bytes(suite.datanets.datanetOf(datanet)[6]) == policy
    with brownie.reverts(refusal("EmptyHash")):
        suite.datanets.setPolicy(datanet, NO_HASH, steward)


def test_set_reviewer__when_one_comes_and_goes__then_the_count_follows(suite, actors, datanet):
    third, steward = actors.third_reviewer.address, {"from": actors.steward.account}
    for active, count in ((True, 3), (False, 2)):
        event = suite.datanets.setReviewer(datanet, third, active, steward).events["ReviewerSet"]
        assert (event["datanet"], event["reviewer"], event["active"]) == (datanet, third, active)
        assert suite.datanets.isReviewer(datanet, third) is active
        assert suite.datanets.datanetOf(datanet)[5] == count
        with brownie.reverts(refusal("ReviewerUnchanged", third)):
            suite.datanets.setReviewer(datanet, third, active, steward)


def test_set_reviewer__when_too_few_would_be_left_for_the_quorum__then_it_is_refused(suite, actors, datanet):
    with brownie.reverts(refusal("QuorumOutOfRange", 2, 1)):
        suite.datanets.setReviewer(datanet, actors.reviewer.address, False, {"from": actors.steward.account})


def test_set_quorum__when_within_the_reviewers__then_it_holds_and_beyond_it_is_refused(suite, actors, datanet):
    steward = {"from": actors.steward.account}
    event = suite.datanets.setQuorum(datanet, 1, steward).events["QuorumSet"]
    assert (event["datanet"], event["quorum"], suite.datanets.datanetOf(datanet)[2]) == (datanet, 1, 1)
    suite.datanets.setQuorum(datanet, 2, steward)
    for quorum in (0, 3, 2**16 + 1):
        with brownie.reverts(refusal("QuorumOutOfRange", quorum, 2)):
            suite.datanets.setQuorum(datanet, quorum, steward)


# Hand-over


def test_hand_over__when_offered_and_accepted__then_the_rights_move_and_the_offer_is_used_up(suite, actors, datanet):
    registry, heir = suite.datanets, actors.relayer
    offered = registry.offerSteward(datanet, heir.address, {"from": actors.steward.account}).events["StewardOffered"]
    assert (offered["datanet"], offered["to"]) == (datanet, heir.address)
    assert registry.datanetOf(datanet)[0] == actors.steward.address
    changed = registry.acceptSteward(datanet, {"from": heir.account}).events["StewardChanged"]
    assert (changed["datanet"], changed["from"], changed["to"]) == (datanet, actors.steward.address, heir.address)
    with brownie.reverts(refusal("OnlySteward", datanet, actors.steward.address)):
        registry.setPolicy(datanet, POLICY, {"from": actors.steward.account})
    registry.offerSteward(datanet, actors.steward.address, {"from": heir.account})
    with brownie.reverts(refusal("NotOffered", heir.address)):
        registry.acceptSteward(datanet, {"from": heir.account})


def test_hand_over__when_a_thief_accepts_or_the_offer_went_to_another__then_it_is_refused(suite, actors, datanet):
    steward = {"from": actors.steward.account}
    suite.datanets.offerSteward(datanet, actors.relayer.address, steward)
    suite.datanets.offerSteward(datanet, ZERO, steward)
    for caller in (actors.thief, actors.relayer):
        with brownie.reverts(refusal("NotOffered", caller.address)):
            suite.datanets.acceptSteward(datanet, {"from": caller.account})


# Closing


@pytest.fixture
def closes_at(suite, actors, datanet):
    tx = suite.datanets.announceClosing(datanet, {"from": actors.steward.account})
    assert tx.events["ClosingAnnounced"]["closesAt"] == tx.timestamp + NOTICE
    return tx.timestamp + NOTICE


def test_closing__when_the_notice_runs__then_contributions_count_to_its_last_second(suite, actors, datanet, closes_at):
    own, sender = Contribution(actors.contributor.address, datanet), {"from": actors.contributor.account}
    next_block_at(closes_at)
    suite.datanets.contribute(*own.content, sender)
    signed = own.signed_rows(actors.contributor.sign(own.digest(suite.datanets)))
    next_block_at(closes_at + 1)
    with brownie.reverts(refusal("DatanetClosed", datanet, closes_at)):
        suite.datanets.contribute(*own.content, sender)
    with brownie.reverts(refusal("DatanetClosed", datanet, closes_at)):
        suite.datanets.contributeMany(datanet, [signed], False, sender)


def test_closing__when_announced_twice__then_it_is_refused(suite, actors, datanet, closes_at):
    with brownie.reverts(refusal("DatanetClosed", datanet, closes_at)):
        suite.datanets.announceClosing(datanet, {"from": actors.steward.account})


def test_closing__when_the_notice_is_over__then_the_bond_comes_back_once_and_not_a_second_before(
    suite, actors, datanet, closes_at
):
    steward = {"from": actors.steward.account}
    next_block_at(closes_at)
    with brownie.reverts(refusal("DatanetNotClosed", datanet, closes_at)):
        suite.datanets.withdrawDatanetBond(datanet, steward)
    next_block_at(closes_at + 1)
    event = suite.datanets.withdrawDatanetBond(datanet, steward).events["DatanetBondWithdrawn"]
    assert (event["datanet"], event["steward"], event["amount"]) == (datanet, actors.steward.address, BOND)
    assert suite.token.balanceOf(actors.steward.address) == BOND
    with brownie.reverts(refusal("NoBond", actors.steward.address)):
        suite.datanets.withdrawDatanetBond(datanet, steward)


def test_closing__when_it_was_never_announced__then_the_bond_stays(suite, actors, datanet):
    with brownie.reverts(refusal("DatanetNotClosed", datanet, 0)):
        suite.datanets.withdrawDatanetBond(datanet, {"from": actors.steward.account})


# Governance


def terms_with(suite, place: int, value: int) -> list:
    terms = list(suite.datanets.terms())
    terms[place] = value
    return terms


BOUNDS = [(5, 0, 5_000)] + [(place, 1, 90 * 86_400) for place in (2, 4, 6)]


@pytest.mark.parametrize("place, least, most", BOUNDS)
def test_set_terms__when_at_the_bounds__then_they_hold_and_beyond_they_are_refused(
    suite, as_timelock, place, least, most
):
    for value in (least, most):
        terms = terms_with(suite, place, value)
        event = suite.datanets.setTerms(terms, {"from": as_timelock}).events["TermsSet"]
        assert list(event["terms"]) == terms == list(suite.datanets.terms())
    for value in [most + 1] + ([least - 1] if least else []):
        with brownie.reverts(refusal("OutOfBounds", value, least, most)):
            suite.datanets.setTerms(terms_with(suite, place, value), {"from": as_timelock})

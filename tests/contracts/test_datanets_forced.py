"""What a contributor forced in cannot be left lying; outcomes and snapshots are written once, by those entitled."""

import brownie
import pytest
from eth_utils import keccak

from conftest import refusal
from contributions import (
    NO_HASH,
    Contribution,
    fold,
    fund,
    malleable,
    next_block_at,
    open_datanet,
    outcome_hash,
    outcomes_digest,
    signed_by,
)
from suite import OPEN

WINDOW = 259_200
FORCED_BOND = 10 * OPEN
BOND = 1_000 * OPEN
ROOT, MANIFEST, REASONS = (keccak(text=text) for text in ("root", "manifest", "reasons"))


@pytest.fixture(scope="module")
def datanet(suite, actors):
    return open_datanet(suite, actors, [actors.reviewer, actors.second_reviewer, actors.third_reviewer], 2)


@pytest.fixture(scope="module")
def elsewhere(suite, actors, datanet):
    """Another datanet, with other reviewers."""
    return open_datanet(suite, actors, [actors.finder, actors.relayer], 2)


@pytest.fixture(scope="module")
def own(suite, actors, datanet):
    fund(suite, actors, actors.contributor, 10 * FORCED_BOND, suite.datanets)
    return Contribution(actors.contributor.address, datanet)


@pytest.fixture
def force(suite, actors, own):
    def send(contribution=own):
        return suite.datanets.contributeForced(*contribution.content, {"from": actors.contributor.account})

    return send


@pytest.fixture
def record(suite, actors, datanet):
    """Two reviewers sign outcomes; anybody sends them."""

    def send(outcomes, signers=None, number=datanet):
        people = signers or (actors.reviewer, actors.second_reviewer)
        signatures = signed_by(people, outcomes_digest(suite.datanets, number, outcomes))
        return suite.datanets.recordOutcomes(number, outcomes, signatures, {"from": actors.relayer.account})

    return send


def outcome(contribution, accepted: int) -> tuple:
    return (contribution.name, ROOT if accepted else NO_HASH, accepted, REASONS)


def publish(suite, actors, datanet, accumulator=None, root=ROOT, count=1, manifest=MANIFEST):
    reached = suite.datanets.accumulatorOf(datanet) if accumulator is None else accumulator
    return suite.datanets.publishSnapshot(datanet, root, count, manifest, reached, {"from": actors.steward.account})


# Forcing


def test_contribute_forced__when_sent__then_it_is_logged_with_a_deadline_and_a_bond(suite, actors, datanet, own, force):
    held = suite.token.balanceOf(suite.datanets)
    tx = force()
    event = tx.events["InclusionForced"]
    assert (event["datanet"], event["contributor"]) == (datanet, own.contributor)
    assert bytes(event["contribution"]) == own.name
    assert event["deadline"] == tx.timestamp + WINDOW
    assert bytes(tx.events["Contributed"]["contribution"]) == own.name
    expected = (own.contributor, tx.timestamp + WINDOW, False, False, FORCED_BOND)
    assert tuple(suite.datanets.forcedOf(datanet, own.name)) == expected
    assert suite.token.balanceOf(suite.datanets) == held + FORCED_BOND


def test_contribute_forced__when_forced_before__then_it_is_refused(own, force):
    force()
    with brownie.reverts(refusal("AlreadyForced", own.name)):
        force()


def test_contribute_forced__when_its_outcome_is_recorded__then_it_is_refused(own, force, record):
    record([outcome(own, 0)])
    with brownie.reverts(refusal("OutcomeAlreadyRecorded", own.name)):
        force()


def test_contribute_forced__when_governance_shortens_the_window__then_no_deadline_comes_before_an_earlier_one(
    suite, as_timelock, own, force, datanet
):
    first = force().events["InclusionForced"]["deadline"]
    terms = list(suite.datanets.terms())
    terms[2] = 1
    suite.datanets.setTerms(terms, {"from": as_timelock})
    assert force(own.but(count=2)).events["InclusionForced"]["deadline"] == first


# Overdue


def test_snapshot__when_a_forced_contribution_is_overdue__then_none_is_published_until_its_outcome(
    suite, actors, datanet, own, force, record
):
    deadline = force().events["InclusionForced"]["deadline"]
    next_block_at(deadline)
    publish(suite, actors, datanet)
    next_block_at(deadline + 1)
    with brownie.reverts(refusal("InclusionOverdue", own.name, deadline)):
        publish(suite, actors, datanet)
    record([outcome(own, 1)])
    publish(suite, actors, datanet)


def test_prove_neglect__when_the_deadline_has_passed__then_the_stewards_bond_pays_contributor_and_treasury_once(
    suite, actors, datanet, own, force
):
    deadline = force().events["InclusionForced"]["deadline"]
    before, finder = suite.token.balanceOf(own.contributor), {"from": actors.finder.account}
    next_block_at(deadline)
    with brownie.reverts(refusal("NotOverdue", own.name, deadline)):
        suite.datanets.proveNeglect(datanet, own.name, finder)
    next_block_at(deadline + 1)
    event = suite.datanets.proveNeglect(datanet, own.name, finder).events["Neglected"]
    assert (event["datanet"], bytes(event["contribution"]), event["penalty"]) == (datanet, own.name, FORCED_BOND)
    assert suite.datanets.datanetOf(datanet)[4] == BOND - FORCED_BOND
    assert suite.token.balanceOf(own.contributor) == before + FORCED_BOND // 2
    assert suite.token.balanceOf(suite.timelock) == FORCED_BOND // 2
    with brownie.reverts(refusal("NotOverdue", own.name, deadline)):
        suite.datanets.proveNeglect(datanet, own.name, finder)


def test_prove_neglect__when_the_outcome_came_late_but_came__then_it_is_refused(
    suite, actors, datanet, own, force, record
):
    deadline = force().events["InclusionForced"]["deadline"]
    next_block_at(deadline + 1)
    record([outcome(own, 1)])
    with brownie.reverts(refusal("NotOverdue", own.name, deadline)):
        suite.datanets.proveNeglect(datanet, own.name, {"from": actors.finder.account})


def test_prove_neglect__when_nothing_was_forced__then_it_is_refused(suite, actors, datanet, own):
    with brownie.reverts(refusal("NotOverdue", own.name, 0)):
        suite.datanets.proveNeglect(datanet, own.name, {"from": actors.finder.account})


def test_prove_neglect__when_the_stewards_bond_is_smaller__then_it_pays_what_is_there(
    suite, actors, as_timelock, datanet, own, force
):
    fund(suite, actors, actors.contributor, 2 * BOND, suite.datanets)
    terms = list(suite.datanets.terms())
    terms[1] = BOND + 1
    suite.datanets.setTerms(terms, {"from": as_timelock})
    next_block_at(force().events["InclusionForced"]["deadline"] + 1)
    tx = suite.datanets.proveNeglect(datanet, own.name, {"from": actors.finder.account})
    assert tx.events["Neglected"]["penalty"] == BOND
    assert suite.datanets.datanetOf(datanet)[4] == 0


def test_prove_neglect__when_the_penalty_is_odd__then_the_wei_too_many_goes_to_the_treasury(
    suite, actors, as_timelock, datanet, own, force
):
    """And a steward that neglects contributions of its own never takes more than half of its bond home."""
    terms = list(suite.datanets.terms())
    terms[1] = 7
    suite.datanets.setTerms(terms, {"from": as_timelock})
    next_block_at(force().events["InclusionForced"]["deadline"] + 1)
    before = suite.token.balanceOf(own.contributor)
    suite.datanets.proveNeglect(datanet, own.name, {"from": actors.finder.account})
    assert suite.token.balanceOf(own.contributor) == before + 3
    assert suite.token.balanceOf(suite.timelock) == 4


@pytest.mark.parametrize("accepted", [1, 0])
def test_forced_bond__when_the_outcome_is_recorded__then_the_contributor_or_else_the_steward_gets_it(
    suite, actors, datanet, own, force, record, accepted
):
    force()
    recipient = actors.contributor if accepted else actors.steward
    before = suite.token.balanceOf(recipient.address)
    event = record([outcome(own, accepted)]).events["ForcedBondPaid"]
    assert (event["recipient"], event["amount"]) == (recipient.address, FORCED_BOND)
    assert bytes(event["contribution"]) == own.name
    assert suite.token.balanceOf(recipient.address) == before + FORCED_BOND
    assert suite.datanets.forcedOf(datanet, own.name)[2] is True


def test_skip_resolved__when_some_have_their_outcome__then_only_those_at_the_front_are_passed(
    suite, actors, datanet, own, force, record
):
    queue = [own.but(count=count) for count in range(1, 5)]
    for contribution in queue:
        force(contribution)
    record([outcome(queue[place], 1) for place in (0, 1, 3)])
    for most, pending in ((0, 4), (1, 3), (100, 2)):
        assert suite.datanets.skipResolved(datanet, most, {"from": actors.thief.account}).return_value == pending


def test_closing__when_a_forced_contribution_is_pending__then_the_datanets_bond_stays(
    suite, actors, datanet, own, force, record
):
    force()
    steward = {"from": actors.steward.account}
    closes_at = suite.datanets.announceClosing(datanet, steward).events["ClosingAnnounced"]["closesAt"]
    next_block_at(closes_at + 1)
    with brownie.reverts(refusal("InclusionsPending", 1)):
        suite.datanets.withdrawDatanetBond(datanet, steward)
    record([outcome(own, 1)])
    suite.datanets.withdrawDatanetBond(datanet, steward)


# Outcomes


def test_record_outcomes__when_the_quorum_signs__then_each_is_logged_and_kept(suite, datanet, own, record):
    outcomes = [outcome(own, 1), outcome(own.but(count=2), 0)]
    assert bytes(suite.datanets.outcomesDigest(datanet, outcomes)) == outcomes_digest(suite.datanets, datanet, outcomes)
    events = record(outcomes).events["OutcomeRecorded"]
    for event, (name, root, count, reasons) in zip(events, outcomes, strict=True):
        assert (event["datanet"], bytes(event["contribution"]), event["acceptedCount"]) == (datanet, name, count)
        assert (bytes(event["acceptedRoot"]), bytes(event["reasonsHash"])) == (root, reasons)
        assert bytes(suite.datanets.outcomeOf(datanet, name)) == outcome_hash((name, root, count, reasons))


def test_record_outcomes__when_recorded_before_or_twice_in_one_call__then_it_is_refused(own, record):
    with brownie.reverts(refusal("OutcomeAlreadyRecorded", own.name)):
        record([outcome(own, 1), outcome(own, 0)])
    record([outcome(own, 1)])
    with brownie.reverts(refusal("OutcomeAlreadyRecorded", own.name)):
        record([outcome(own, 0)])


def test_record_outcomes__when_one_reviewer_is_missing__then_it_is_refused(actors, own, record):
    with brownie.reverts(refusal("QuorumNotReached", 1, 2)):
        record([outcome(own, 1)], signers=[actors.reviewer])


def test_record_outcomes__when_a_signer_is_no_reviewer__then_it_is_refused(actors, own, record):
    with brownie.reverts(refusal("NotAReviewer", actors.thief.address)):
        record([outcome(own, 1)], signers=[actors.thief, actors.reviewer, actors.second_reviewer])


def test_record_outcomes__when_reviewers_of_another_datanet_sign__then_they_have_no_say(
    suite, actors, datanet, elsewhere, own, force, record
):
    force()
    strangers = sorted((actors.finder, actors.relayer), key=lambda actor: int(actor.address, 16))
    with brownie.reverts(refusal("NotAReviewer", strangers[0].address)):
        record([outcome(own, 0)], signers=strangers)
    record([outcome(own, 0)], signers=strangers, number=elsewhere)
    assert bytes(suite.datanets.outcomeOf(datanet, own.name)) == NO_HASH
    assert suite.datanets.forcedOf(datanet, own.name)[2] is False


@pytest.mark.parametrize("order", ["duplicate", "descending"])
def test_record_outcomes__when_signers_do_not_ascend__then_it_is_refused(suite, actors, datanet, own, order):
    outcomes = [outcome(own, 1)]
    digest = outcomes_digest(suite.datanets, datanet, outcomes)
    low, high = sorted((actors.reviewer, actors.second_reviewer), key=lambda actor: int(actor.address, 16))
    first, second = (low, low) if order == "duplicate" else (high, low)
    with brownie.reverts(refusal("SignersNotAscending", first.address, second.address)):
        suite.datanets.recordOutcomes(
            datanet, outcomes, first.sign(digest) + second.sign(digest), {"from": actors.relayer.account}
        )


def test_record_outcomes__when_the_signature_is_malleable_or_cut__then_it_is_refused(suite, actors, datanet, own):
    outcomes = [outcome(own, 1)]
    signatures = signed_by(
        (actors.reviewer, actors.second_reviewer), outcomes_digest(suite.datanets, datanet, outcomes)
    )
    sender = {"from": actors.relayer.account}
    with brownie.reverts(refusal("SignersNotAscending", "0x" + "00" * 20, "0x" + "00" * 20)):
        suite.datanets.recordOutcomes(datanet, outcomes, malleable(signatures[:65]) + signatures[65:], sender)
    with brownie.reverts(refusal("SignaturesLength", 129)):
        suite.datanets.recordOutcomes(datanet, outcomes, signatures[:-1], sender)


def test_record_outcomes__when_the_datanet_does_not_exist__then_it_is_refused(own, record):
    with brownie.reverts(refusal("UnknownDatanet", 99)):
        record([outcome(own, 1)], number=99)


# Snapshots


def test_snapshot__when_it_reaches_the_head__then_it_is_kept_and_the_head_is_a_checkpoint(suite, actors, datanet, own):
    suite.datanets.contribute(*own.content, {"from": actors.contributor.account})
    head = fold(NO_HASH, [own.name])
    tx = publish(suite, actors, datanet, count=2**64 - 1)
    event = tx.events["SnapshotPublished"]
    assert (event["datanet"], event["version"], event["count"]) == (datanet, 1, 2**64 - 1)
    assert (bytes(event["root"]), bytes(event["manifestHash"]), bytes(event["accumulator"])) == (ROOT, MANIFEST, head)
    root, count, published_at, accumulator = suite.datanets.snapshotOf(datanet, 1)
    assert (bytes(root), count, published_at, bytes(accumulator)) == (ROOT, 2**64 - 1, tx.timestamp, head)
    assert bytes(suite.datanets.snapshotRoot(datanet, 1)) == ROOT
    assert suite.datanets.checkpointedAt(datanet, head) == tx.timestamp


def test_snapshot__when_the_log_moved_on__then_a_checkpoint_will_do_and_anything_else_will_not(
    suite, actors, datanet, own
):
    contributor = {"from": actors.contributor.account}
    names = [own.but(count=count) for count in (1, 2, 3)]
    suite.datanets.contribute(*names[0].content, contributor)
    tx = suite.datanets.checkpoint(datanet, {"from": actors.thief.account})
    first = fold(NO_HASH, [names[0].name])
    assert bytes(tx.return_value) == bytes(tx.events["Checkpointed"]["accumulator"]) == first
    assert "Checkpointed" not in suite.datanets.checkpoint(datanet, {"from": actors.thief.account}).events
    assert suite.datanets.checkpointedAt(datanet, first) == tx.timestamp
    for contribution in names[1:]:
        suite.datanets.contribute(*contribution.content, contributor)
    assert publish(suite, actors, datanet, accumulator=first).return_value == 1
    unmarked = fold(first, [names[1].name])
    with brownie.reverts(refusal("UnknownAccumulator", unmarked)):
        publish(suite, actors, datanet, accumulator=unmarked)


def test_checkpoint__when_nothing_was_contributed__then_it_is_refused(suite, actors, datanet):
    with brownie.reverts(refusal("UnknownAccumulator", NO_HASH)):
        suite.datanets.checkpoint(datanet, {"from": actors.relayer.account})


@pytest.mark.parametrize(
    "change, error",
    [
        ({"root": NO_HASH}, refusal("EmptyHash")),
        ({"manifest": NO_HASH}, refusal("EmptyHash")),
        ({"count": 0}, refusal("EmptyRows")),
        ({"count": 2**64}, refusal("CountTooLarge", 2**64)),
    ],
)
def test_snapshot__when_something_is_empty_or_too_large__then_it_is_refused(suite, actors, datanet, change, error):
    with brownie.reverts(error):
        publish(suite, actors, datanet, **change)

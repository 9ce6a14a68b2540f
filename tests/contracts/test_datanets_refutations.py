"""An author is not taken for the copier of its own rows, however often its contribution was repeated after the copy."""

from types import SimpleNamespace

import brownie
import pytest
from copying import BOND, ROW, SLASH, Copying

from conftest import refusal
from contributions import fold, fund, next_block_at, open_datanet
from suite import OPEN


@pytest.fixture(scope="module")
def datanet(suite, actors):
    return open_datanet(suite, actors, [actors.reviewer], 1)


@pytest.fixture
def copying(suite, actors, datanet):
    made = Copying(suite, actors, datanet)
    for actor in (actors.contributor, actors.second_contributor):
        made.bond(actor)
    return made


def relayed_again(copying, author, honest) -> None:
    copying.relay(author, honest, copying.actors.thief)


def forced_again(copying, author, honest) -> None:
    fund(copying.suite, copying.actors, author, 10 * OPEN, copying.suite.datanets)
    copying.suite.datanets.contributeForced(*honest.content, {"from": author.account})
    copying.names.append(honest.name)


def framing(copying, repeat=relayed_again) -> SimpleNamespace:
    """The log: something else, the author, its copier whose row gets accepted, the author's contribution once more."""
    author, thief = copying.actors.contributor, copying.actors.thief
    copying.contribute(author, "first")
    honest = copying.contribute(author, ROW, "second")
    copy = copying.contribute(thief, ROW)
    repeat(copying, author, honest)
    copying.review(copy, ROW)
    sham = copying.evidence(copy, honest).but(newer_at=copying.segment(len(copying.names) - 1))
    return SimpleNamespace(author=author, honest=honest, copy=copy, sham=sham)


@pytest.fixture
def framed(copying):
    return framing(copying)


def refute(copying, newer, segment):
    return copying.suite.datanets.refuteDuplicate(newer.name, segment, {"from": copying.actors.relayer.account})


@pytest.mark.parametrize("repeat", [relayed_again, forced_again])
def test_refute__when_the_author_is_named_after_a_copy_and_a_repetition__then_it_keeps_all_and_gets_the_stake(
    suite, actors, datanet, copying, repeat
):
    framed = framing(copying, repeat)
    copying.accuse(framed.sham, actors.thief)
    before = suite.token.balanceOf(framed.author.address)
    event = refute(copying, framed.honest, copying.segment(1)).events["DuplicateRefuted"]
    named = (datanet, framed.author.address, actors.thief.address)
    assert (event["datanet"], event["contributor"], event["finder"]) == named
    assert bytes(event["newer"]) == framed.honest.name
    assert copying.bonded(framed.author) == BOND
    assert suite.token.balanceOf(framed.author.address) == before + SLASH
    assert suite.token.balanceOf(actors.thief.address) == 0
    assert copying.accused(framed.honest) == (0, 0)
    with brownie.reverts(refusal("NotAccused", framed.honest.name)):
        suite.datanets.settleDuplicate(framed.honest.name, {"from": actors.thief.account})


def test_refute__when_the_log_is_long__then_a_checkpoint_ends_the_segment(actors, copying):
    """A thief can lengthen the log at will; the author's place stays next to its checkpoint."""
    author, thief = actors.contributor, actors.thief
    honest = copying.contribute(author, ROW)
    first = copying.checkpoint()
    noise = copying.contribution(thief, "noise")
    for _ in range(4):
        copying.flood(thief, noise, 25)
    copy = copying.contribute(thief, ROW)
    copying.relay(author, honest, thief)
    copying.review(copy, ROW)
    last = len(copying.names) - 1
    copying.accuse(copying.evidence(copy, honest).but(newer_at=copying.segment(last)), thief)
    copying.flood(thief, noise, 25)
    refute(copying, honest, copying.segment(0, first))
    assert copying.bonded(author) == BOND


def test_refute__when_the_time_is_over_but_nothing_settled__then_the_truth_still_counts(actors, copying, framed):
    copying.accuse(framed.sham, actors.thief)
    next_block_at(copying.accused(framed.honest)[1] + 1)
    refute(copying, framed.honest, copying.segment(1))
    assert copying.bonded(framed.author) == BOND


@pytest.fixture
def guilty(actors, copying):
    """An original, accepted, and a copy that stands in the log twice."""
    copier = actors.second_contributor
    original = copying.contribute(actors.contributor, ROW)
    copy = copying.contribute(copier, ROW)
    copying.relay(copier, copy, copier)
    copying.review(original, ROW)
    return SimpleNamespace(copier=copier, original=original, copy=copy, evidence=copying.evidence(original, copy))


@pytest.mark.parametrize("place", [1, 2])
def test_refute__when_every_place_is_after_the_original__then_it_is_refused(copying, guilty, place):
    copying.accuse(guilty.evidence)
    with brownie.reverts(refusal("NotARefutation", guilty.copy.name, place, 0)):
        refute(copying, guilty.copy, copying.segment(place))


def test_refute__when_another_name_stands_at_the_place__then_it_is_refused(copying, guilty):
    """The copier shows the original's place as its own."""
    copying.accuse(guilty.evidence)
    before, later = copying.segment(0)
    with brownie.reverts(refusal("UnknownAccumulator", fold(before, [guilty.copy.name, *later]))):
        refute(copying, guilty.copy, (before, later))


def test_refute__when_nobody_accused_or_it_is_settled__then_it_is_refused(suite, actors, copying, guilty):
    with brownie.reverts(refusal("NotAccused", guilty.copy.name)):
        refute(copying, guilty.copy, copying.segment(1))
    copying.accuse(guilty.evidence)
    next_block_at(copying.accused(guilty.copy)[1] + 1)
    suite.datanets.settleDuplicate(guilty.copy.name, {"from": actors.finder.account})
    with brownie.reverts(refusal("NotAccused", guilty.copy.name)):
        refute(copying, guilty.copy, copying.segment(1))


# A sham accusation carries no bond past the real one


@pytest.fixture
def shammed(suite, actors, datanet, copying):
    """A copier about to leave has an accomplice accuse it falsely, so that nobody else can."""
    copier, accomplice = actors.second_contributor, actors.thief
    original = copying.contribute(actors.contributor, ROW)
    ready = suite.datanets.announceBondExit(datanet, {"from": copier.account}).events["ContributorBondExit"]["readyAt"]
    copy = copying.contribute(copier, ROW)
    third = copying.contribute(accomplice, ROW)
    copying.relay(copier, copy, copier)
    for contribution in (original, third):
        copying.review(contribution, ROW)
    copying.accuse(copying.evidence(third, copy).but(newer_at=copying.segment(3)), accomplice)
    return SimpleNamespace(copier=copier, original=original, copy=copy, ready=ready)


def test_refute__when_an_exit_was_announced_before__then_it_has_to_be_announced_anew(suite, datanet, copying, shammed):
    copier = {"from": shammed.copier.account}
    next_block_at(shammed.ready)
    refute(copying, shammed.copy, copying.segment(1))
    assert tuple(suite.datanets.bondOf(datanet, shammed.copier.address)) == (BOND, 0)
    with brownie.reverts(refusal("BondNotReady", 0)):
        suite.datanets.withdrawBond(datanet, copier)


def test_refute__when_the_accusation_was_a_sham__then_the_real_one_can_follow(copying, shammed):
    real = copying.evidence(shammed.original, shammed.copy)
    with brownie.reverts(refusal("AlreadyAccused", shammed.copy.name)):
        copying.accuse(real)
    next_block_at(shammed.ready)
    refute(copying, shammed.copy, copying.segment(1))
    copying.accuse(real)
    assert copying.bonded(shammed.copier) == BOND - SLASH
    with brownie.reverts(refusal("NotARefutation", shammed.copy.name, 1, 0)):
        refute(copying, shammed.copy, copying.segment(1))

"""Whoever holds OPEN governs the suite, by proposals that are voted on and wait; nobody governs it in any other way."""

import brownie
import pytest
from brownie import project
from brownie.exceptions import VirtualMachineError
from eth_abi import encode
from eth_utils import keccak

from conftest import ZERO, refusal
from contributions import block_at, next_block_at
from suite import OPEN

SUPPLY = 1_000_000_000 * OPEN
QUORUM = SUPPLY * 4 // 100
THRESHOLD = 1_000_000 * OPEN
VOTING_DELAY, VOTING_PERIOD, EXTENSION, TIMELOCK_DELAY = 86_400, 432_000, 172_800, 172_800
AGAINST, FOR, ABSTAIN = range(3)
PENDING, ACTIVE, CANCELED, DEFEATED, SUCCEEDED, QUEUED, EXPIRED, EXECUTED = range(8)
DESCRIPTION = "a proposal"
DESCRIPTION_HASH = keccak(text=DESCRIPTION)
ROLES = {name: keccak(text=name) for name in ("PROPOSER_ROLE", "EXECUTOR_ROLE", "CANCELLER_ROLE")}
ADMIN_ROLE = b"\0" * 32
DATANET_TERMS = (OPEN, OPEN, 1, OPEN, 1, 1, 1)
BOUNDS = (6_000, 4_000, 1_000, 100, 100, 1_000)
NOBODY = "0x" + "11" * 20

# Everything in the suite that only governance may do: (contract, function, arguments).
PRIVILEGED = (
    ("datanets", "setTerms", (DATANET_TERMS,)),
    ("models", "setSplitBounds", (BOUNDS,)),
    ("models", "setPriceNotice", (1,)),
    ("escrow", "setNotice", (700,)),
    ("attestors", "admit", (NOBODY,)),
    ("attestors", "expel", (NOBODY,)),
    ("attestors", "setTerms", (1, 2, 86_400, 0)),
    ("attestors", "setMinSigners", (1,)),
    ("distributor", "setGuardian", (NOBODY,)),
    ("distributor", "setDelay", (700,)),
    ("distributor", "setPoolLimit", (OPEN, 86_400)),
    ("distributor", "setChallengeTerms", (OPEN, 86_400)),
    ("distributor", "rejectChallenge", (1,)),
    ("distributor", "condemn", (b"\0" * 32,)),
    ("distributor", "skipRound", ()),
)
GOVERNED = ("datanets", "models", "escrow", "attestors", "distributor")
GOVERNORS_OWN = (
    ("setVotingDelay", (1,)),
    ("setVotingPeriod", (1,)),
    ("setProposalThreshold", (0,)),
    ("setLateQuorumVoteExtension", (1,)),
    ("updateQuorumNumerator", (1,)),
    ("updateTimelock", (NOBODY,)),
    ("relay", (NOBODY, 0, b"")),
)
TO_TOKEN = (
    ("fundRewardPool", (1,)),
    ("credit", (NOBODY, NOBODY, 1)),
    ("creditMany", ([1],)),
)


def ids(table):
    return [".".join(entry[:-1]) for entry in table]


@pytest.fixture(scope="module")
def voters(suite, actors):
    """The holder has what makes a proposal; two consumers have each just less than the quorum, the builder a wei."""
    amounts = {
        actors.consumer: QUORUM - THRESHOLD,
        actors.second_consumer: QUORUM - 1,
        actors.builder: THRESHOLD,
        actors.second_builder: THRESHOLD - 1,
    }
    for actor, amount in amounts.items():
        suite.token.transfer(actor.address, amount, {"from": actors.holder.account})
        suite.token.delegate(actor.address, {"from": actor.account})
    block_at(brownie.chain[-1].timestamp + 10)  # votes count from the second after they were delegated
    return actors


@pytest.fixture
def change(suite):
    """One call to each contract that has a parameter, as a single proposal."""
    calls = [entry for entry in PRIVILEGED if entry[1] not in ("expel", "rejectChallenge", "condemn")]
    calls += [("governor", *entry) for entry in GOVERNORS_OWN[:5]] + [("timelock", "updateDelay", (86_400,))]
    targets = [getattr(suite, contract).address for contract, _, _ in calls]
    return (
        targets,
        [0] * len(calls),
        [
            getattr(getattr(suite, contract), function).encode_input(*arguments)
            for contract, function, arguments in calls
        ],
    )


def propose(suite, proposer, change):
    tx = suite.governor.propose(*change, DESCRIPTION, {"from": proposer.account})
    return tx.events["ProposalCreated"]["proposalId"], tx.timestamp + VOTING_DELAY


def vote(suite, proposal, voter, support: int = FOR):
    return suite.governor.castVote(proposal, support, {"from": voter.account})


# A whole proposal


def test_proposal__when_voted_queued_and_executed__then_every_contracts_parameters_change(suite, voters, change):
    proposal, starts = propose(suite, voters.builder, change)
    deadline = starts + VOTING_PERIOD
    assert suite.governor.state(proposal) == PENDING
    next_block_at(starts + 1)
    vote(suite, proposal, voters.builder)
    vote(suite, proposal, voters.consumer)
    block_at(deadline)
    assert suite.governor.state(proposal) == ACTIVE
    block_at(deadline + 1)
    assert suite.governor.state(proposal) == SUCCEEDED
    anybody = {"from": voters.relayer.account}
    queued = suite.governor.queue(*change, DESCRIPTION_HASH, anybody)
    ready = queued.timestamp + TIMELOCK_DELAY
    assert suite.governor.proposalEta(proposal) == ready and suite.governor.state(proposal) == QUEUED
    next_block_at(ready - 1)
    with brownie.reverts():
        suite.governor.execute(*change, DESCRIPTION_HASH, anybody)
    assert suite.governor.state(proposal) == QUEUED
    next_block_at(ready)
    suite.governor.execute(*change, DESCRIPTION_HASH, anybody)
    assert suite.governor.state(proposal) == EXECUTED
    assert tuple(suite.datanets.terms()) == DATANET_TERMS
    assert (tuple(suite.models.splitBounds()), suite.models.priceNotice()) == (BOUNDS, 1)
    assert (suite.escrow.notice(), suite.attestors.bondOf(NOBODY)[2]) == (700, True)
    assert (tuple(suite.attestors.terms()), suite.attestors.totals()[2]) == ((1, 2, 86_400, 0), 1)
    assert tuple(suite.distributor.state()) == (NOBODY, 700, 0, 1)
    assert tuple(suite.distributor.poolLimit())[:2] == (OPEN, 86_400)
    assert tuple(suite.distributor.challengeTerms())[:2] == (OPEN, 86_400)
    assert (suite.governor.votingDelay(), suite.governor.votingPeriod()) == (1, 1)
    assert suite.governor.proposalThreshold() == 0
    assert suite.governor.lateQuorumVoteExtension() == 1 == suite.governor.quorumNumerator()
    assert suite.timelock.getMinDelay() == 86_400


# Who may propose


def test_threshold__when_a_wei_is_missing__then_it_is_refused(suite, voters, change):
    error = refusal("GovernorInsufficientProposerVotes", voters.second_builder.address, THRESHOLD - 1, THRESHOLD)
    with brownie.reverts(error):
        propose(suite, voters.second_builder, change)


def test_threshold__when_what_is_held_is_not_delegated__then_it_is_refused(suite, voters, change):
    error = refusal("GovernorInsufficientProposerVotes", voters.holder.address, 0, THRESHOLD)
    with brownie.reverts(error):
        propose(suite, voters.holder, change)


# The quorum


@pytest.mark.parametrize("support", [FOR, ABSTAIN])
def test_quorum__when_a_wei_is_missing_of_the_total_supplys_part__then_the_proposal_is_defeated(
    suite, voters, change, support
):
    proposal, starts = propose(suite, voters.builder, change)
    assert suite.governor.quorum(starts - VOTING_DELAY - 1) == QUORUM
    next_block_at(starts + 1)
    vote(suite, proposal, voters.second_consumer, support)
    block_at(starts + VOTING_PERIOD + 1)
    assert suite.governor.state(proposal) == DEFEATED


def test_quorum__when_little_is_delegated__then_it_is_of_the_total_supply_all_the_same(suite, voters):
    now = brownie.chain[-1].timestamp
    delegated = 2 * QUORUM + THRESHOLD
    assert suite.token.getPastTotalSupply(now - 1) == SUPPLY > delegated
    assert suite.governor.quorum(now - 1) == QUORUM


def test_late_vote__when_it_does_not_bring_the_quorum__then_the_deadline_stays(suite, voters, change):
    proposal, starts = propose(suite, voters.builder, change)
    deadline = starts + VOTING_PERIOD
    next_block_at(starts + 1)
    vote(suite, proposal, voters.second_consumer)
    assert suite.governor.proposalDeadline(proposal) == deadline
    next_block_at(deadline)
    tx = vote(suite, proposal, voters.builder, AGAINST)
    assert "ProposalExtended" not in tx.events
    assert suite.governor.proposalDeadline(proposal) == deadline


def test_late_quorum__when_the_last_second_brings_it__then_the_others_have_the_extension_to_answer(
    suite, voters, change
):
    proposal, starts = propose(suite, voters.builder, change)
    deadline = starts + VOTING_PERIOD
    next_block_at(deadline - 1)
    vote(suite, proposal, voters.builder)
    next_block_at(deadline)
    tx = vote(suite, proposal, voters.consumer)
    extended = deadline + EXTENSION
    assert tx.events["ProposalExtended"]["extendedDeadline"] == extended == suite.governor.proposalDeadline(proposal)
    next_block_at(extended)
    vote(suite, proposal, voters.second_consumer, AGAINST)
    block_at(extended + 1)
    assert suite.governor.state(proposal) == SUCCEEDED


def test_early_quorum__when_it_is_reached_in_good_time__then_the_deadline_stays(suite, voters, change):
    proposal, starts = propose(suite, voters.builder, change)
    next_block_at(starts + 1)
    for voter in (voters.builder, voters.consumer):
        vote(suite, proposal, voter)
    assert suite.governor.proposalDeadline(proposal) == starts + VOTING_PERIOD


def test_vote__when_tokens_move_after_the_start__then_they_do_not_vote_twice(suite, voters, change):
    proposal, starts = propose(suite, voters.builder, change)
    next_block_at(starts + 1)
    vote(suite, proposal, voters.consumer)
    suite.token.transfer(voters.thief.address, QUORUM - THRESHOLD, {"from": voters.consumer.account})
    suite.token.delegate(voters.thief.address, {"from": voters.thief.account})
    vote(suite, proposal, voters.thief)
    assert suite.governor.proposalVotes(proposal)[FOR] == QUORUM - THRESHOLD


# Cancelling


def test_cancel__when_the_proposer_does_before_voting_starts__then_it_is_off(suite, voters, change):
    proposal, starts = propose(suite, voters.builder, change)
    next_block_at(starts)
    suite.governor.cancel(*change, DESCRIPTION_HASH, {"from": voters.builder.account})
    assert suite.governor.state(proposal) == CANCELED


def test_cancel__when_voting_has_started_or_another_asks__then_it_is_refused(suite, voters, change):
    proposal, starts = propose(suite, voters.builder, change)
    with brownie.reverts(refusal("GovernorUnableToCancel", proposal, voters.thief.address)):
        suite.governor.cancel(*change, DESCRIPTION_HASH, {"from": voters.thief.account})
    next_block_at(starts + 1)
    with brownie.reverts(refusal("GovernorUnableToCancel", proposal, voters.builder.address)):
        suite.governor.cancel(*change, DESCRIPTION_HASH, {"from": voters.builder.account})


# Nobody else


OUTSIDERS = ("deployer", "holder", "guardian", "steward", "thief")


@pytest.mark.parametrize("contract, function, arguments", PRIVILEGED, ids=ids(PRIVILEGED))
def test_privileged__when_not_the_timelock_calls__then_it_is_refused(suite, actors, contract, function, arguments):
    call = getattr(getattr(suite, contract), function)
    callers = [getattr(actors, role).account for role in OUTSIDERS]
    callers += [brownie.accounts.at(suite.governor.address, force=True)]
    callers += [brownie.accounts.at(suite.launcher.address, force=True)]
    for caller in callers:
        with brownie.reverts(refusal("OnlyGovernance", caller.address)):
            call(*arguments, {"from": caller})


@pytest.mark.parametrize("function, arguments", GOVERNORS_OWN, ids=ids(GOVERNORS_OWN))
def test_governors_own__when_not_a_proposal_calls__then_it_is_refused(suite, actors, function, arguments):
    for role in OUTSIDERS:
        caller = getattr(actors, role).account
        with brownie.reverts(refusal("GovernorOnlyExecutor", caller.address)):
            getattr(suite.governor, function)(*arguments, {"from": caller})


@pytest.mark.parametrize("function, arguments", TO_TOKEN, ids=ids(TO_TOKEN))
def test_token__when_not_the_distributor_calls__then_not_even_governance_may(
    suite, actors, as_timelock, function, arguments
):
    for caller in (actors.deployer.account, actors.holder.account, as_timelock):
        with brownie.reverts(refusal("OnlyDistributor", caller.address)):
            getattr(suite.token, function)(*arguments, {"from": caller})


def test_privileged__when_the_interfaces_are_searched__then_the_table_names_every_setter(suite):
    """A setter that is added to a contract must be added here too."""
    stewards = {"setPolicy", "setReviewer", "setQuorum", "setStatus"}
    found = set()
    for name in GOVERNED:
        for entry in getattr(suite, name).abi:
            writes = entry.get("stateMutability") == "nonpayable" and entry.get("type") == "function"
            named = entry.get("name", "")
            if writes and named.startswith("set") and not named.startswith("settle") and named not in stewards:
                found.add((name, named))
    assert found == {(contract, function) for contract, function, _ in PRIVILEGED if function.startswith("set")}


def nothing(parameter: dict):
    """The zero of a parameter's type."""
    kind = parameter["type"]
    if kind.endswith("[]"):
        return []
    if kind.endswith("]"):
        element, size = kind[:-1].rsplit("[", 1)
        return [nothing({**parameter, "type": element})] * int(size)
    if kind == "tuple":
        return tuple(nothing(component) for component in parameter["components"])
    return {"address": ZERO, "bool": False, "bytes": b"", "string": ""}.get(kind, 0)


def test_privileged__when_a_stranger_calls_everything__then_the_table_names_all_that_only_governance_may(suite, actors):
    """Whatever its name: condemning a root and skipping a round are no setters."""
    found = set()
    for contract in GOVERNED:
        target = getattr(suite, contract)
        entries = [
            entry for entry in target.abi if entry["type"] == "function" and entry["stateMutability"] == "nonpayable"
        ]
        for entry in entries:
            arguments = [nothing(parameter) for parameter in entry["inputs"]]
            try:
                getattr(target, entry["name"]).call(*arguments, {"from": actors.thief.account})
            except VirtualMachineError as error:
                if error.revert_msg == refusal("OnlyGovernance", actors.thief.address):
                    found.add((contract, entry["name"]))
    assert found == {entry[:2] for entry in PRIVILEGED}


# The timelock


def test_timelock__when_its_roles_are_read__then_the_governor_proposes_anybody_executes_and_nobody_administers(
    suite, actors
):
    timelock, governor = suite.timelock, suite.governor.address
    people = [getattr(actors, role).address for role in OUTSIDERS] + [suite.launcher.address]
    assert timelock.hasRole(ROLES["PROPOSER_ROLE"], governor) and timelock.hasRole(ROLES["CANCELLER_ROLE"], governor)
    assert timelock.hasRole(ROLES["EXECUTOR_ROLE"], ZERO)
    assert timelock.hasRole(ADMIN_ROLE, timelock) and not timelock.hasRole(ADMIN_ROLE, governor)
    for role in (*ROLES.values(), ADMIN_ROLE):
        assert bytes(timelock.getRoleAdmin(role)) == ADMIN_ROLE
        assert [person for person in people if timelock.hasRole(role, person)] == []


def timelocks_calls(suite) -> dict:
    data, none = suite.escrow.setNotice.encode_input(700), b"\0" * 32
    target, timelock = suite.escrow.address, suite.timelock
    return {
        "schedule": (timelock.schedule, (target, 0, data, none, none, TIMELOCK_DELAY), ROLES["PROPOSER_ROLE"]),
        "scheduleBatch": (
            timelock.scheduleBatch,
            ([target], [0], [data], none, none, TIMELOCK_DELAY),
            ROLES["PROPOSER_ROLE"],
        ),
        "cancel": (timelock.cancel, (none,), ROLES["CANCELLER_ROLE"]),
        "grantRole": (timelock.grantRole, (ROLES["PROPOSER_ROLE"], NOBODY), ADMIN_ROLE),
        "revokeRole": (timelock.revokeRole, (ROLES["PROPOSER_ROLE"], NOBODY), ADMIN_ROLE),
    }


@pytest.mark.parametrize("function", ["schedule", "scheduleBatch", "cancel", "grantRole", "revokeRole"])
def test_timelock__when_anybody_calls_it_directly__then_it_is_refused(suite, actors, function):
    call, arguments, role = timelocks_calls(suite)[function]
    for name in OUTSIDERS:
        caller = getattr(actors, name).account
        with brownie.reverts(refusal("AccessControlUnauthorizedAccount", caller.address, role)):
            call(*arguments, {"from": caller})


def test_timelock__when_not_itself_changes_the_delay__then_it_is_refused(suite, actors):
    for name in OUTSIDERS:
        caller = getattr(actors, name).account
        with brownie.reverts(refusal("TimelockUnauthorizedCaller", caller.address)):
            suite.timelock.updateDelay(0, {"from": caller})


def test_launcher__when_the_deployer_launches_a_name_again__then_nothing_that_stands_is_replaced(suite, actors):
    """The one right the deployer has left is to launch names that nobody counts on."""
    compiled = project.get_loaded_projects()[0]
    code = compiled.OpenTimelock.deploy.encode_input(0, actors.deployer.address)
    for name in ("OpenToken", "OpenTimelock", "RewardDistributor"):
        with brownie.reverts():
            suite.launcher.launch(name.encode().ljust(32, b"\0"), code, {"from": actors.deployer.account})
    assert encode(["address"], [suite.timelock.address]) == encode(["address"], [suite.attestors.GOVERNANCE()])

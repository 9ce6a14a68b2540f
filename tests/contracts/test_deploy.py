"""The deployment: it ends as configured wherever it was cut, and says so when it does not."""

import json
from copy import deepcopy
from types import SimpleNamespace

import deploy as script
import pytest
from brownie import accounts, chain, project, web3

from conftest import impersonated
from deployment import onchain
from deployment.checks import ROLES
from deployment.parameters import ParameterFaults, validated
from deployment.record import CONTRACTS, Record, write_abis
from deployment.rehearsal import rehearsed
from deployment.steps import Sender, Stopped, creation_address
from suite import SUITE

STEPS = len(SUITE) + 1


class Cut(Exception):
    """The process dies."""


class CutSender(Sender):
    """Dies around its n-th transaction: before it is sent, or once it is mined but not yet noted."""

    def __init__(self, account, at, mined):
        super().__init__(account)
        self.at, self.mined, self.sent = at, mined, 0

    def create(self, container, nonce):
        return self._cut(lambda: super(CutSender, self).create(container, nonce))

    def launch(self, launcher, part, init_code):
        return self._cut(lambda: super(CutSender, self).launch(launcher, part, init_code))

    def _cut(self, transact):
        self.sent += 1
        if self.sent == self.at and not self.mined:
            raise Cut
        receipt = transact()
        if self.sent == self.at:
            raise Cut
        return receipt


def quiet(_):
    """Says nothing."""


@pytest.fixture(scope="module")
def compiled():
    return project.get_loaded_projects()[0]


@pytest.fixture(scope="module")
def deployer(actors):
    return actors.deployer.account


@pytest.fixture
def go(compiled, deployer, parameters, tmp_path):
    """go(): one run of the whole deployment; any part of it can be replaced."""

    def run(sender=None, parameters=parameters, launcher=None, folder=tmp_path):
        return script.deploy(compiled, parameters, sender or Sender(deployer), folder, launcher, quiet)

    return run


@pytest.fixture(scope="module")
def uncut(compiled, deployer, parameters, tmp_path_factory):
    """What a deployment leaves that nothing interrupted, and the gas it took. The chain forgets it again."""
    chain.mine(5)
    chain.snapshot()
    folder = tmp_path_factory.mktemp("uncut")
    record = script.deploy(compiled, parameters, Sender(deployer), folder, None, quiet)
    gas = {
        name: web3.eth.get_transaction_receipt(entry["transaction"])["gasUsed"]
        for name, entry in {**record.data["contracts"], "Launcher": record.launcher}.items()
    }
    left = SimpleNamespace(data=deepcopy(record.data), gas=gas)
    chain.revert()
    return left


@pytest.fixture
def standing(go, compiled):
    """A deployed suite, by the names of its contracts."""
    record = go()
    contracts = {part.name: getattr(compiled, part.name).at(record.contract(part.name)["address"]) for part in SUITE}
    return SimpleNamespace(record=record, **contracts)


# The whole


def test_deploy__when_nothing_stands__then_everything_stands_and_is_recorded(uncut, deployer):
    assert uncut.data["complete"]
    assert uncut.data["deployer"] == deployer.address
    assert set(uncut.data["contracts"]) == {part.name for part in SUITE}
    for entry in [uncut.data["launcher"], *uncut.data["contracts"].values()]:
        assert entry["block"] > 0
        assert entry["transaction"].startswith("0x")


def test_deploy__when_it_is_complete__then_another_run_sends_nothing(go, deployer):
    first = deepcopy(go().data)
    nonce = deployer.nonce
    assert go().data == first
    assert deployer.nonce == nonce


def test_deploy__when_it_is_complete_and_in_use__then_another_run_still_passes(go, actors, standing):
    standing.OpenToken.transfer(actors.consumer.address, 1, {"from": actors.holder.account})
    assert go().complete


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_deploy__when_cut_with_a_transaction_mined_but_not_noted__then_it_ends_the_same(go, uncut, deployer, at):
    with pytest.raises(Cut):
        go(CutSender(deployer, at, mined=True))
    assert go().data == uncut.data


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_deploy__when_cut_before_a_transaction_is_sent__then_it_ends_the_same(go, uncut, deployer, at):
    with pytest.raises(Cut):
        go(CutSender(deployer, at, mined=False))
    assert go().data == uncut.data


def test_deploy__when_cut_at_every_step_in_turn__then_it_ends_the_same(go, uncut, deployer):
    for _ in range(STEPS):
        with pytest.raises(Cut):
            go(CutSender(deployer, 1, mined=True))
    assert go().data == uncut.data


def test_deploy__when_it_goes_on_much_later__then_the_launchers_block_and_transaction_are_found(go, uncut, deployer):
    with pytest.raises(Cut):
        go(CutSender(deployer, 1, mined=True))
    chain.mine(20)
    assert go().launcher == uncut.data["launcher"]


def test_deploy__when_the_launchers_nonce_went_to_something_else__then_it_takes_the_next(go, deployer, actors):
    with pytest.raises(Cut):
        go(CutSender(deployer, 1, mined=False))
    deployer.transfer(actors.recipient.address, 0)
    record = go()
    assert record.launcher["address"] == creation_address(deployer.address, record.launcher["nonce"])
    assert record.launcher["nonce"] == deployer.nonce - STEPS


def test_deploy__when_the_record_is_lost__then_the_launcher_finds_everything_again(go, uncut, deployer, tmp_path):
    with pytest.raises(Cut):
        go(CutSender(deployer, 4, mined=True))
    record = go(launcher=uncut.data["launcher"]["address"], folder=tmp_path / "another")
    assert record.data["contracts"] == uncut.data["contracts"]
    assert record.launcher["block"] == uncut.data["launcher"]["block"]


def test_deploy__when_it_died_while_writing__then_the_last_whole_record_counts(go, uncut, deployer, tmp_path):
    with pytest.raises(Cut):
        go(CutSender(deployer, 3, mined=True))
    (tmp_path / f"{web3.eth.chain_id}.json.new").write_text('{"half')
    assert go().data == uncut.data


def test_deploy__when_it_ends__then_brownie_has_noted_nothing_of_its_own(go, compiled):
    noted = {name: len(getattr(compiled, name)) for name in CONTRACTS}
    go()
    assert {name: len(getattr(compiled, name)) for name in CONTRACTS} == noted


# What it refuses


def test_deploy__when_the_launcher_is_a_strangers__then_it_is_refused(go, compiled, actors):
    launcher = actors.thief.account.deploy(compiled.Launcher)
    with pytest.raises(Stopped, match=f"belongs to {actors.thief.address}"):
        go(launcher=launcher.address)


def test_deploy__when_the_launcher_is_something_else__then_it_is_refused(go, standing, tmp_path):
    with pytest.raises(Stopped, match="is not the Launcher of this build"):
        go(launcher=standing.OpenTimelock.address, folder=tmp_path / "another")


def test_deploy__when_no_launcher_is_where_it_is_said_to_be__then_it_is_refused(go, actors):
    with pytest.raises(Stopped, match="there is no contract"):
        go(launcher=actors.recipient.address)


def test_deploy__when_the_record_names_another_launcher__then_it_is_refused(go, compiled, deployer, standing):
    with pytest.raises(Stopped, match=r"but .* was asked for"):
        go(launcher=deployer.deploy(compiled.Launcher).address)


def test_deploy__when_another_deployer_goes_on__then_it_is_refused(go, deployer, actors):
    with pytest.raises(Cut):
        go(CutSender(deployer, 2, mined=True))
    with pytest.raises(Stopped, match=f"begun by {deployer.address}"):
        go(Sender(actors.thief.account))


def test_deploy__when_a_part_was_made_with_other_arguments__then_both_values_are_named(
    go, deployer, parameters, actors
):
    with pytest.raises(Cut):
        go(CutSender(deployer, 2, mined=True))
    with pytest.raises(Stopped, match=f"OpenToken .* holder is {actors.holder.address}, now {actors.thief.address}"):
        go(parameters={**parameters, "holder": actors.thief.address})


def test_deploy__when_a_part_has_other_code__then_it_is_refused(go, standing):
    address = standing.OpenTimelock.address
    web3.provider.make_request("anvil_setCode", [address, "0x6001"])
    with pytest.raises(Stopped, match=f"OpenTimelock at {address} has other code"):
        go()


def test_deploy__when_the_deployer_has_a_transaction_waiting__then_it_stops(go):
    sender = accounts[0]
    web3.provider.make_request("evm_setAutomine", [False])
    try:
        web3.eth.send_transaction({"from": sender.address, "to": sender.address, "value": 0})
        with pytest.raises(Stopped, match="transactions that wait to be mined"):
            go(Sender(sender))
    finally:
        web3.provider.make_request("evm_setAutomine", [True])
        chain.mine()


def test_deploy__when_the_record_is_of_a_local_chain_that_is_gone__then_it_starts_afresh(go, uncut, tmp_path):
    path = tmp_path / f"{web3.eth.chain_id}.json"
    path.write_text(json.dumps({**uncut.data, "genesis": "0x" + "11" * 32}))
    assert go().data == uncut.data


# The rehearsal


def test_dry_run__when_nothing_stands__then_it_foretells_everything_and_sends_nothing(
    compiled, parameters, deployer, uncut, tmp_path
):
    nonce, block = deployer.nonce, web3.eth.block_number
    steps = rehearsed(compiled, parameters, Record(tmp_path / "none.json"), deployer.address, None)
    assert (deployer.nonce, web3.eth.block_number) == (nonce, block)
    assert list(tmp_path.iterdir()) == []
    places = {"Launcher": uncut.data["launcher"]["address"]}
    places |= {name: entry["address"] for name, entry in uncut.data["contracts"].items()}
    assert {step.name: step.address for step in steps} == places
    for step in steps:
        assert uncut.gas[step.name] <= step.gas <= uncut.gas[step.name] * 11 // 10, step


def test_dry_run__when_some_parts_stand__then_it_counts_the_rest_alone(go, compiled, parameters, deployer, tmp_path):
    with pytest.raises(Cut):
        go(CutSender(deployer, 4, mined=True))
    record = Record(tmp_path / f"{web3.eth.chain_id}.json")
    steps = rehearsed(compiled, parameters, record, deployer.address, None)
    assert [step.stands for step in steps] == [True] * 4 + [False] * (STEPS - 4)
    assert [step.gas == 0 for step in steps] == [step.stands for step in steps]


def test_dry_run__when_a_constructor_would_refuse__then_the_step_says_so(compiled, parameters, deployer, tmp_path):
    worse = deepcopy(parameters)
    worse["escrow"]["notice"] = 1
    steps = rehearsed(compiled, worse, Record(tmp_path / "none.json"), deployer.address, None)
    assert [step.name for step in steps if step.refusal] == ["InferenceEscrow"]


# The checks at the end


def failing(compiled, parameters, record, fresh=True):
    with pytest.raises(script.NotAsConfigured) as fault:
        script.compare(compiled, parameters, record, fresh, quiet)
    return str(fault.value)


def test_checks__when_the_guardian_is_another__then_it_is_named(compiled, parameters, standing, actors):
    text = failing(compiled, {**parameters, "guardian": actors.thief.address}, standing.record)
    assert text.startswith("1 of ")
    assert f"{actors.guardian.address}, expected {actors.thief.address}" in text


NUMBERS = [
    (section, key)
    for section, keys in {
        "distributor": "delay epoch_cap epoch_length challenge_bond resolution_window",
        "escrow": "notice",
        "attestor_set": "min_bond max_bond exit_delay finder_bps min_signers",
        "datanets": "min_datanet_bond forced_bond inclusion_window duplicate_slash bond_delay finder_bps "
        "closing_notice",
        "models": "price_notice",
        "governor": "voting_delay voting_period proposal_threshold quorum_percent late_quorum_extension timelock_delay",
    }.items()
    for key in keys.split()
]


def test_checks__when_any_parameter_differs__then_each_is_named(compiled, parameters, standing):
    worse = deepcopy(parameters)
    for section, key in NUMBERS:
        worse[section][key] += 1
    for key in worse["models"]["split_bounds"]:
        worse["models"]["split_bounds"][key] += 1
    lines = failing(compiled, worse, standing.record).splitlines()[1:]
    named = {line.split()[0] for line in lines}
    bounds = {f"models.split_bounds.{key}" for key in worse["models"]["split_bounds"]}
    assert named == {f"{section}.{key}" for section, key in NUMBERS} | bounds


def test_checks__when_an_attestor_is_not_admitted__then_it_is_named(compiled, parameters, standing, actors):
    more = [*parameters["attestors"], actors.thief.address]
    assert f"attestor {actors.thief.address} admitted" in failing(
        compiled, {**parameters, "attestors": more}, standing.record
    )


@pytest.mark.parametrize("role", ROLES)
def test_checks__when_somebody_else_holds_a_role__then_it_is_named(compiled, parameters, standing, actors, role):
    timelock = standing.OpenTimelock
    timelock.grantRole(ROLES[role], actors.thief.address, {"from": impersonated(timelock.address)})
    text = failing(compiled, parameters, standing.record)
    assert text.startswith("1 of ")
    assert f"timelock {role}, all holders" in text
    assert actors.thief.address in text


@pytest.mark.parametrize("who", ["deployer", "launcher"])
def test_checks__when_the_deployment_keeps_a_right__then_it_is_named_ever_after(
    compiled, parameters, standing, actors, who
):
    timelock = standing.OpenTimelock
    account = actors.deployer.address if who == "deployer" else standing.record.launcher["address"]
    timelock.grantRole(ROLES["PROPOSER_ROLE"], account, {"from": impersonated(timelock.address)})
    assert f"timelock roles of the {who}" in failing(compiled, parameters, standing.record, fresh=False)


def test_checks__when_ether_or_tokens_were_left_behind__then_each_is_named(compiled, parameters, standing, actors):
    accounts[0].transfer(standing.OpenTimelock.address, 1)
    for left in (standing.OpenTimelock.address, actors.deployer.address):
        standing.OpenToken.transfer(left, 1, {"from": actors.holder.account})
    text = failing(compiled, parameters, standing.record)
    for what in ("wei left in OpenTimelock", "OPEN left in OpenTimelock", "OPEN of the holder", "OPEN of the deployer"):
        assert what in text


def test_checks__when_a_contract_points_elsewhere__then_it_is_named(
    go, compiled, parameters, standing, deployer, tmp_path
):
    other = go(folder=tmp_path / "another")
    crossed = deepcopy(standing.record)
    crossed.data["contracts"]["AttestorSet"] = other.data["contracts"]["AttestorSet"]
    named = {line.split()[0] for line in failing(compiled, parameters, crossed).splitlines()[1:]}
    assert named == {
        "RewardDistributor.ATTESTORS",
        "AttestorSet.TOKEN",
        "AttestorSet.DISTRIBUTOR",
        "AttestorSet.ESCROW",
        "AttestorSet.MODELS",
        "AttestorSet.GOVERNANCE",
    }


def test_matches__when_one_byte_differs_outside_of_immutables__then_the_code_differs(compiled):
    template = onchain.template_of(compiled.OpenToken)
    assert onchain.matches(template, template)
    changed = bytes([template[0] ^ 1]) + template[1:]
    assert not onchain.matches(changed, template)
    assert not onchain.matches(template + b"\0", template)


def test_abis__when_written__then_they_are_the_ones_in_the_repository(compiled, tmp_path):
    write_abis(compiled, tmp_path)
    kept = script.ROOT / "deployments" / "abi"
    assert {path.stem for path in kept.glob("*.json")} == set(CONTRACTS)
    for name in CONTRACTS:
        assert (kept / f"{name}.json").read_text() == (tmp_path / f"{name}.json").read_text(), (
            "brownie run scripts/deploy abis"
        )


def test_parameters__when_checked__then_they_are_what_the_suite_is_built_with(compiled, parameters, deployer):
    assert validated({"defaults": parameters, "networks": {}}, 11155111, deployer.address, compiled) == parameters
    with pytest.raises(ParameterFaults):
        validated({"defaults": {}}, 11155111, deployer.address, compiled)

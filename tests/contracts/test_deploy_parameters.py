"""scripts/parameters.yaml: every fault is named, all of them at once."""

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from brownie import project

from deployment.fields import FIELDS, Field, resolve
from deployment.parameters import CONDEMN_WINDOW, ParameterFaults, read, validated

FILE = Path(__file__).resolve().parents[2] / "scripts" / "parameters.yaml"
SEPOLIA, LOCAL = 11155111, 31337
DEPLOYER = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
HOLDER = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
GUARDIAN = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
OPERATORS = [
    "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
    "0x6B175474E89094C44Da98b954EedeAC495271d0F",
    "0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599",
]


@pytest.fixture(scope="module")
def compiled():
    return project.get_loaded_projects()[0]


@pytest.fixture
def text():
    """The file as it stands, with people named for Sepolia."""
    given = yaml.safe_load(FILE.read_text())
    given["networks"][SEPOLIA] = {"holder": HOLDER, "guardian": GUARDIAN, "attestors": OPERATORS}
    return given


def faults(compiled, text, chain_id=SEPOLIA):
    with pytest.raises(ParameterFaults) as raised:
        validated(text, chain_id, DEPLOYER, compiled)
    assert all(str(fault) in str(raised.value) for fault in raised.value.faults)
    found = {}
    for fault in raised.value.faults:
        found[fault.where] = f"{found[fault.where]}; {fault.what}" if fault.where in found else fault.what
    return found


def put(text, path, value):
    section = text["defaults"] if path.split(".")[0] in text["defaults"] else text["networks"][SEPOLIA]
    *steps, last = path.split(".")
    for step in steps:
        section = section[step]
    section[last] = value
    if path in text["networks"][SEPOLIA]:
        text["networks"][SEPOLIA][path] = value


def numbers(fields=FIELDS, prefix=""):
    for key, field in fields.items():
        if isinstance(field, Field):
            yield f"{prefix}{key}", field
        else:
            yield from numbers(field, f"{prefix}{key}.")


def test_file__when_read_for_a_local_chain__then_the_deployer_may_be_everybody(compiled):
    given = read(FILE, LOCAL, DEPLOYER, compiled)
    assert (given["holder"], given["guardian"], given["attestors"]) == (DEPLOYER, DEPLOYER, [])
    assert given["distributor"]["delay"] == 600
    assert given["distributor"]["challenge_bond"] == 10_000


def test_file__when_people_are_named__then_it_is_good_for_a_public_network(compiled, text):
    given = validated(text, SEPOLIA, DEPLOYER, compiled)
    assert (given["holder"], given["guardian"], given["attestors"]) == (HOLDER, GUARDIAN, OPERATORS)


def test_file__when_nobody_is_named_on_a_public_network__then_holder_and_guardian_are_faults(compiled, text):
    del text["networks"][SEPOLIA]
    assert set(faults(compiled, text)) == {"holder", "guardian"}


@pytest.mark.parametrize("role", ["holder", "guardian"])
def test_file__when_the_deployers_address_is_written_out_on_a_public_network__then_it_is_a_fault(compiled, text, role):
    put(text, role, DEPLOYER)
    assert "is the deployer" in faults(compiled, text)[role]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (HOLDER.lower(), f"wrong checksum; if it is the address meant, write {HOLDER}"),
        ("0x" + "00" * 20, "zero address"),
        (int(HOLDER, 16), "put the address in quotes"),
        ("treasury.eth", "write an address"),
        (HOLDER[2:], "write an address"),
        (None, "write an address"),
    ],
)
@pytest.mark.parametrize("role", ["holder", "guardian", "attestors"])
def test_file__when_an_address_is_none__then_it_is_a_fault(compiled, text, role, value, what):
    where = "attestors[1]" if role == "attestors" else role
    put(text, role, [OPERATORS[0], value, OPERATORS[1]] if role == "attestors" else value)
    found = faults(compiled, text)
    assert set(found) == {where}
    assert what in found[where]


@pytest.mark.parametrize(("path", "field"), numbers(), ids=lambda value: value if isinstance(value, str) else "")
def test_file__when_a_number_is_outside_its_bounds__then_it_is_a_fault(compiled, text, path, field):
    least, most = (resolve(bound, field.unit, compiled) for bound in (field.least, field.most))
    for value in (least - 1, most + 1):
        worse = deepcopy(text)
        put(worse, path, value)
        assert f"is {value}; the contracts take {least} to {most}" in faults(compiled, worse)[path]


@pytest.mark.parametrize("value", ["86400", 0.5, True, None, [1]])
def test_file__when_a_number_is_something_else__then_it_is_a_fault(compiled, text, value):
    put(text, "distributor.delay", value)
    assert "write a whole number of seconds" in faults(compiled, text)["distributor.delay"]


def test_file__when_a_window_is_no_longer_than_vote_and_timelock__then_it_is_a_fault(compiled, text):
    governor = text["defaults"]["governor"]
    keys = ("voting_delay", "voting_period", "late_quorum_extension", "timelock_delay")
    put(text, "distributor.resolution_window", sum(governor[key] for key in keys))
    assert set(faults(compiled, text)) == {"distributor.resolution_window"}
    text["defaults"]["distributor"]["resolution_window"] += 1
    validated(text, SEPOLIA, DEPLOYER, compiled)


def test_file__when_two_votes_outlast_the_time_to_condemn_a_root__then_it_is_a_fault(compiled, text):
    window = CONDEMN_WINDOW
    put(text, "distributor.resolution_window", 90 * 86_400)
    governor = text["defaults"]["governor"]
    others = sum(governor[key] for key in ("voting_delay", "late_quorum_extension", "timelock_delay"))
    put(text, "governor.voting_period", window // 2 - others)
    validated(text, SEPOLIA, DEPLOYER, compiled)
    put(text, "governor.voting_period", window // 2 - others + 1)
    assert set(faults(compiled, text)) == {"governor.voting_period"}


def test_time_to_condemn__in_the_check__then_it_is_the_contracts(suite):
    assert suite.distributor.CONDEMN_WINDOW() == CONDEMN_WINDOW


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("attestor_set.max_bond", 99_999, "attestor_set.max_bond"),
        ("attestor_set.exit_delay", 86_400, "attestor_set.exit_delay"),
        ("attestor_set.min_signers", 4, "attestors"),
        ("models.split_bounds.min_contributors", 9_801, "models.split_bounds"),
        ("models.split_bounds.max_treasury", 99, "models.split_bounds.max_treasury"),
        ("attestors", [*OPERATORS, OPERATORS[0]], "attestors[3]"),
        ("attestors", OPERATORS[0], "attestors"),
        ("escrow", 5, "escrow"),
    ],
)
def test_file__when_parameters_contradict_each_other__then_it_is_a_fault(compiled, text, path, value, where):
    put(text, path, value)
    assert set(faults(compiled, text)) == {where}


def test_file__when_keys_are_unknown_or_missing__then_each_is_a_fault(compiled, text):
    text["default"] = {}
    text["defaults"]["models"]["split_bounds"]["min_builder"] = 1
    text["networks"][SEPOLIA]["gaurdian"] = GUARDIAN
    text["networks"]["sepolia"] = {}
    del text["defaults"]["escrow"]["notice"]
    assert set(faults(compiled, text)) == {
        "default",
        "models.split_bounds.min_builder",
        "gaurdian",
        "networks.sepolia",
        "escrow.notice",
    }


def test_file__when_everything_is_wrong__then_everything_is_named_at_once(compiled, text):
    put(text, "holder", DEPLOYER)
    put(text, "guardian", GUARDIAN.lower())
    put(text, "distributor.delay", 1)
    put(text, "distributor.resolution_window", 86_400)
    put(text, "escrow.notice", "long")
    put(text, "governor.quorum_percent", 101)
    text["networks"][SEPOLIA]["treasury"] = HOLDER
    assert set(faults(compiled, text)) == {
        "holder",
        "guardian",
        "distributor.delay",
        "distributor.resolution_window",
        "escrow.notice",
        "governor.quorum_percent",
        "treasury",
    }


@pytest.mark.parametrize("content", ["defaults: {a: 1, a: 2}", "a: [", "- a", "networks: 5"])
def test_file__when_it_is_no_such_file_at_all__then_it_is_a_fault(compiled, tmp_path, content):
    path = tmp_path / "parameters.yaml"
    path.write_text(content)
    with pytest.raises(ParameterFaults):
        read(path, SEPOLIA, DEPLOYER, compiled)


def test_bounds__when_read_from_the_contracts__then_they_are_what_the_contracts_answer(bare_suite, compiled):
    standing = {
        "RewardDistributor": bare_suite.distributor,
        "InferenceEscrow": bare_suite.escrow,
        "AttestorSet": bare_suite.attestors,
        "DatanetRegistry": bare_suite.datanets,
        "ModelRegistry": bare_suite.models,
        "OpenToken": bare_suite.token,
    }
    for _, field in numbers():
        for bound in (field.least, field.most):
            if isinstance(bound, tuple):
                contract, name = bound
                assert resolve(bound, "as it is", compiled) == getattr(standing[contract], name)()

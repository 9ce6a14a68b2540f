"""One suite for a module, built as the deployment builds it, with the people who act on it.

Everybody is named by role. Keys are made from names and guard nothing.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests.sessions
import yaml
from brownie import accounts, chain, project, web3
from brownie.test import stateful as brownie_stateful
from web3.exceptions import TransactionNotFound

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from people import people, person  # noqa: E402
from suite import OPEN, launch_suite  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))

ATTESTORS = 5
ZERO = "0x" + "00" * 20


def pytest_collection_finish():
    """Two thirds of the tests' time. Brownie collects garbage twice a test: what was loaded so far need not be walked
    again. And requests looks for proxies in the environment at every call; to a node on this machine there are none.
    """
    gc.collect()
    gc.freeze()
    requests.sessions.get_environ_proxies = lambda url, no_proxy=None: {}


@pytest.fixture(scope="session")
def actors():
    """Roles by attribute: actors.contributor, actors.thief, …; each holds 20 ETH of the local chain."""
    return people(
        "deployer holder guardian steward reviewer second_reviewer third_reviewer contributor second_contributor "
        "consumer second_consumer session_key builder second_builder relayer finder challenger thief recipient"
    )


@pytest.fixture(scope="session")
def attestor_actors():
    """(operator, signer) of each attestor, in ascending order of the signers' addresses."""
    pairs = []
    for number in range(ATTESTORS):
        operator = person(f"attestor operator {number}")
        signer = person(f"attestor signer {number}")
        accounts[0].transfer(operator.account, "5 ether")
        pairs.append((operator, signer))
    return sorted(pairs, key=lambda pair: int(pair[1].address, 16))


def merged(defaults: dict, override: dict) -> dict:
    result = dict(defaults)
    for key, value in override.items():
        result[key] = merged(defaults[key], value) if isinstance(value, dict) else value
    return result


@pytest.fixture(scope="module")
def parameters(actors, attestor_actors):
    defaults = yaml.safe_load((ROOT / "scripts" / "parameters.yaml").read_text())["defaults"]
    return merged(
        defaults,
        {
            "holder": actors.holder.address,
            "guardian": actors.guardian.address,
            "attestors": [operator.address for operator, _ in attestor_actors],
        },
    )


@pytest.fixture(scope="module")
def bare_suite(actors, parameters):
    """The suite as deployed: nobody has posted a bond, nobody holds OPEN but the holder."""
    compiled = project.get_loaded_projects()[0]
    deployer = actors.deployer.account
    launcher = deployer.deploy(compiled.Launcher)
    built = launch_suite(compiled, launcher, parameters, deployer)
    return SimpleNamespace(
        launcher=launcher,
        token=built["OpenToken"],
        timelock=built["OpenTimelock"],
        datanets=built["DatanetRegistry"],
        models=built["ModelRegistry"],
        escrow=built["InferenceEscrow"],
        attestors=built["AttestorSet"],
        distributor=built["RewardDistributor"],
        governor=built["OpenGovernor"],
    )


@pytest.fixture(scope="module")
def suite(bare_suite, actors, attestor_actors, parameters):
    """The suite in use: five attestors seated with equal bonds."""
    bond = parameters["attestor_set"]["min_bond"] * OPEN
    for operator, signer in attestor_actors:
        bare_suite.token.transfer(operator.address, bond, {"from": actors.holder.account})
        bare_suite.token.approve(bare_suite.attestors, bond, {"from": operator.account})
        bare_suite.attestors.join(signer.address, bond, {"from": operator.account})
    return bare_suite


@pytest.fixture(scope="session", autouse=True)
def patience():
    """A busy Anvil counts a transaction a moment before it can be asked for it; Brownie takes it for dropped then."""

    def patient(ask, attempts=100):
        def asked(transaction):
            for _ in range(attempts):
                with contextlib.suppress(TransactionNotFound):
                    return ask(transaction)
            return ask(transaction)

        return asked

    for name in ("get_transaction", "get_transaction_receipt"):
        setattr(web3.eth, name, patient(getattr(web3.eth, name)))


@pytest.fixture(autouse=True)
def isolation(fn_isolation):
    """Every test starts from the module's state."""


@pytest.fixture
def as_timelock(suite):
    """The timelock as a sender, for what only governance may do. Whole proposals are played in test_governor.py."""
    return impersonated(suite.timelock.address)


def refusal(name: str, *values: object) -> str:
    """A custom error as Brownie prints it: `with brownie.reverts(refusal("OnlyGuardian", thief.address))`."""
    shown = [value.lower() if isinstance(value, str) and value.startswith("0x") else value for value in values]
    return f"{name}: {', '.join(str(value) for value in shown)}"


def impersonated(address: str):
    """A sender without a key; the local chain lets it act. It pays no gas price."""
    return accounts.at(address, force=True)


def quorum(attestor_actors, digest: bytes, signers=(0, 1, 2)) -> bytes:
    return b"".join(attestor_actors[i][1].sign(digest) for i in signers)


def warp(seconds: int) -> None:
    chain.sleep(seconds)
    chain.mine()


@pytest.fixture
def culprit(attestor_actors):
    """The attestor that commits the faults."""
    return attestor_actors[0][0]


@pytest.fixture
def slashed(suite, actors, parameters, culprit):
    """Checks that one proof took the culprit's whole bond and seat, and paid finder and treasury."""

    bond = parameters["attestor_set"]["min_bond"] * OPEN

    def check(tx, fault: int, epoch: int = 1) -> None:
        event = tx.events["AttestorSlashed"]
        assert (event["operator"], event["fault"], event["finder"]) == (culprit.address, fault, actors.finder.address)
        assert (event["epoch"], event["bond"], event["reward"]) == (epoch, bond, bond // 5)
        assert suite.token.balanceOf(actors.finder.address) == bond // 5
        assert suite.token.balanceOf(suite.timelock) == bond - bond // 5
        assert tuple(suite.attestors.bondOf(culprit.address))[:4] == (0, 0, False, True)
        assert tuple(suite.attestors.totals())[:2] == (4 * bond, 4)

    return check


@pytest.fixture(scope="module")
def money(suite, actors, attestor_actors):
    """Deposits, vouchers, roots and rewards as steps."""
    from money import Money

    return Money(suite, actors, attestor_actors)


@pytest.fixture(scope="module")
def doubles():
    """Contracts that behave badly: contracts/doubles."""
    return project.get_loaded_projects()[0]


@pytest.fixture
def state_machine():
    """Brownie's state machine, from its Python source.

    Brownie 1.22.2 ships the module compiled as well, and compiled it refuses every machine: it marks the base class as
    final and then compares types exactly.
    """
    source = Path(brownie_stateful.__file__).with_name("stateful.py")
    spec = importlib.util.spec_from_file_location("brownie_stateful_source", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.state_machine

"""What must hold once the suite stands. Each line is read from the chain and set against what was configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from brownie import web3
from eth_utils import keccak
from hexbytes import HexBytes

from suite import OPEN, SUITE

from . import onchain

ZERO = "0x" + "00" * 20
ROLES = {
    "PROPOSER_ROLE": keccak(text="PROPOSER_ROLE"),
    "CANCELLER_ROLE": keccak(text="CANCELLER_ROLE"),
    "EXECUTOR_ROLE": keccak(text="EXECUTOR_ROLE"),
    "DEFAULT_ADMIN_ROLE": bytes(32),
}
# Who points where, for ever: contract, getter, what it must name.
POINTERS = (
    ("OpenToken", "DISTRIBUTOR", "RewardDistributor"),
    ("DatanetRegistry", "TOKEN", "OpenToken"),
    ("DatanetRegistry", "GOVERNANCE", "OpenTimelock"),
    ("ModelRegistry", "DATANETS", "DatanetRegistry"),
    ("ModelRegistry", "GOVERNANCE", "OpenTimelock"),
    ("InferenceEscrow", "TOKEN", "OpenToken"),
    ("InferenceEscrow", "DISTRIBUTOR", "RewardDistributor"),
    ("InferenceEscrow", "GOVERNANCE", "OpenTimelock"),
    ("AttestorSet", "TOKEN", "OpenToken"),
    ("AttestorSet", "DISTRIBUTOR", "RewardDistributor"),
    ("AttestorSet", "ESCROW", "InferenceEscrow"),
    ("AttestorSet", "MODELS", "ModelRegistry"),
    ("AttestorSet", "GOVERNANCE", "OpenTimelock"),
    ("RewardDistributor", "TOKEN", "OpenToken"),
    ("RewardDistributor", "ATTESTORS", "AttestorSet"),
    ("RewardDistributor", "ESCROW", "InferenceEscrow"),
    ("RewardDistributor", "GOVERNANCE", "OpenTimelock"),
    ("OpenGovernor", "token", "OpenToken"),
    ("OpenGovernor", "timelock", "OpenTimelock"),
)


@dataclass(frozen=True)
class Finding:
    what: str
    expected: Any
    found: Any

    @property
    def holds(self) -> bool:
        return bool(self.expected == self.found)


@dataclass(frozen=True)
class Standing:
    """A deployed suite and who deployed it."""

    compiled: Any
    addresses: Mapping[str, str]
    launcher: str
    deployer: str
    first_block: int

    def contract(self, name: str) -> Any:
        return onchain.contract_at(self.compiled, name, self.addresses[name])


def findings(suite: Standing, parameters: Mapping[str, Any], fresh: bool) -> list[Finding]:
    """`fresh` adds what holds only before the suite is used: where the supply is, and who ever got a role."""
    found = [*_code(suite), *_pointers(suite), *_parameters(suite, parameters), *_powerless(suite, parameters)]
    if fresh:
        found += [*_roles_ever_granted(suite), *_balances(suite, parameters)]
    return found


def _code(suite: Standing) -> Iterator[Finding]:
    for name, address in {**suite.addresses, "Launcher": suite.launcher}.items():
        template = onchain.template_of(getattr(suite.compiled, name))
        yield Finding(f"{name} code", "this build", _build_at(address, template))


def _build_at(address: str, template: bytes) -> str:
    standing = onchain.code_at(address)
    if not standing:
        return "nothing"
    return "this build" if onchain.matches(standing, template) else "another build"


def _pointers(suite: Standing) -> Iterator[Finding]:
    for name, getter, target in POINTERS:
        yield Finding(f"{name}.{getter}", suite.addresses[target], str(getattr(suite.contract(name), getter)()))


def _parameters(suite: Standing, p: Mapping[str, Any]) -> Iterator[Finding]:
    distributor, attestors = suite.contract("RewardDistributor"), suite.contract("AttestorSet")
    governor, timelock = suite.contract("OpenGovernor"), suite.contract("OpenTimelock")
    datanets, models = suite.contract("DatanetRegistry"), suite.contract("ModelRegistry")
    guardian, delay = distributor.state()[:2]
    yield Finding("guardian", p["guardian"], str(guardian))
    yield Finding("distributor.delay", p["distributor"]["delay"], delay)
    yield from _listed("distributor", p["distributor"], {"epoch_cap": OPEN, "epoch_length": 1}, distributor.poolLimit())
    terms = {"challenge_bond": OPEN, "resolution_window": 1}
    yield from _listed("distributor", p["distributor"], terms, distributor.challengeTerms())
    yield Finding("escrow.notice", p["escrow"]["notice"], suite.contract("InferenceEscrow").notice())
    terms = {"min_bond": OPEN, "max_bond": OPEN, "exit_delay": 1, "finder_bps": 1}
    yield from _listed("attestor_set", p["attestor_set"], terms, attestors.terms())
    yield Finding("attestor_set.min_signers", p["attestor_set"]["min_signers"], attestors.totals()[2])
    for operator in p["attestors"]:
        yield Finding(f"attestor {operator} admitted", True, bool(attestors.bondOf(operator)[2]))
    amounts = ("min_datanet_bond", "forced_bond", "duplicate_slash")
    terms = {key: OPEN if key in amounts else 1 for key in _DATANET_TERMS}
    yield from _listed("datanets", p["datanets"], terms, datanets.terms())
    yield Finding("models.price_notice", p["models"]["price_notice"], models.priceNotice())
    bounds = dict.fromkeys(_SPLIT_BOUNDS, 1)
    yield from _listed("models.split_bounds", p["models"]["split_bounds"], bounds, models.splitBounds())
    rules = {
        "voting_delay": governor.votingDelay(),
        "voting_period": governor.votingPeriod(),
        "quorum_percent": governor.quorumNumerator(),
        "late_quorum_extension": governor.lateQuorumVoteExtension(),
        "timelock_delay": timelock.getMinDelay(),
    }
    for key, found in rules.items():
        yield Finding(f"governor.{key}", p["governor"][key], found)
    threshold = p["governor"]["proposal_threshold"] * OPEN
    yield Finding("governor.proposal_threshold", threshold, governor.proposalThreshold())


_DATANET_TERMS = (
    "min_datanet_bond",
    "forced_bond",
    "inclusion_window",
    "duplicate_slash",
    "bond_delay",
    "finder_bps",
    "closing_notice",
)
_SPLIT_BOUNDS = (
    "min_contributors",
    "max_builder",
    "max_reviewers",
    "min_attestors",
    "min_treasury",
    "max_treasury",
)


def _listed(section: str, given: Mapping[str, Any], units: Mapping[str, int], found: Any) -> Iterator[Finding]:
    """Parameters that one getter answers together, in the order of its struct."""
    for number, (key, unit) in enumerate(units.items()):
        yield Finding(f"{section}.{key}", given[key] * unit, found[number])


def _powerless(suite: Standing, parameters: Mapping[str, Any]) -> Iterator[Finding]:
    timelock = suite.contract("OpenTimelock")
    addresses = suite.addresses
    entitled = {
        "PROPOSER_ROLE": addresses["OpenGovernor"],
        "CANCELLER_ROLE": addresses["OpenGovernor"],
        "EXECUTOR_ROLE": ZERO,
        "DEFAULT_ADMIN_ROLE": addresses["OpenTimelock"],
    }
    for role, account in entitled.items():
        yield Finding(f"timelock {role} of {account}", True, bool(timelock.hasRole(ROLES[role], account)))
    others = {"deployer": suite.deployer, "launcher": suite.launcher, "guardian": parameters["guardian"]}
    for name, account in others.items():
        held = [role for role, digest in ROLES.items() if timelock.hasRole(digest, account)]
        yield Finding(f"timelock roles of the {name}", [], held)
    named = {addresses[target] for _, _, target in POINTERS}
    for name, account in (("deployer", suite.deployer), ("launcher", suite.launcher)):
        yield Finding(f"{name} is named by a contract", False, account in named)
    guardian = str(suite.contract("RewardDistributor").state()[0])
    yield Finding("launcher is the guardian", False, guardian == suite.launcher)


def _roles_ever_granted(suite: Standing) -> Iterator[Finding]:
    topics = {keccak(text=f"Role{change}(bytes32,address,address)"): change for change in ("Granted", "Revoked")}
    holders: dict[bytes, set[str]] = {digest: set() for digest in ROLES.values()}
    for log in onchain.logs(suite.addresses["OpenTimelock"], [], suite.first_block):
        change = topics.get(bytes(log["topics"][0]))
        if change is None:
            continue
        role, account = bytes(log["topics"][1]), web3.to_checksum_address(bytes(log["topics"][2])[12:])
        members = holders.setdefault(role, set())
        members.add(account) if change == "Granted" else members.discard(account)
    governor, timelock = suite.addresses["OpenGovernor"], suite.addresses["OpenTimelock"]
    expected = {
        ROLES["PROPOSER_ROLE"]: [governor],
        ROLES["CANCELLER_ROLE"]: [governor],
        ROLES["EXECUTOR_ROLE"]: [ZERO],
        ROLES["DEFAULT_ADMIN_ROLE"]: [timelock],
    }
    names = {digest: name for name, digest in ROLES.items()}
    for digest, members in holders.items():
        name = names.get(digest, HexBytes(digest).to_0x_hex())
        yield Finding(f"timelock {name}, all holders", expected.get(digest, []), sorted(members))


def _balances(suite: Standing, parameters: Mapping[str, Any]) -> Iterator[Finding]:
    token = suite.contract("OpenToken")
    supply = token.TOTAL_SUPPLY()
    yield Finding("OPEN of the holder", supply, token.balanceOf(parameters["holder"]))
    if suite.deployer != parameters["holder"]:
        yield Finding("OPEN of the deployer", 0, token.balanceOf(suite.deployer))
    everything = {part.name: suite.addresses[part.name] for part in SUITE} | {"Launcher": suite.launcher}
    for name, address in everything.items():
        yield Finding(f"OPEN left in {name}", 0, token.balanceOf(address))
        yield Finding(f"wei left in {name}", 0, web3.eth.get_balance(address))


def table(rows: list[Finding]) -> str:
    width = max(len(row.what) for row in rows)
    lines = []
    for row in rows:
        verdict = (
            f"ok  {_shown(row.found)}" if row.holds else f"NO  {_shown(row.found)}, expected {_shown(row.expected)}"
        )
        lines.append(f"{row.what:<{width}}  {verdict}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)

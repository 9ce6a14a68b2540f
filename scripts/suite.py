"""The contracts of the suite, in the order of their deployment, and what each is constructed with.

Every address follows from the launcher and the contract's name (CREATE3), so the contracts can name each other before
any of them exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Parameters = Mapping[str, Any]
Addresses = Mapping[str, str]

OPEN = 10**18


@dataclass(frozen=True)
class Part:
    """One contract of the suite: its name, and its constructor's arguments given the parameters and all addresses."""

    name: str
    arguments: Callable[[Parameters, Addresses], tuple[Any, ...]]

    @property
    def salt(self) -> bytes:
        return self.name.encode("ascii").ljust(32, b"\0")

    def init_code(self, compiled: Any, parameters: Parameters, addresses: Addresses) -> str:
        """What the launcher creates: the creation code with the constructor's arguments behind it."""
        return str(getattr(compiled, self.name).deploy.encode_input(*self.arguments(parameters, addresses)))


def _open(amount: int) -> int:
    return int(amount) * OPEN


def _token(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    return (p["holder"], a["RewardDistributor"])


def _timelock(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    return (p["governor"]["timelock_delay"], a["OpenGovernor"])


def _datanets(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    d = p["datanets"]
    terms = (
        _open(d["min_datanet_bond"]),
        _open(d["forced_bond"]),
        d["inclusion_window"],
        _open(d["duplicate_slash"]),
        d["bond_delay"],
        d["finder_bps"],
        d["closing_notice"],
    )
    return (a["OpenToken"], a["OpenTimelock"], terms)


def _models(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    b = p["models"]["split_bounds"]
    bounds = (
        b["min_contributors"],
        b["max_builder"],
        b["max_reviewers"],
        b["min_attestors"],
        b["min_treasury"],
        b["max_treasury"],
    )
    return (a["DatanetRegistry"], a["OpenTimelock"], bounds, p["models"]["price_notice"])


def _escrow(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    return (a["OpenToken"], a["RewardDistributor"], a["OpenTimelock"], p["escrow"]["notice"])


def _attestors(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    s = p["attestor_set"]
    terms = (_open(s["min_bond"]), _open(s["max_bond"]), s["exit_delay"], s["finder_bps"])
    return (
        a["OpenToken"],
        a["RewardDistributor"],
        a["InferenceEscrow"],
        a["ModelRegistry"],
        a["OpenTimelock"],
        terms,
        s["min_signers"],
        list(p["attestors"]),
    )


def _distributor(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    d = p["distributor"]
    return (
        a["OpenToken"],
        a["AttestorSet"],
        a["InferenceEscrow"],
        a["OpenTimelock"],
        p["guardian"],
        d["delay"],
        _open(d["epoch_cap"]),
        d["epoch_length"],
        _open(d["challenge_bond"]),
        d["resolution_window"],
    )


def _governor(p: Parameters, a: Addresses) -> tuple[Any, ...]:
    g = p["governor"]
    terms = (
        g["voting_delay"],
        g["voting_period"],
        _open(g["proposal_threshold"]),
        g["quorum_percent"],
        g["late_quorum_extension"],
    )
    return (a["OpenToken"], a["OpenTimelock"], terms)


SUITE: tuple[Part, ...] = (
    Part("OpenToken", _token),
    Part("OpenTimelock", _timelock),
    Part("DatanetRegistry", _datanets),
    Part("ModelRegistry", _models),
    Part("InferenceEscrow", _escrow),
    Part("AttestorSet", _attestors),
    Part("RewardDistributor", _distributor),
    Part("OpenGovernor", _governor),
)


def addresses_of(launcher: Any) -> dict[str, str]:
    """Where a launcher puts each part, whether it stands already or not."""
    return {part.name: str(launcher.addressOf(part.salt)) for part in SUITE}


def launch_suite(compiled: Any, launcher: Any, parameters: Parameters, sender: Any) -> dict[str, Any]:
    """The whole suite at once, on a chain that can be thrown away. `scripts/deploy.py` goes step by step instead."""
    addresses = addresses_of(launcher)
    for part in SUITE:
        launcher.launch(part.salt, part.init_code(compiled, parameters, addresses), {"from": sender})
    return {name: getattr(compiled, name).at(address) for name, address in addresses.items()}

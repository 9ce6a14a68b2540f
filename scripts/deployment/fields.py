"""What each parameter may be. Bounds come out of the compiled contracts, so that they are written down only there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BPS = 10_000
OPEN = 10**18

Bound = int | tuple[str, str]


@dataclass(frozen=True)
class Field:
    """A whole number between two bounds. A bound is a number or (contract, name of one of its constants)."""

    unit: str
    least: Bound
    most: Bound


def _amount(least: int = 0) -> Field:
    # More than the whole supply can never be paid by anybody.
    return Field("OPEN", least, ("OpenToken", "TOTAL_SUPPLY"))


def _window(contract: str, kind: str) -> Field:
    return Field("seconds", (contract, f"MIN_{kind}"), (contract, f"MAX_{kind}"))


def _bps(most: Bound = BPS) -> Field:
    return Field("basis points", 0, most)


FIELDS: dict[str, dict[str, Any]] = {
    "distributor": {
        "delay": _window("RewardDistributor", "DELAY"),
        "epoch_cap": _amount(1),
        "epoch_length": _window("RewardDistributor", "EPOCH"),
        "challenge_bond": _amount(),
        "resolution_window": _window("RewardDistributor", "RESOLUTION"),
    },
    "escrow": {"notice": _window("InferenceEscrow", "NOTICE")},
    "attestor_set": {
        "min_bond": _amount(1),
        "max_bond": _amount(1),
        "exit_delay": _window("AttestorSet", "EXIT_DELAY"),
        "finder_bps": _bps(("AttestorSet", "MAX_FINDER_BPS")),
        "min_signers": Field("signers", 1, 2**32 - 1),
    },
    "datanets": {
        "min_datanet_bond": _amount(),
        "forced_bond": _amount(),
        "inclusion_window": Field("seconds", 1, ("DatanetRegistry", "MAX_WINDOW")),
        "duplicate_slash": _amount(),
        "bond_delay": Field("seconds", 1, ("DatanetRegistry", "MAX_WINDOW")),
        "finder_bps": _bps(("DatanetRegistry", "MAX_FINDER_BPS")),
        "closing_notice": Field("seconds", 1, ("DatanetRegistry", "MAX_WINDOW")),
    },
    "models": {
        "price_notice": Field("seconds", 0, ("ModelRegistry", "MAX_PRICE_NOTICE")),
        "split_bounds": {
            "min_contributors": _bps(),
            "max_builder": _bps(),
            "max_reviewers": _bps(),
            "min_attestors": _bps(),
            "min_treasury": _bps(),
            "max_treasury": _bps(),
        },
    },
    "governor": {
        "voting_delay": Field("seconds", 0, 2**32 - 1),
        "voting_period": Field("seconds", 1, 2**32 - 1),
        "proposal_threshold": _amount(),
        "quorum_percent": Field("percent", 1, 100),
        "late_quorum_extension": Field("seconds", 0, 2**32 - 1),
        "timelock_delay": Field("seconds", 0, 2**32 - 1),
    },
}
PEOPLE = ("holder", "guardian", "attestors")


def resolve(bound: Bound, unit: str, compiled: Any) -> int:
    """A bound as a number, in the unit of the field."""
    if isinstance(bound, int):
        return bound
    value = _constant(compiled, *bound)
    return value // OPEN if unit == "OPEN" else value


def _constant(compiled: Any, contract: str, name: str) -> int:
    """A public constant of a contract, its own or inherited."""
    for origin in (contract, *getattr(compiled, contract)._build["dependencies"]):
        for definition in compiled._build.get(origin)["ast"]["nodes"]:
            if definition["nodeType"] != "ContractDefinition" or definition["name"] != origin:
                continue
            for node in definition["nodes"]:
                if node.get("constant") and node["name"] == name and node["visibility"] == "public":
                    # The compiler writes the value of a constant expression into its type: `int_const 600`.
                    return int(node["value"]["typeDescriptions"]["typeString"].removeprefix("int_const "))
    raise LookupError(f"{contract} has no constant {name}: scripts/deployment/fields.py names one that is gone")

"""The suite on one chain: where each contract stands and what it answers to.

Deployment writes `deployments/<chain id>.json` and `deployments/abi/*.json`; this module is what reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle.errors import NotDeployed
from oracle.types import Address, BlockNumber, ChainId

CONTRACTS = (
    "OpenToken",
    "OpenTimelock",
    "DatanetRegistry",
    "ModelRegistry",
    "InferenceEscrow",
    "AttestorSet",
    "RewardDistributor",
    "OpenGovernor",
)


_GENESIS = BlockNumber(0)


@dataclass(frozen=True)
class AddressBook:
    """Where the suite stands on one chain."""

    chain: ChainId
    addresses: Mapping[str, Address]
    first_block: BlockNumber = _GENESIS  # no event of the suite is older

    def __getitem__(self, name: str) -> Address:
        return self.addresses[name]


def read_address_book(folder: Path, chain: ChainId) -> AddressBook:
    """Reads `<folder>/<chain>.json`; raises NotDeployed where it is missing or incomplete."""
    file = folder / f"{chain}.json"
    deploy = "deploy the suite (brownie run scripts/deploy --network …), or say in OPENLEDGER_DEPLOYMENTS where it was"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotDeployed(f"{file}: no such file; {deploy}") from None
    except json.JSONDecodeError as error:
        raise NotDeployed(f"{file}: not JSON ({error}); restore it or run the deployment again") from None
    if content.get("chain_id") != chain:
        raise NotDeployed(f"{file}: is the address book of chain {content.get('chain_id')}, not of {chain}")
    entries = content.get("contracts", {})
    missing = [name for name in CONTRACTS if "address" not in entries.get(name, {})]
    if missing:
        raise NotDeployed(
            f"{file}: {', '.join(missing)} missing; run the deployment again, it goes on where it stopped"
        )
    return AddressBook(
        chain,
        {name: Address(entries[name]["address"]) for name in CONTRACTS},
        BlockNumber(min(entries[name].get("block") or 0 for name in CONTRACTS)),
    )


def read_abi(folder: Path, name: str) -> list[dict[str, Any]]:
    """The ABI of one contract, the same on every chain."""
    file = folder / "abi" / f"{name}.json"
    try:
        abi: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotDeployed(f"{file}: no such file; the deployment writes it") from None
    return abi

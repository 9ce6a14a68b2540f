"""The suite as the deployment builds it, the people who act on it, and the record of what their acts cost."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import yaml
from eth_keys import keys
from web3 import Web3

from .chain import Chain, Contract, init_code
from .reward_tree import keccak

SCRIPTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SCRIPTS))

from suite import OPEN, SUITE  # noqa: E402

ATTESTORS = 5
SIGNERS = 3
ZERO_WORD = b"\0" * 32
NAMES = {
    "OpenToken": "token",
    "OpenTimelock": "timelock",
    "DatanetRegistry": "datanets",
    "ModelRegistry": "models",
    "InferenceEscrow": "escrow",
    "AttestorSet": "attestors",
    "RewardDistributor": "distributor",
    "OpenGovernor": "governor",
}


@dataclass
class Measured:
    """Gas by figure, one entry a receipt. A receipt that did the job for many counts for each of them."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, figure: str, gas: int, jobs: int = 1) -> None:
        self.samples[figure].append(gas / jobs)

    def median(self, figure: str) -> int:
        return round(median(self.samples[figure]))

    def most(self, figure: str) -> int:
        return round(max(self.samples[figure]))


class Person:
    """A role with a key made from the seed. It guards nothing."""

    def __init__(self, seed: int, role: str):
        self._key = keys.PrivateKey(keccak(f"openledger gas {seed} {role}".encode()))
        self.address = self._key.public_key.to_checksum_address()
        self.account = self._key.public_key.to_canonical_address()

    def sign(self, digest: bytes) -> bytes:
        """65 bytes (r, s, v) over a digest."""
        signature = self._key.sign_msg_hash(digest).to_bytes()
        return signature[:64] + bytes([signature[64] + 27])

    def compact(self, digest: bytes) -> tuple[bytes, bytes]:
        """The signature's r and s with v in the top bit (ERC-2098)."""
        signature = self._key.sign_msg_hash(digest)
        return signature.r.to_bytes(32, "big"), (signature.v << 255 | signature.s).to_bytes(32, "big")


@dataclass
class Deployed:
    """The suite with five attestors seated, and roles to act on it."""

    chain: Chain
    seed: int
    measured: Measured
    parts: SimpleNamespace
    people: SimpleNamespace
    attestors: list[tuple[Person, Person]]
    parameters: dict[str, Any]

    def crowd(self, role: str, count: int) -> list[Person]:
        return [Person(self.seed, f"{role} {number}") for number in range(count)]

    def fund(self, person: Person, amount: int) -> None:
        self.parts.token.send(self.people.holder.address, "transfer", person.address, amount)

    def approve(self, person: Person, spender: Contract, amount: int) -> int:
        return self.parts.token.send(person.address, "approve", spender.address, amount)

    def quorum(self, digest: bytes) -> bytes:
        return b"".join(signer.sign(digest) for _, signer in self.attestors[:SIGNERS])


def deploy(chain: Chain, seed: int, measured: Measured) -> Deployed:
    roles = "deployer holder guardian steward contributor consumer recipient builder challenger relayer stranger"
    people = SimpleNamespace(**{role: Person(seed, role) for role in roles.split()})
    pairs = [(Person(seed, f"operator {n}"), Person(seed, f"signer {n}")) for n in range(ATTESTORS)]
    pairs.sort(key=lambda pair: pair[1].account)
    parameters = yaml.safe_load((SCRIPTS / "parameters.yaml").read_text(encoding="utf-8"))["defaults"]
    parameters |= {
        "holder": people.holder.address,
        "guardian": people.guardian.address,
        "attestors": [operator.address for operator, _ in pairs],
    }

    deployer = people.deployer.address
    launcher, spent = chain.deploy(deployer, "Launcher")
    addresses = {part.name: Web3.to_checksum_address(launcher.read("addressOf", part.salt)) for part in SUITE}
    parts = SimpleNamespace()
    for part in SUITE:
        code = init_code(part.name, part.arguments(parameters, addresses))
        spent += launcher.send(deployer, "launch", part.salt, code)
        setattr(parts, NAMES[part.name], Contract(chain, part.name, addresses[part.name]))
    measured.add("deploy_suite", spent)

    deployed = Deployed(chain, seed, measured, parts, people, pairs, parameters)
    _seat_attestors(deployed)
    return deployed


def _seat_attestors(deployed: Deployed) -> None:
    bond = deployed.parameters["attestor_set"]["min_bond"] * OPEN
    for operator, signer in deployed.attestors:
        deployed.fund(operator, bond)
        deployed.approve(operator, deployed.parts.attestors, bond)
        gas = deployed.parts.attestors.send(operator.address, "join", signer.address, bond)
        deployed.measured.add("join_attestor", gas)

"""Reads and validates scripts/parameters.yaml. Every fault is named, all of them at once, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from eth_utils import is_checksum_address, is_hex_address, to_checksum_address

from .fields import BPS, FIELDS, PEOPLE, Field, resolve

LOCAL_CHAINS = (1337, 31337)
DEPLOYER = "deployer"
ZERO = "0x" + "00" * 20
# RewardDistributor.CONDEMN_WINDOW; a test compares the two.
CONDEMN_WINDOW = 30 * 86_400


@dataclass(frozen=True)
class Fault:
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ParameterFaults(Exception):
    """All that is wrong with the parameters."""

    def __init__(self, faults: list[Fault]):
        self.faults = faults
        super().__init__("\n".join(["The parameters cannot be used:", *(f"  - {fault}" for fault in faults)]))


class _OnceEachLoader(yaml.SafeLoader):
    """YAML lets a later key silently replace an earlier one; a parameter that is given twice is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise ParameterFaults([Fault(f"line {line}", f"`{key}` is given twice; keep one of them")])
            seen.add(key)
        return super().construct_mapping(node, deep)


def read(path: Path, chain_id: int, deployer: str, compiled: Any) -> dict[str, Any]:
    """The parameters of one chain, checked, with the deployer's address where the file says `deployer`."""
    try:
        text = yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceEachLoader)
    except yaml.YAMLError as fault:
        raise ParameterFaults([Fault(path.name, f"is not YAML ({fault})")]) from fault
    return validated(text, chain_id, deployer, compiled)


def validated(text: Any, chain_id: int, deployer: str, compiled: Any) -> dict[str, Any]:
    faults: list[Fault] = []
    override = _sections(text, chain_id, faults)
    defaults = text.get("defaults") if isinstance(text, dict) else None
    merged = _merged(defaults or {}, override, f"networks.{chain_id}", faults)
    faults.extend(_shape(merged, _whole_shape(), ""))
    faults.extend(_numbers(merged, FIELDS, "", compiled))
    people = _people(merged, chain_id in LOCAL_CHAINS, deployer, faults)
    faults.extend(_relations(merged, people["attestors"]))
    if faults:
        raise ParameterFaults(faults)
    return {**merged, **people}


def _sections(text: Any, chain_id: int, faults: list[Fault]) -> dict[str, Any]:
    if not isinstance(text, dict):
        faults.append(Fault("the file", "must have the sections `defaults` and `networks`"))
        return {}
    for key in text.keys() - {"defaults", "networks"}:
        faults.append(Fault(str(key), "unknown section; only `defaults` and `networks` are read"))
    if not isinstance(text.get("defaults"), dict):
        faults.append(Fault("defaults", "is missing; it holds the value of every parameter"))
        text["defaults"] = {}
    networks = text.get("networks") or {}
    if not isinstance(networks, dict):
        faults.append(Fault("networks", "must map chain ids to what differs there"))
        return {}
    for key in networks:
        if isinstance(key, bool) or not isinstance(key, int):
            faults.append(Fault(f"networks.{key}", "must be a chain id, a whole number without quotes"))
    override = networks.get(chain_id) or {}
    if not isinstance(override, dict):
        faults.append(Fault(f"networks.{chain_id}", "must be a section"))
        return {}
    return override


def _merged(base: dict[str, Any], override: dict[str, Any], where: str, faults: list[Fault]) -> dict[str, Any]:
    result = dict(base)
    for key, value in override.items():
        if isinstance(base.get(key), dict) and not isinstance(value, dict):
            faults.append(Fault(f"{where}.{key}", "must be a section as it is in `defaults`"))
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            result[key] = _merged(base[key], value, f"{where}.{key}", faults)
        else:
            result[key] = value
    return result


def _whole_shape() -> dict[str, Any]:
    return {**dict.fromkeys(PEOPLE), **FIELDS}


def _shape(given: dict[str, Any], expected: dict[str, Any], prefix: str) -> Iterator[Fault]:
    for key in given.keys() - expected.keys():
        yield Fault(f"{prefix}{key}", f"unknown parameter; known here are {', '.join(sorted(expected))}")
    for key, inner in expected.items():
        if key not in given:
            yield Fault(f"{prefix}{key}", "is missing; give it in `defaults` or for this network")
        elif isinstance(inner, dict):
            if isinstance(given[key], dict):
                yield from _shape(given[key], inner, f"{prefix}{key}.")
            else:
                yield Fault(f"{prefix}{key}", "must be a section")


def _numbers(given: dict[str, Any], fields: dict[str, Any], prefix: str, compiled: Any) -> Iterator[Fault]:
    for key, field in fields.items():
        value = given.get(key)
        if isinstance(field, dict):
            yield from _numbers(value if isinstance(value, dict) else {}, field, f"{prefix}{key}.", compiled)
        elif key in given:
            yield from _number(value, field, f"{prefix}{key}", compiled)


def _number(value: Any, field: Field, where: str, compiled: Any) -> Iterator[Fault]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield Fault(where, f"is {value!r}; write a whole number of {field.unit}")
        return
    least = resolve(field.least, field.unit, compiled)
    most = resolve(field.most, field.unit, compiled)
    if not least <= value <= most:
        yield Fault(where, f"is {value}; the contracts take {least} to {most} {field.unit}")


def _people(given: dict[str, Any], local: bool, deployer: str, faults: list[Fault]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for role in ("holder", "guardian"):
        if role not in given:
            continue
        value = given[role]
        if value == DEPLOYER:
            value = deployer
        else:
            faults.extend(_address(value, role))
        if not local and str(value).lower() == deployer.lower():
            faults.append(Fault(role, "is the deployer, whose key is on a working machine; name another account"))
        result[role] = value
    attestors = given.get("attestors")
    if "attestors" in given and not isinstance(attestors, list):
        faults.append(Fault("attestors", f"is {attestors!r}; write a list of addresses, [] for none"))
    result["attestors"] = attestors if isinstance(attestors, list) else []
    seen: set[str] = set()
    for number, value in enumerate(result["attestors"]):
        faults.extend(_address(value, f"attestors[{number}]"))
        if str(value).lower() in seen:
            faults.append(Fault(f"attestors[{number}]", f"{value} is in the list twice; keep one"))
        seen.add(str(value).lower())
    return result


def _address(value: Any, where: str) -> Iterator[Fault]:
    if isinstance(value, int):
        yield Fault(where, "is read as a number; put the address in quotes")
    elif not isinstance(value, str) or not is_hex_address(value) or not value.startswith("0x"):
        yield Fault(where, f"is {value!r}; write an address, 0x and 40 hexadecimal digits, in quotes")
    elif int(value, 16) == 0:
        yield Fault(where, "is the zero address; name an account")
    elif not is_checksum_address(value):
        yield Fault(where, f"has a wrong checksum; if it is the address meant, write {to_checksum_address(value)}")


def _relations(given: dict[str, Any], attestors: list[Any]) -> Iterator[Fault]:
    """What holds between parameters. One that is missing or no number is named elsewhere."""

    def value(section: str, *keys: str) -> list[int] | None:
        inner = given.get(section)
        found = [inner.get(key) if isinstance(inner, dict) else None for key in keys]
        usable = all(isinstance(item, int) and not isinstance(item, bool) for item in found)
        return [item for item in found if isinstance(item, int)] if usable else None

    vote = value("governor", "voting_delay", "voting_period", "late_quorum_extension", "timelock_delay")
    window = value("distributor", "resolution_window")
    if vote and window and window[0] <= sum(vote):
        yield Fault(
            "distributor.resolution_window",
            f"is {window[0]} seconds, but a late vote and the timelock take {sum(vote)}: governance could never reject "
            f"a challenge in time; make it more than {sum(vote)}",
        )
    if vote and 2 * sum(vote) > CONDEMN_WINDOW:
        yield Fault(
            "governor.voting_period",
            f"makes two late votes with the timelock take {2 * sum(vote)} seconds: governance could not expel false "
            f"attestors and then condemn what they posted meanwhile, for which it has {CONDEMN_WINDOW}; vote faster",
        )
    bonds = value("attestor_set", "min_bond", "max_bond")
    if bonds and bonds[0] > bonds[1]:
        yield Fault("attestor_set.max_bond", f"is {bonds[1]}, below min_bond; make it at least {bonds[0]}")
    leaving, delay = value("attestor_set", "exit_delay"), value("distributor", "delay")
    if leaving and delay and leaving[0] <= delay[0]:
        yield Fault(
            "attestor_set.exit_delay",
            f"is {leaving[0]} seconds: an attestor could be gone before its root is in force; "
            f"make it more than {delay[0]}",
        )
    signers = value("attestor_set", "min_signers")
    if signers and attestors and signers[0] > len(attestors):
        yield Fault(
            "attestors", f"are {len(attestors)}, but a root needs {signers[0]} signers; name more or lower min_signers"
        )
    models = given.get("models")
    bounds = models.get("split_bounds") if isinstance(models, dict) else None
    if isinstance(bounds, dict):
        yield from _split_bounds(bounds)


def _split_bounds(bounds: dict[str, Any]) -> Iterator[Fault]:
    where = "models.split_bounds"
    floors = [bounds.get(f"min_{name}") for name in ("contributors", "attestors", "treasury")]
    numbers = [floor for floor in floors if isinstance(floor, int)]
    if len(numbers) == len(floors) and sum(numbers) > BPS:
        yield Fault(where, f"the least parts sum to {sum(numbers)}; they must leave room within {BPS}")
    least, most = bounds.get("min_treasury"), bounds.get("max_treasury")
    if isinstance(least, int) and isinstance(most, int) and most < least:
        yield Fault(f"{where}.max_treasury", f"is {most}, below min_treasury; make it at least {least}")

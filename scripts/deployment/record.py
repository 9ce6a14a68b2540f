"""What is known of a deployment: deployments/<chain id>.json, written before and after each step.

A file is replaced whole or not at all, so that a deployment that dies while writing finds its last state again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eth_utils import keccak

from suite import SUITE

CONTRACTS = ("Launcher", *(part.name for part in SUITE))


class Record:
    """The journal of one chain while it is deployed to, and its address book afterwards."""

    def __init__(self, path: Path):
        self.path = path
        self.data: dict[str, Any] = {}
        if path.exists():
            self.data = json.loads(path.read_text(encoding="utf-8"))

    @property
    def complete(self) -> bool:
        return bool(self.data.get("complete"))

    @property
    def launcher(self) -> dict[str, Any]:
        return dict(self.data.get("launcher") or {})

    def contract(self, name: str) -> dict[str, Any]:
        return dict(self.data.get("contracts", {}).get(name) or {})

    def start(self, **what: Any) -> None:
        self.data = {**what, "complete": False, "contracts": {}, "launcher": {}}
        self.save()

    def set_launcher(self, **what: Any) -> None:
        self.data["launcher"] = what
        self.save()

    def set_contract(self, name: str, **what: Any) -> None:
        self.data["contracts"][name] = what
        self.save()

    def finish(self, **what: Any) -> None:
        self.data.update(what, complete=True)
        self.save()

    def save(self) -> None:
        write_json(self.path, self.data)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_suffix(path.suffix + ".new")
    with half_written.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    half_written.replace(path)


def compiler_settings(compiled: Any, remappings: Sequence[str]) -> dict[str, Any]:
    return {**compiled.OpenToken._build["compiler"], "remappings": list(remappings)}


def write_abis(compiled: Any, folder: Path) -> None:
    """One file a contract, the same for every chain: whoever talks to the suite reads these."""
    for name in CONTRACTS:
        abi = sorted(getattr(compiled, name).abi, key=lambda item: json.dumps(_key(item)))
        write_json(folder / f"{name}.json", abi)


def seals(record: Record, code_at: Callable[[str], bytes], abis: Path) -> dict[str, dict[str, str]]:
    """Hashes of the code that stands and of its ABI file: by them a reader knows whether both are still those."""
    return {
        part.name: {
            "code": "0x" + keccak(code_at(record.contract(part.name)["address"])).hex(),
            "abi": "0x" + keccak((abis / f"{part.name}.json").read_bytes()).hex(),
        }
        for part in SUITE
    }


def _key(item: Mapping[str, Any]) -> list[Any]:
    return [item["type"], item.get("name", ""), [entry["type"] for entry in item.get("inputs", [])]]

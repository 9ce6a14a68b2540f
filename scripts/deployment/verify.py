"""Shows explorers the source: the compiler's own input, contract by contract, in the shape of Etherscan's API v2."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .record import CONTRACTS, Record, write_json
from .steps import Stopped

API = "https://api.etherscan.io/v2/api"
ATTEMPTS = 20
PAUSE = 5


@dataclass(frozen=True)
class Source:
    """All that an explorer needs to compile one contract again."""

    name: str
    path: str
    address: str
    compiler: str
    standard_json: dict[str, Any]
    arguments: str

    def write(self, folder: Path) -> Path:
        file = folder / f"{self.name}.json"
        write_json(file, self.standard_json)
        facts = {
            "address": self.address,
            "compiler": self.compiler,
            "contract": self.full_name,
            "arguments": self.arguments,
        }
        write_json(folder / f"{self.name}.form.json", facts)
        return file

    @property
    def full_name(self) -> str:
        return f"{self.path}:{self.name}"

    def form(self) -> dict[str, str]:
        return {
            "module": "contract",
            "action": "verifysourcecode",
            "codeformat": "solidity-standard-json-input",
            "sourceCode": json.dumps(self.standard_json, sort_keys=True),
            "contractaddress": self.address,
            "contractname": self.full_name,
            "compilerversion": f"v{self.compiler}",
            # The API spells it so.
            "constructorArguements": self.arguments,
        }


def sources(compiled: Any, record: Record, root: Path, remappings: Sequence[str]) -> list[Source]:
    if not record.complete:
        raise Stopped(f"{record.path.name} is not of a complete deployment. Deploy first.")
    return [_source(compiled, record, name, root, remappings) for name in CONTRACTS]


def _source(compiled: Any, record: Record, name: str, root: Path, remappings: Sequence[str]) -> Source:
    build = getattr(compiled, name)._build
    known = record.launcher if name == "Launcher" else record.contract(name)
    settings = {
        "evmVersion": build["compiler"]["evm_version"],
        "optimizer": build["compiler"]["optimizer"],
        "remappings": list(remappings),
        "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}},
    }
    paths = sorted(set(build["allSourcePaths"].values()) | {build["sourcePath"]})
    content = {path: {"content": (root / path).read_text(encoding="utf-8")} for path in paths}
    return Source(
        name=name,
        path=build["sourcePath"],
        address=known["address"],
        compiler=build["compiler"]["version"],
        standard_json={"language": "Solidity", "sources": content, "settings": settings},
        arguments=known.get("encoded_arguments", "0x").removeprefix("0x"),
    )


@dataclass(frozen=True)
class Explorer:
    api: str
    chain_id: int
    key: str
    pause: float = PAUSE

    @classmethod
    def from_environment(cls, chain_id: int) -> Explorer:
        file = os.environ.get("OPENLEDGER_EXPLORER_KEY_FILE")
        if not file or not Path(file).is_file():
            raise Stopped(
                "set OPENLEDGER_EXPLORER_KEY_FILE to a file with the explorer's API key, or use `verify write`."
            )
        key = Path(file).read_text(encoding="utf-8").strip()
        return cls(os.environ.get("OPENLEDGER_EXPLORER_API", API), chain_id, key)

    def ask(self, form: dict[str, str]) -> tuple[bool, str]:
        address = f"{self.api}?{urllib.parse.urlencode({'chainid': self.chain_id})}"
        body = urllib.parse.urlencode({**form, "apikey": self.key}).encode("ascii")
        try:
            with urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=60) as response:
                answer = json.load(response)
        except (urllib.error.URLError, TimeoutError, ValueError) as fault:
            raise Stopped(f"the explorer does not answer ({fault}). Start again, or use `verify write`.") from None
        return str(answer.get("status")) == "1", str(answer.get("result"))


def submit(prepared: Sequence[Source], explorer: Explorer, say: Callable[[str], None] = print) -> None:
    """Sends every source and waits for every verdict. One that fails does not keep the others back."""
    failed = []
    for source in prepared:
        verdict = _verdict(source, explorer)
        say(f"{source.name:<18} {source.address}  {verdict or 'verified'}")
        if verdict:
            failed.append(source.name)
    if failed:
        raise Stopped(f"not verified: {', '.join(failed)}. What is verified stays so; start again for the rest.")


def _verdict(source: Source, explorer: Explorer) -> str:
    """Why a contract is not verified; nothing if it is."""
    taken, result = explorer.ask(source.form())
    if not taken:
        return "" if "already verified" in result.lower() else result
    status = {"module": "contract", "action": "checkverifystatus", "guid": result}
    for _ in range(ATTEMPTS):
        done, answer = explorer.ask(status)
        if done or "already verified" in answer.lower():
            return ""
        if "pending" not in answer.lower():
            return answer
        time.sleep(explorer.pause)
    return "still pending; look again later"

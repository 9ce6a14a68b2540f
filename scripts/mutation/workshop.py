"""Where mutants are compiled, many in one call of the compiler, and asked: copies of the tree, built once.

The tests of a copy are linked dynamically: they deploy what stands in the artifact of a contract, so that a mutant
costs the writing of one file instead of a compilation. Two checks at the start show that the verdicts mean something:
the contract as it is, compiled here, must have the very bytecode that Forge made of it; and a contract that reverts
whatever one asks of it must be killed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS_A_VERDICT = 120
# Gas and golden vectors are left out: almost every change changes gas, so that they would kill anything.
NOT_ASKED = ("Gas", "Vectors")
# Linked dynamically, a creation that reverts ends the test that expected it: what that test asks later goes unasked.
BLIND = re.compile(r"expectRevert\([^;]*\);\s*(?:\w+ = )?new ")
FAILED = re.compile(r"^(Failing tests:|Encountered .* failing test)", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """A source that is mutated, the contract through which it is deployed, and the files of tests to ask first."""

    source: str
    contract: str
    tests: tuple[str, ...]


class Copy:
    """A copy of the tree, built. Forge is given no filter of tests: with one it would compile at every start."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def built(cls, folder: Path) -> Copy:
        for part in ("contracts", "tests/forge"):
            shutil.copytree(ROOT / part, folder / part)
        for path in (folder / "tests" / "forge").glob("*.t.sol"):
            if path.name.removesuffix(".t.sol") in NOT_ASKED:
                path.unlink()
            elif BLIND.search(path.read_text()):
                raise SystemExit(f"{path.name} expects a creation to revert: it must stand in a call of its own")
        shutil.copy(ROOT / "foundry.toml", folder)
        (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())
        copy = cls(folder)
        if copy.test(seconds=900, building=True) != "survived":
            raise SystemExit("the tests fail without any mutant")
        return copy

    def with_only(self, tests: Collection[str], folder: Path) -> Copy:
        """The same with some of the tests, which need no compilation any more."""
        shutil.copytree(self.folder, folder, symlinks=True)
        for path in (folder / "tests" / "forge").glob("*.t.sol"):
            if path.name.removesuffix(".t.sol") not in tests:
                path.unlink()
        return Copy(folder)

    def test(self, seconds: int = SECONDS_A_VERDICT, building: bool = False) -> str:
        environment = os.environ | {
            "FOUNDRY_PROFILE": "quick",
            "FOUNDRY_FUZZ_RUNS": "64",
            "FOUNDRY_AST": "false",
            "FOUNDRY_BUILD_INFO": "true",
        }
        command = ["forge", "test", "--dynamic-test-linking", "--fail-fast"]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return "timed out"
        if "Compiling " in done.stdout and not building:
            raise SystemExit("Forge compiled anew: the mutant was not asked")
        if done.returncode and not FAILED.search(done.stdout):
            raise SystemExit(f"Forge did not run the tests:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return "killed" if done.returncode else "survived"

    def artifact(self, contract: str) -> Path:
        return self.folder / "build" / "forge" / f"{contract}.sol" / f"{contract}.json"

    def test_with(self, contract: str, bytecode: str) -> str:
        path = self.artifact(contract)
        kept = path.read_text()
        artifact = json.loads(kept)
        artifact["bytecode"]["object"] = "0x" + bytecode
        path.write_text(json.dumps(artifact))
        try:
            return self.test()
        finally:
            path.write_text(kept)

    def compiler_settings(self) -> dict:
        built = next((self.folder / "build" / "forge" / "build-info").glob("*.json"))
        return json.loads(built.read_text())["input"]["settings"]


class Workshop:
    def __init__(self, everything: Copy, target: Target, folder: Path):
        self.target = target
        # The tests that concern the contract most are asked first, and all of them only about what survives those.
        self.first = everything.with_only(target.tests, folder)
        self.everything = everything
        self.settings = everything.compiler_settings()
        (compiled,) = self.compile([(ROOT / target.source).read_text()])
        if compiled != self.original():
            raise SystemExit(f"{target.contract}: compiled here, it is not what Forge compiled")
        for copy in (self.first, everything):
            if copy.test_with(target.contract, "fe") != "killed":
                raise SystemExit(f"{target.contract}: the tests do not notice a contract that always reverts")

    def original(self) -> str:
        artifact = json.loads(self.first.artifact(self.target.contract).read_text())
        return artifact["bytecode"]["object"].removeprefix("0x")

    def verdict(self, bytecode: str) -> str:
        verdict = self.first.test_with(self.target.contract, bytecode)
        return self.everything.test_with(self.target.contract, bytecode) if verdict == "survived" else verdict

    def compile(self, sources: list[str]) -> list[str | None]:
        """The creation bytecode of the contract with each of these sources, or None where one does not compile."""
        bytecode: dict[int, str | None] = {}
        waiting = list(range(len(sources)))
        while waiting:
            output = self._solc({index: sources[index] for index in waiting})
            errors = [error for error in output.get("errors", []) if error["severity"] == "error"]
            places = {error.get("sourceLocation", {}).get("file", "") for error in errors}
            # An error without a place stops the whole call: whose it is shows when each is compiled alone.
            guilty = [index for index in waiting if any(f"__{index}__" in place for place in places)]
            if errors and not guilty and len(waiting) > 1:
                for index in waiting:
                    bytecode[index] = self.compile([sources[index]])[0]
                break
            for index in waiting:
                if errors:
                    bytecode |= dict.fromkeys(guilty or waiting)
                else:
                    file = _renamed(f"contracts/{self.target.contract}.sol", index)
                    bytecode[index] = output["contracts"][file][self.target.contract]["evm"]["bytecode"]["object"]
            waiting = [index for index in waiting if index not in bytecode]
        return [bytecode[index] for index in range(len(sources))]

    def _solc(self, sources: dict[int, str]) -> dict:
        target = self.target
        deployed = f"contracts/{target.contract}.sol"
        texts, wanted = {}, {}
        for index, source in sources.items():
            texts[_renamed(target.source, index)] = {"content": source}
            if target.source != deployed:
                # The contract that inherits the mutant, told to import it instead of the original.
                relative = "./" + os.path.relpath(target.source, "contracts")
                whole = (ROOT / deployed).read_text().replace(f'"{relative}"', f'"{_renamed(relative, index)}"')
                texts[_renamed(deployed, index)] = {"content": whole}
            wanted[_renamed(deployed, index)] = {target.contract: ["evm.bytecode.object"]}
        settings = {key: value for key, value in self.settings.items() if key != "compilationTarget"}
        request = {"language": "Solidity", "sources": texts, "settings": settings | {"outputSelection": wanted}}
        done = subprocess.run(
            [os.environ["FOUNDRY_SOLC"], "--standard-json"],
            cwd=ROOT,
            input=json.dumps(request),
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)


def _renamed(path: str, index: int) -> str:
    return path.removesuffix(".sol") + f"__{index}__.sol"

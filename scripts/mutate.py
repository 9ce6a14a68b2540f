#!/usr/bin/env python3
"""Mutation tester of the contracts that move money: changes one token or statement at a time and asks the Forge tests.

A mutant is killed if a test fails, survives if none does, and does not count if it does not compile. slither-mutate was
tried first: many of its mutants did not compile, and each compiled every test anew. This one works in a copy, links the
tests dynamically, so that only the mutated contract is compiled, and draws the same sample every time.

    scripts/mutate.py [--contract NAME] [--json FILE] [--limit N]

Run again with the same file, it goes on where it stopped: a mutant is asked again only if its contract or the tests
changed.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TESTS = {
    "OpenToken": "TokenTest|TokenModelTest|ClaimsTest",
    "RewardDistributor": "RootsTest|RefillsTest|DistributorTermsTest|ClaimsTest",
    "InferenceEscrow": "EscrowTest|EscrowModelTest",
}

# What stands on the left of an operator is replaced by each of what stands on the right.
OPERATORS = {
    "<=": ["<", "=="],
    ">=": [">", "=="],
    "<": ["<=", ">="],
    ">": [">=", "<="],
    "==": ["!="],
    "!=": ["=="],
    "+": ["-"],
    "-": ["+"],
    "*": ["/"],
    "/": ["*"],
    "&&": ["||"],
    "||": ["&&"],
    "+=": ["-=", "="],
    "-=": ["+=", "="],
    "|=": ["="],
    "&": ["|"],
    "|": ["&"],
    "^": ["|"],
    "<<": [">>"],
    ">>": ["<<"],
}
TOKEN = re.compile(
    r"(?P<skip>//[^\n]*|/\*.*?\*/|\"(?:[^\"\\]|\\.)*\"|0x[0-9a-fA-F]+)"
    r"|(?P<number>\b\d[\d_]*(?:e\d+)?\b)|(?P<boolean>\btrue\b|\bfalse\b)"
    r"|(?P<operator><<=|>>=|=>|\+\+|--|[<>=!+\-|]=|<<|>>|&&|\|\||[<>+\-*/&|^])|(?P<word>\w+)",
    re.DOTALL,
)
# Lines that declare and do nothing.
DECLARATION = re.compile(
    r"^\s*(import|pragma|using|event|error|modifier|function|constructor|contract|string public)\b"
)
STATEMENT = re.compile(
    r"^(\s*)((?:emit |delete |TOKEN\.|DISTRIBUTOR\.|ATTESTORS\.|_\w+\(|[\w.\[\]()]+ [-+|]?= )[^;{}]*;)$"
)
GUARD = re.compile(r"^\s*if \(.*\) revert .*;$")
MODIFIER = re.compile(r"\bonly[A-Z]\w+\b")


@dataclass(frozen=True)
class Mutant:
    contract: str
    start: int
    end: int
    replacement: str
    kind: str

    def applied(self, source: str) -> str:
        return source[: self.start] + self.replacement + source[self.end :]

    def line(self, source: str) -> int:
        return source.count("\n", 0, self.start) + 1

    def name(self, source: str) -> str:
        """The same for the same change of the same source."""
        return hashlib.sha256(self.applied(source).encode()).hexdigest()[:16]

    def diff(self, source: str) -> str:
        changed = difflib.unified_diff(source.splitlines(), self.applied(source).splitlines(), lineterm="", n=0)
        return "\n".join(line for line in changed if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def token_mutants(contract: str, source: str) -> list[Mutant]:
    mutants = []
    for match in TOKEN.finditer(source):
        line = source[source.rfind("\n", 0, match.start()) + 1 : source.find("\n", match.start())]
        if DECLARATION.match(line) or match["skip"] or match["word"]:
            continue
        token = match[0]
        if match["number"]:
            value = int(token.split("e")[0].replace("_", ""))
            replacements, kind = [f"{value + 1}"] + ([f"{value - 1}"] if value else []), "constant"
        elif match["boolean"]:
            replacements, kind = ["false" if token == "true" else "true"], "boolean"
        else:
            replacements, kind = OPERATORS.get(token, []), "operator"
        mutants += [Mutant(contract, match.start(), match.end(), new, kind) for new in replacements]
    return mutants


def line_mutants(contract: str, source: str) -> list[Mutant]:
    mutants, at = [], 0
    for line in source.splitlines(keepends=True):
        text = line.rstrip("\n")
        statement = STATEMENT.match(text)
        if GUARD.match(text):
            mutants.append(Mutant(contract, at, at + len(text), "", "guard removed"))
        elif statement:
            mutants.append(Mutant(contract, at + len(statement[1]), at + len(text), "", "statement removed"))
        guarded = None if text.lstrip().startswith("modifier") else MODIFIER.search(text)
        if guarded and "override" in source[max(0, at - 200) : at + len(text)]:
            mutants.append(Mutant(contract, at + guarded.start(), at + guarded.end(), "", "modifier removed"))
        at += len(line)
    return mutants


def sample(mutants: list[Mutant], source: str, limit: int | None) -> list[Mutant]:
    """All of them, or as many as `limit`, drawn by their hashes: spread over the contract and the same every time."""
    unique = {mutant.name(source): mutant for mutant in mutants}
    drawn = sorted(unique)[:limit]
    return sorted((unique[name] for name in drawn), key=lambda mutant: (mutant.start, mutant.replacement))


class Copy:
    """A copy of the tree in which mutants are compiled and tested."""

    def __init__(self, folder: Path):
        self.folder = folder
        for part in ("contracts", "tests/forge"):
            shutil.copytree(ROOT / part, folder / part)
        shutil.copy(ROOT / "foundry.toml", folder)
        (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())

    def verdict(self, contract: str) -> str:
        command = [
            "forge",
            "test",
            "--dynamic-test-linking",
            "--fail-fast",
            "--match-contract",
            f"^({TESTS[contract]})$",
        ]
        environment = os.environ | {"FOUNDRY_PROFILE": "quick", "FOUNDRY_FUZZ_RUNS": "64"}
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=180, check=False
            )
        except subprocess.TimeoutExpired:
            return "killed"
        output = done.stdout + done.stderr
        if done.returncode == 0:
            return "survived"
        if re.search(r"^Ran \d+ test", output, re.MULTILINE):
            return "killed"
        return "invalid"


def tests_hash() -> str:
    parts = [path.read_bytes() for path in sorted((ROOT / "tests" / "forge").glob("*.sol"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def run(contract: str, limit: int | None, results: dict, store) -> None:
    path = Path("contracts") / f"{contract}.sol"
    source = (ROOT / path).read_text()
    found = token_mutants(contract, source) + line_mutants(contract, source)
    drawn = sample(found, source, limit)
    print(f"{contract}: {len(drawn)} of {len(found)} mutants", flush=True)
    known, tests = results.setdefault(contract, {}), tests_hash()
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        if copy.verdict(contract) != "survived":
            sys.exit(f"{contract}: the tests fail without any mutant")
        for number, mutant in enumerate(drawn, 1):
            name = mutant.name(source)
            entry = known.get(name)
            # More tests kill more: a killed mutant stays killed, a survivor is asked again when tests changed.
            if entry is None or (entry["verdict"] == "survived" and entry["tests"] != tests):
                (copy.folder / path).write_text(mutant.applied(source))
                known[name] = entry = {
                    "verdict": copy.verdict(contract),
                    "line": mutant.line(source),
                    "kind": mutant.kind,
                    "diff": mutant.diff(source),
                    "tests": tests,
                }
                store()
            if entry["verdict"] == "survived":
                print(
                    f"{number}/{len(drawn)} survived, line {entry['line']}, {entry['kind']}\n{entry['diff']}",
                    flush=True,
                )
    drawn_names = {mutant.name(source) for mutant in drawn}
    verdicts = [entry["verdict"] for name, entry in known.items() if name in drawn_names]
    killed, survived = verdicts.count("killed"), verdicts.count("survived")
    share = 100 * killed / max(1, killed + survived)
    print(
        f"{contract}: {killed} killed, {survived} survived, {verdicts.count('invalid')} invalid: {share:.1f} %",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contract", choices=sorted(TESTS), help="one contract instead of all")
    parser.add_argument("--json", type=Path, help="where verdicts are kept, to go on from")
    parser.add_argument("--limit", type=int, help="ask so many mutants of each contract")
    options = parser.parse_args()
    results = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}

    def store() -> None:
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")

    for contract in [options.contract] if options.contract else TESTS:
        run(contract, options.limit, results, store)


if __name__ == "__main__":
    main()

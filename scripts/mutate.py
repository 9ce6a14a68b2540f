#!/usr/bin/env python3
"""Mutation tester of the contracts that move money: changes one token or statement at a time and asks the Forge tests.

A mutant is killed if a test fails, survives if none does, and does not count if it does not compile or compiles to the
very bytecode of the contract as it is. Survivors that no test could kill are listed, each with its reason, in
mutants_equivalent.yaml; an entry that names no survivor is an error, so that the list never outlives the code.

    scripts/mutate.py [--contract NAME] [--json FILE] [--limit N] [--write]

Run again with the same file, it goes on where it stopped: a mutant is asked again only if a contract changed or,
where it survived, the tests did. `--write` puts the figures into docs/mutation.md.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
import tempfile
from pathlib import Path

from mutation.mutants import Mutant, mutants_of
from mutation.report import Tally, equivalents, write
from mutation.workshop import ROOT, Copy, Target, Workshop

BATCH = 16
LEAST_KILLED = 90.0
TARGETS = {
    "OpenToken": Target("contracts/OpenToken.sol", "OpenToken", ("Token", "TokenModel", "Claims")),
    "RewardDistributor": Target(
        "contracts/RewardDistributor.sol", "RewardDistributor", ("Claims", "Refills", "DistributorTerms")
    ),
    "RootChain": Target(
        "contracts/rewards/RootChain.sol", "RewardDistributor", ("Roots", "Stops", "Refills", "DistributorTerms")
    ),
    "InferenceEscrow": Target("contracts/InferenceEscrow.sol", "InferenceEscrow", ("Escrow", "EscrowModel")),
}


def hash_of(folder: str) -> str:
    parts = [path.read_bytes() for path in sorted((ROOT / folder).rglob("*.sol"))]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def drawn(source: str, limit: int | None) -> list[Mutant]:
    """All, or as many as `limit`, drawn by their hashes: spread over the contract and the same every time."""
    mutants = mutants_of(source)
    chosen = set(sorted(mutant.name(source) for mutant in mutants)[:limit])
    return [mutant for mutant in mutants if mutant.name(source) in chosen]


def ask(target: Target, source: str, mutants: list[Mutant], known: dict, store, everything) -> None:
    contracts, tests = hash_of("contracts"), hash_of("tests/forge")
    verdicts_of_bytecode: dict[str, str] = {}

    def is_open(mutant: Mutant) -> bool:
        entry = known.get(mutant.name(source))
        if entry is None or entry["contracts"] != contracts:
            return True
        # More tests kill more: what is killed stays killed.
        return entry["verdict"] == "survived" and entry["tests"] != tests

    waiting = [mutant for mutant in mutants if is_open(mutant)]
    if not waiting:
        return
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(everything(), target, Path(folder) / target.contract)
        verdicts_of_bytecode[workshop.original()] = "same bytecode"
        for begin in range(0, len(waiting), BATCH):
            batch = waiting[begin : begin + BATCH]
            compiled = workshop.compile([mutant.applied(source) for mutant in batch])
            for mutant, bytecode in zip(batch, compiled):
                if bytecode is not None and bytecode not in verdicts_of_bytecode:
                    verdicts_of_bytecode[bytecode] = workshop.verdict(bytecode)
                was, now = mutant.before_and_after(source)
                known[mutant.name(source)] = {
                    "verdict": "invalid" if bytecode is None else verdicts_of_bytecode[bytecode],
                    "line": mutant.line(source),
                    "in": mutant.function(source),
                    "kind": mutant.kind,
                    "was": was,
                    "now": now,
                    "contracts": contracts,
                    "tests": tests,
                }
                store()
            print(f"  {begin + len(batch)} of {len(waiting)} asked", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contract", choices=sorted(TARGETS), help="one contract instead of all")
    parser.add_argument("--json", type=Path, help="where verdicts are kept, to go on from")
    parser.add_argument("--limit", type=int, help="ask so many mutants of each contract")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/mutation.md")
    options = parser.parse_args()
    results = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}

    def store() -> None:
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")

    # Built when the first mutant is asked, and once for all contracts.
    folder = tempfile.TemporaryDirectory()
    everything = functools.cache(lambda: Copy.built(Path(folder.name) / "everything"))

    tallies, faults = [], []
    for name in [options.contract] if options.contract else TARGETS:
        target = TARGETS[name]
        source = (ROOT / target.source).read_text()
        mutants = drawn(source, options.limit)
        print(f"{name}: {len(mutants)} mutants", flush=True)
        known = results.setdefault(name, {})
        ask(target, source, mutants, known, store, everything)
        tally = Tally(name, [known[mutant.name(source)] for mutant in mutants], equivalents(name))
        tallies.append(tally)
        print(tally.shown(), flush=True)
        if options.limit is None:
            faults += tally.stale()
            if tally.share() < LEAST_KILLED:
                faults.append(f"{name}: less than {LEAST_KILLED:.0f} % are killed")
    if options.write:
        write(tallies)
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()

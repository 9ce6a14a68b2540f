"""The gas table of README.md, from docs/benchmarks/gas.json. `--write` puts it there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
MEASURED = ROOT / "docs" / "benchmarks" / "gas.json"
MARKED = re.compile(r"(?<=<!-- readme-gas: begin -->\n).*?(?=<!-- readme-gas: end -->)", re.DOTALL)

# What a person does → the figure of the benchmark.
FIGURES = {
    "claim for the first time": "claim_first_1m",
    "claim again": "claim_repeat_1m",
    "be paid by a relayer, 64 accounts at once, each, again": "push64_repeat",
    "post a root signed by 3 of 5 attestors": "post_root_3of5",
    "contribute any number of rows": "contribute",
    "contribute by signature, 100 relayed at once, each": "relay100_each",
    "settle a voucher, 100 at once, each, again": "settle100_each",
    "transfer OPEN": "transfer",
}


def gas_table() -> str:
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    baselines = {row["figure"]: row["baseline"] for row in measured["rows"]}
    lines = ["| | gas | OpenZeppelin-based |", "|---|---:|---:|"]
    lines += [f"| {what} | {measured['figures'][name]:,} | {baselines[name]:,} |" for what, name in FIGURES.items()]
    return "\n".join(lines) + "\n"


def shown() -> str:
    found = MARKED.search(README.read_text(encoding="utf-8"))
    if found is None:
        sys.exit("README.md has no marks for the gas table")
    return found.group(0)


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        text = README.read_text(encoding="utf-8")
        README.write_text(MARKED.sub(lambda _: gas_table(), text), encoding="utf-8")
    else:
        print(gas_table(), end="")


if __name__ == "__main__":
    main()

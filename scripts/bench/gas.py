#!/usr/bin/env python3
"""Gas of everything that somebody pays for, from receipts of a real Anvil, beside baselines measured in the same run.

    python scripts/bench/gas.py                     # the tree of 1,000,000 accounts
    python scripts/bench/gas.py --quick             # 16,384 accounts, proofs as long as those of a million

Needs the contracts' environment (Brownie's) and anvil on the PATH. It starts an Anvil of its own and ends it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from gas_jobs.baseline_jobs import measure_baselines
from gas_jobs.chain import Chain, artifact, compile_contracts
from gas_jobs.deployed import Measured, deploy
from gas_jobs.reward_jobs import FULL_ACCOUNTS, QUICK_ACCOUNTS, build_rewards, measure_rewards
from gas_jobs.targets import JOBS, Job
from gas_jobs.use_jobs import measure_use
from report import ROOT, Report, command_line, markdown_table, text_table, write_section

SEED = 20_260_101
HEAD = ("what", "gas", "most", "target", "met", "baseline", "ratio", "elsewhere (known, not measured here)")


def measure(seed: int, quick: bool) -> tuple[Measured, Measured]:
    """(the suite, the baselines), each on its own Anvil so that neither warms the other's accounts."""
    rewards = build_rewards(seed, quick)
    ours, baselines = Measured(), Measured()
    with Chain() as chain:
        deployed = deploy(chain, seed, ours)
        measure_rewards(deployed, rewards)
        measure_use(deployed)
    with Chain() as chain:
        measure_baselines(chain, seed, baselines, rewards)
    return ours, baselines


def row(job: Job, ours: Measured, baselines: Measured) -> dict[str, Any]:
    gas = ours.median(job.figure)
    baseline = baselines.median(job.figure) if job.baseline else None
    return {
        "figure": job.figure,
        "job": job.says,
        "ours": gas,
        "most": ours.most(job.figure),
        "receipts": len(ours.samples[job.figure]),
        "baseline": baseline,
        "baseline_name": job.baseline or None,
        "ratio": None if baseline is None else round(gas / baseline, 3),
        "target": job.target,
        "met": None if job.target is None else gas <= job.target,
        "elsewhere": {"measured_here": False, "gas": job.elsewhere} if job.elsewhere else None,
    }


def versions() -> dict[str, str]:
    package = ROOT / "node_modules" / "@openzeppelin" / "contracts" / "package.json"
    anvil = subprocess.run(["anvil", "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "solc": artifact("OpenToken")["compiler"]["version"],
        "evm": artifact("OpenToken")["compiler"]["evm_version"],
        "optimizer_runs": str(artifact("OpenToken")["compiler"]["optimizer"]["runs"]),
        "anvil": anvil.splitlines()[0].split(":")[-1].strip(),
        "brownie": version("eth-brownie"),
        "web3": version("web3"),
        "openzeppelin": json.loads(package.read_text(encoding="utf-8"))["version"],
    }


def cells(found: dict[str, Any]) -> list[str]:
    def number(value: int | None) -> str:
        return "" if value is None else f"{value:,}"

    met = {None: "", True: "yes", False: "NO"}[found["met"]]
    ratio = "" if found["ratio"] is None else f"{found['ratio']:.2f}"
    known = found["elsewhere"]["gas"] if found["elsewhere"] else {}
    return [
        found["job"],
        number(found["ours"]),
        number(found["most"]),
        number(found["target"]),
        met,
        number(found["baseline"]),
        ratio,
        ", ".join(f"{name} {gas}" for name, gas in known.items()),
    ]


def section(report: Report) -> str:
    used = ", ".join(f"{name} {value}" for name, value in report.versions.items())
    accounts = QUICK_ACCOUNTS if report.quick else FULL_ACCOUNTS
    return "\n".join(
        [
            "## gas",
            "",
            "`gasUsed` of receipts on a real Anvil. Where a job was done more than once, `gas` is the median, by which",
            "a target counts as met, and `most` the dearest receipt.",
            f"Claims carry proofs of 20 nodes out of a tree of {accounts:,} pseudo-random accounts. A batch counts",
            "per item.",
            "",
            "The baselines are `contracts/baselines`, measured in the same run; a ratio below one is cheaper. They do",
            "the same job in the usual way: BaselineRegistry keeps every contribution in storage, where",
            "DatanetRegistry keeps an event and an accumulator.",
            "",
            f"    {report.command}",
            "",
            markdown_table(HEAD, [cells(dict(found)) for found in report.rows]),
            "",
            f"Seed {report.seed}. {used}. All of it is in `gas.json`.",
        ]
    )


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Gas of the suite and of baselines, from receipts.")
    parser.add_argument("--quick", action="store_true", help="16,384 accounts instead of 1,000,000")
    parser.add_argument("--seed", type=int, default=SEED, help="of accounts, amounts and keys")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="replace the section `gas` of this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    compile_contracts()
    ours, baselines = measure(options.seed, options.quick)
    rows = [row(job, ours, baselines) for job in JOBS]
    given = {"--quick": options.quick, "--seed": None if options.seed == SEED else options.seed}
    report = Report(
        name="gas",
        command=command_line("scripts/bench/gas.py", given | {"--json": options.json, "--markdown": options.markdown}),
        versions=versions(),
        seed=options.seed,
        quick=options.quick,
        figures={found["figure"]: found["ours"] for found in rows},
        rows=rows,
    )
    print(text_table(HEAD, [cells(found) for found in rows]))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(report.as_json(), encoding="utf-8")
    if options.markdown:
        write_section(options.markdown, "gas", section(report))


if __name__ == "__main__":
    main()

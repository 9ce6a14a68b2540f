"""Run Slither and compare what it finds with what is explained.

`slither_explained.yaml` beside this file lists, by detector, why a finding is harmless here and where. A finding that
is not listed fails; so does an explanation whose finding is gone, so that the list never outlives the code.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("slither_explained.yaml")


def place_of(finding: dict) -> str:
    """Contract and function (or variable) of a finding: stable where line numbers are not."""
    element = finding["elements"][0]
    parents = []
    while element:
        if element["type"] in ("function", "contract", "variable", "event", "struct", "enum"):
            parents.append(element["name"])
        element = element.get("type_specific_fields", {}).get("parent")
    return ".".join(reversed(parents))


def found() -> dict[str, set[str]]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "slither.json"
        command = ["slither", ".", "--config-file", "slither.config.json", "--json", str(report)]
        command += ["--foundry-out-directory", "build/forge"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not report.exists():
            sys.exit(f"Slither did not run:\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}")
        findings = json.loads(report.read_text())["results"].get("detectors", [])
    places: dict[str, set[str]] = {}
    for finding in findings:
        places.setdefault(finding["check"], set()).add(place_of(finding))
    return places


def main() -> None:
    explained = yaml.safe_load(EXPLAINED.read_text())
    accepted = {detector: set(entry["places"]) for detector, entry in explained.items()}
    actual = found()
    faults = []
    for detector in sorted(accepted.keys() | actual.keys()):
        for place in sorted(actual.get(detector, set()) - accepted.get(detector, set())):
            faults.append(f"unexplained: {detector} in {place}")
        for place in sorted(accepted.get(detector, set()) - actual.get(detector, set())):
            faults.append(f"explained but gone: {detector} in {place}")
    if faults:
        sys.exit("\n".join(faults) + f"\nSee {EXPLAINED.relative_to(ROOT)}")
    count = sum(len(places) for places in actual.values())
    print(f"Slither: {count} places in {len(actual)} detectors, every one explained")


if __name__ == "__main__":
    main()

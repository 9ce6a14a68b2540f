"""What the documents say is compared with what is there."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from oracle.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import plots  # noqa: E402

import policy_table  # noqa: E402
import settings_table  # noqa: E402

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_readme__its_gas__then_it_is_what_was_measured() -> None:
    measured = json.loads((ROOT / "docs" / "benchmarks" / "gas.json").read_text(encoding="utf-8"))["rows"]
    rows = {row["figure"]: row for row in measured}
    told = (ROOT / "README.md").read_text(encoding="utf-8").partition("On chain a claim costs")[2].partition("(")[0]
    said = [int(number.replace(",", "")) for number in re.findall(r"\d+,\d{3}", told)]
    names = ("claim_first_1m", "claim_repeat_1m", "contribute")
    assert said == [rows[name][whose] for whose in ("ours", "baseline") for name in names]


def test_benchmarks__their_plots__then_they_show_what_was_measured() -> None:
    assert plots.outdated() == [], "run scripts/plots.py --write"


def test_benchmarks__that_are_drawn__then_each_stands_on_the_page() -> None:
    page = (ROOT / "docs" / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.svg\)", page)) == set(plots.CHARTS)


def test_operations__its_table_of_settings__then_it_is_that_of_the_code() -> None:
    assert settings_table.shown() == settings_table.table(), "run scripts/settings_table.py --write"


@pytest.mark.parametrize("name", policy_table.TABLES)
def test_datanets__its_tables__then_they_are_those_of_the_code(name: str) -> None:
    assert policy_table.shown(name) == policy_table.TABLES[name](), "run scripts/policy_table.py --write"


def metrics() -> dict[str, tuple[str, str]]:
    """Labels and sentence of each, as the code declares them."""
    code = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "oracle").rglob("*.py")))
    found = re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"(openledger_\w+)",\s*"([^"]+)",\s*\[([^\]]*)\]', code)
    assert len(found) == len(re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"openledger_', code))
    return {name: (labels.replace('"', ""), said) for name, said, labels in found}


def test_operations__its_list_of_metrics__then_it_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = page.partition("<!-- metrics: begin -->")[2].partition("<!-- metrics: end -->")[0]
    rows = re.findall(r"^\| `(openledger_\w+)` \| ([^|]*) \| ([^|]*) \|$", table, re.MULTILINE)
    assert {name: (labels, said) for name, labels, said in rows} == metrics()


def test_metrics__when_a_document_names_one__then_it_and_its_label_exist() -> None:
    known = metrics()
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    for name, label in re.findall(r"\b(openledger_\w+)(?:\{(\w+)=)?", text):
        assert name in known and (not label or label in known[name][0].split(", ")), (name, label)


def test_commands__when_a_document_names_one__then_it_exists() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    named = set(re.findall(r"(?:^    |`)openledger ([a-z]+)", text, re.MULTILINE))
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document__its_links_and_commands__then_they_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)#][^)]*)\)", text) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make ([a-z-]+)", text, re.MULTILINE)) <= targets

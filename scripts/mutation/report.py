"""What came out: counts per contract, survivors, and the list of those that no test could kill."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

import yaml

from .workshop import ROOT

EQUIVALENT = ROOT / "scripts" / "mutants_equivalent.yaml"
PAGE = ROOT / "docs" / "mutation.md"
MARKED = re.compile(r"(?<=<!-- figures: begin -->\n).*?(?=<!-- figures: end -->)", re.DOTALL)

# What names a mutant in the list: function, line before, line after.
Change = tuple[str, str, str]


def equivalents(contract: str) -> dict[Change, str]:
    listed = yaml.safe_load(EQUIVALENT.read_text()).get(contract, [])
    return {
        (entry["in"], entry["was"], now): group["why"]
        for group in listed
        for entry in group["changes"]
        for now in entry["now"]
    }


@dataclass(frozen=True)
class Tally:
    contract: str
    entries: list[dict]
    accepted: dict[Change, str]

    def _with(self, *verdicts: str) -> list[dict]:
        return [entry for entry in self.entries if entry["verdict"] in verdicts]

    def killed(self) -> int:
        return len(self._with("killed", "timed out"))

    def equivalent(self) -> list[dict]:
        return [entry for entry in self._with("survived") if _change(entry) in self.accepted]

    def survivors(self) -> list[dict]:
        return [entry for entry in self._with("survived") if _change(entry) not in self.accepted]

    def share(self) -> float:
        return 100 * self.killed() / max(1, self.killed() + len(self.survivors()))

    def raw_share(self) -> float:
        return 100 * self.killed() / max(1, self.killed() + len(self._with("survived")))

    def stale(self) -> list[str]:
        found = {_change(entry) for entry in self._with("survived")}
        return [
            f"{EQUIVALENT.name}: {self.contract} has no such survivor: {where or 'contract'}: {was} → {now}"
            for where, was, now in self.accepted
            if (where, was, now) not in found
        ]

    def counts(self) -> list[str]:
        return [
            f"`{self.contract}`",
            f"{len(self.entries)}",
            f"{len(self._with('invalid'))}",
            f"{len(self._with('same bytecode'))}",
            f"{self.killed()}",
            f"{len(self.survivors())}",
            f"{len(self.equivalent())}",
            f"{self.share():.1f} %",
            f"{self.raw_share():.1f} %",
        ]

    def shown(self) -> str:
        lines = [
            f"{entry['line']}: {entry['in'] or 'contract'}, {entry['kind']}\n  - {entry['was']}\n  + {entry['now']}"
            for entry in self.survivors()
        ]
        return "\n".join([*lines, " ".join(f"{name}: {count};" for name, count in zip(COLUMNS, self.counts()))])


COLUMNS = [
    "contract",
    "mutants",
    "do not compile",
    "same bytecode",
    "killed",
    "survived",
    "equivalent",
    "killed of those that differ",
    "with the equivalent ones",
]


def _change(entry: dict) -> Change:
    return entry["in"], entry["was"], entry["now"]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write(tallies: list[Tally]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    if not MARKED.search(text):
        sys.exit(f"{PAGE.name} has no marks for the figures")
    lines = [_row(COLUMNS), "|---|" + "---:|" * (len(COLUMNS) - 1)]
    lines += [_row(tally.counts()) for tally in tallies]
    PAGE.write_text(MARKED.sub(lambda _: "\n".join(lines) + "\n", text), encoding="utf-8")

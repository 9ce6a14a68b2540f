"""How every benchmark reports: one table for people, one JSON file for programs, one section of the README.

The JSON is `{"name", "command", "device", "versions", "seed", "quick", "figures": {name: number}, "rows": [...]}`.
Nothing in it names the machine's paths or its user, so that a report can be committed and compared.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

Cells = Sequence[str]


@dataclass(frozen=True)
class Report:
    """What one run of one benchmark found."""

    name: str
    command: str
    versions: Mapping[str, str]
    seed: int
    quick: bool
    figures: Mapping[str, float]
    rows: Sequence[Mapping[str, Any]]

    def as_json(self) -> str:
        content = {
            "name": self.name,
            "command": self.command,
            "device": device(),
            "versions": dict(self.versions),
            "seed": self.seed,
            "quick": self.quick,
            "figures": dict(self.figures),
            "rows": [dict(row) for row in self.rows],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def device() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def command_line(program: str, options: Mapping[str, Any]) -> str:
    """The command again, with files of the repository named from its root and others by their last part."""
    parts = ["python", program]
    for option, value in options.items():
        if value is True:
            parts.append(option)
        elif isinstance(value, Path):
            inside = value.resolve().is_relative_to(ROOT)
            parts += [option, str(value.resolve().relative_to(ROOT)) if inside else value.name]
        elif value is not False and value is not None:
            parts += [option, str(value)]
    return " ".join(parts)


def text_table(head: Cells, rows: Sequence[Cells]) -> str:
    """Columns under one another: the first and the last to the left, numbers between them to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    last = len(head) - 1

    def line(row: Cells) -> str:
        cells = [
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, rows)])


def markdown_table(head: Cells, rows: Sequence[Cells]) -> str:
    last = len(head) - 1
    rule = ["---" if i in (0, last) else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def write_section(file: Path, name: str, text: str) -> None:
    """Replaces the section of one benchmark in a Markdown file, between its marks, and leaves the others alone."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    content = file.read_text(encoding="utf-8") if file.exists() else "# Benchmarks\n"
    if begin in content and end in content:
        before, _, rest = content.partition(begin)
        content = before + section + rest.partition(end)[2]
    else:
        content = content.rstrip() + "\n\n" + section + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")

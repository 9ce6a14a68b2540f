#!/usr/bin/env python3
"""The table of settings in docs/operations.md, from the code.

scripts/settings_table.py            prints it
scripts/settings_table.py --write    puts it into the page
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pydantic import SecretStr

from oracle.config import PREFIX, Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def table() -> str:
    lines = ["| setting | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{PREFIX}{name.upper()}` | {_shown(field.default)} | {field.description} |")
    return "\n".join(lines)


def shown() -> str:
    match = re.search(f"{BEGIN}\n(.*)\n{END}", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert match, f"{PAGE}: has no place for the table"
    return match[1]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(part) for part in value)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "" if value in (None, "") else f"`{value}`"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(PAGE.read_text(encoding="utf-8").replace(shown(), table()), encoding="utf-8")
    else:
        print(table())

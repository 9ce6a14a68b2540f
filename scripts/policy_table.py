#!/usr/bin/env python3
"""The tables of docs/datanets.md, from the code: rules with their defaults, and what a verdict tells.

scripts/policy_table.py            prints them
scripts/policy_table.py --write    puts them into the page
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from oracle.datanets.policy import Policy
from oracle.datanets.verdicts import CODES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "datanets.md"


def rules() -> str:
    rows = [f"| `{name}` | {_shown(value)} |" for name, value in vars(Policy()).items()]
    return "\n".join(["| rule | default |", "|---|---|", *rows])


def verdicts() -> str:
    rows = [f"| `{code}` | {sentence.replace('{detail}', '…')} |" for code, sentence in CODES]
    return "\n".join(["| code | what the contributor reads |", "|---|---|", *rows])


TABLES = {"rules": rules, "verdicts": verdicts}


def shown(name: str) -> str:
    match = re.search(
        f"<!-- {name}: begin -->\n(.*?)\n?<!-- {name}: end -->", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert match, f"{PAGE}: has no place for the table of {name}"
    return match[1]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value) or "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    for name, table in TABLES.items():
        if sys.argv[1:] == ["--write"]:
            begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
            page = PAGE.read_text(encoding="utf-8")
            head, _, rest = page.partition(begin)
            PAGE.write_text(f"{head}{begin}{table()}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
        else:
            print(table())


if __name__ == "__main__":
    main()

"""What each operation costs: gas as measured in docs/benchmarks/gas.json, at stated prices.

python scripts/costs.py                                          the table of docs/deployment.md
python scripts/costs.py --gwei 0.05 2 --ether 3500               at other prices
python scripts/costs.py --write                                  puts it into docs/deployment.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "benchmarks" / "gas.json"
DOCUMENT = ROOT / "docs" / "deployment.md"
BEGIN, END = "<!-- costs: begin -->", "<!-- costs: end -->"
NOT_MEASURED = "The figures are not measured yet: `docs/benchmarks/gas.json` is missing."

OPERATIONS = {
    "claim_first_1m": "First claim of an account, 1,000,000 accounts in the tree",
    "claim_repeat_1m": "Later claim of an account, 1,000,000 accounts in the tree",
    "push64_first": "Push to 64 accounts that were never paid before, each",
    "push64_repeat": "Push to 64 accounts that were paid before, each",
    "post_root_3of5": "Posting a root with 3 of 5 attestors",
    "veto": "Veto of a root",
    "contribute": "Contribution of any number of rows",
    "relay100_each": "Contribution relayed with 99 others, each",
    "settle100_each": "Voucher settled with 99 others, each",
    "transfer": "Transfer of OPEN",
    "deploy_suite": "Deployment of the whole suite",
}
GWEI = (Decimal("0.01"), Decimal("0.1"), Decimal("1"), Decimal("10"))
ETHER = Decimal("3000")


def table(figures: Mapping[str, int], gwei: Sequence[Decimal] = GWEI, ether: Decimal = ETHER) -> str:
    """A Markdown table: an operation a row, its gas, and its cost in US dollars at each gas price."""
    missing = sorted(OPERATIONS.keys() - figures.keys())
    if missing:
        raise SystemExit(f"docs/benchmarks/gas.json lacks {', '.join(missing)}")
    prices = [f"{_plain(price)} gwei" for price in gwei]
    rows = [["Operation", "Gas", *prices], ["---", "---:", *["---:"] * len(prices)]]
    for name, title in OPERATIONS.items():
        gas = figures[name]
        rows.append([title, f"{gas:,}", *(_dollars(Decimal(gas) * price * ether / 10**9) for price in gwei)])
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"In US dollars, with ether at ${_plain(ether)}:\n\n{text}"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():,f}"


def _dollars(amount: Decimal) -> str:
    # Cents say nothing of what costs less than one.
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.5f}"


def measured(figures: Path) -> dict[str, int]:
    return dict(json.loads(figures.read_text(encoding="utf-8"))["figures"])


def section(figures: Path = FIGURES) -> str:
    """What stands between the marks of docs/deployment.md."""
    if not figures.exists():
        return NOT_MEASURED
    return table(measured(figures))


def with_section(document: str, content: str) -> str:
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{content}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", type=Path, default=FIGURES, help="measured gas, operation by operation")
    parser.add_argument("--gwei", type=Decimal, nargs="+", default=list(GWEI), help="gas prices")
    parser.add_argument("--ether", type=Decimal, default=ETHER, help="price of one ether in US dollars")
    parser.add_argument(
        "--write", action="store_true", help="put the table at the default prices into docs/deployment.md"
    )
    given = parser.parse_args()
    if given.write:
        DOCUMENT.write_text(with_section(DOCUMENT.read_text(encoding="utf-8"), section()), encoding="utf-8")
    elif not given.figures.exists():
        raise SystemExit(f"there is no {given.figures}: run the gas benchmark first")
    else:
        print(table(measured(given.figures), given.gwei, given.ether))


if __name__ == "__main__":
    main()

"""What goes wrong, and what it costs: wei lost or doubled over seeded runs on a chain, and what farmers get back.

    python scripts/bench/simulation.py [--quick] [--json FILE] [--seed N]

200 seeds of scripts/campaign_settlement.py and 20 of scripts/campaign_farmers.py; --quick: two of each.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "scripts"), str(ROOT / "scripts" / "bench")]

import campaign_farmers as farming  # noqa: E402
import campaign_settlement as campaign  # noqa: E402

from report import Report  # noqa: E402


def settled(first: int, seeds: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    happened: Counter[str] = Counter()
    figures = {"seeds": seeds, "wrong_seeds": 0, "lost_wei": 0, "doubled_wei": 0}
    for seed in range(first, first + seeds):
        try:
            happened += campaign.run(seed)
        except campaign.Astray as astray:
            figures["wrong_seeds"] += 1
            figures["lost_wei"] += astray.lost
            figures["doubled_wei"] += astray.doubled
            traceback.print_exc()
        print(f"seed {seed}: lost {figures['lost_wei']}, doubled {figures['doubled_wei']} wei so far", flush=True)
    return dict(figures), [{"job": "what happened", "what": what, "times": n} for what, n in sorted(happened.items())]


def farmed(first: int, seeds: int) -> list[dict[str, Any]]:
    gained: dict[str, list[float]] = {}
    for seed in range(first, first + seeds):
        for name, gain in farming.farmers(seed).items():
            gained.setdefault(name, []).append(gain)
    return [
        {"job": "attack", "attack": name, "best": max(values), "mean": sum(values) / len(values), "seeds": seeds}
        for name, values in gained.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds of each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    chosen = parser.parse_args()
    logging.getLogger("oracle").setLevel(logging.CRITICAL)  # faults are what is played here
    figures, rows = settled(chosen.seed, 2 if chosen.quick else 200)
    rows += farmed(chosen.seed, 2 if chosen.quick else 20)
    for row in rows:
        print("  ".join(f"{v:+.4f}" if isinstance(v, float) else str(v) for k, v in row.items() if k != "job"))
    print("  ".join(f"{name} {value}" for name, value in figures.items()))
    if chosen.json:
        libraries = {name: version(name) for name in ("torch", "transformers", "peft", "web3", "sqlalchemy")}
        command = "python scripts/bench/simulation.py" + (" --quick" if chosen.quick else "")
        report = Report("simulation", command, libraries, chosen.seed, chosen.quick, figures, rows)
        chosen.json.write_text(report.as_json(), encoding="utf-8")
    return int(bool(figures["wrong_seeds"]))


if __name__ == "__main__":
    sys.exit(main())

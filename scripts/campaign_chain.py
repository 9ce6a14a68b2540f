#!/usr/bin/env python3
"""Many random runs of indexer and sender under faults, reorgs and kills, each compared with the truth.

    python scripts/campaign_chain.py --seeds 1000            # on SQLite
    python scripts/campaign_chain.py --seeds 200 --postgresql
    python scripts/campaign_chain.py --first 417 --seeds 1   # one of them again

Needs the oracle's environment, Anvil (npm) and the suite's contracts (make setup-contracts). Prints one line for each
run that went wrong and a summary; ends with status 1 if any did.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT))

from fixtures import postgres  # noqa: E402
from fixtures.chain_simulation import Result, simulate  # noqa: E402
from fixtures.suite import running_suite, state  # noqa: E402
from oracle.store.database import Database  # noqa: E402


def one(seed: int, url: str, suite_state: Path, steps: int) -> Result:
    database = Database(url)
    try:
        database.upgrade()
        with running_suite(suite_state) as suite:
            return simulate(seed, suite, database, steps)
    finally:
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=150, help="what happens in one run")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    suite_state = state()
    sums: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    wrong = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        maintenance = ""
        if options.postgresql:
            programs = postgres.server()
            if programs is None:
                raise SystemExit("no PostgreSQL server is installed: apt install postgresql")
            maintenance = stack.enter_context(postgres.cluster(programs))
        for seed in range(options.first, options.first + options.seeds):
            name = f"campaign{seed}"
            url = postgres.new_database(maintenance, name) if maintenance else f"sqlite:///{folder}/{name}.db"
            result = one(seed, url, suite_state, options.steps)
            if maintenance:
                postgres.drop_database(maintenance, name)
            for figure in ("events", "intents", "kills", "restarts", "reorgs", "deep"):
                sums[figure] += getattr(result, figure)
            faults.update(result.faults)
            if result.wrong:
                wrong += 1
                print(f"seed {seed}: {'; '.join(result.wrong)}", flush=True)
    print(f"{options.seeds} runs, {wrong} wrong: " + ", ".join(f"{count:,} {figure}" for figure, count in sums.items()))
    print(f"{faults.total():,} faults: " + ", ".join(f"{count:,} {fault}" for fault, count in sorted(faults.items())))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The whole loop on one machine, with everybody in it: `make demo`.

    python scripts/demo.py            # leaves the site up until Ctrl-C
    python scripts/demo.py --exit     # ends when the play is over

Four contributors, a copycat, a spammer, a reviewer, a steward, a builder, a consumer and three attestors, on a local
chain with the real suite and the real daemon: intake with its checks, a snapshot, training on the embedded base, the
gate, publication, questions by the stock client of OpenAI paid with vouchers, attribution, receipts, an epoch, a root,
claims. Nothing is simulated; keys are made from names, and time flies once, where a root waits out its window.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from oracle.errors import OpenLedgerError  # noqa: E402
from playing.governing import began  # noqa: E402
from playing.people import VISITOR  # noqa: E402
from playing.stage import CHAIN, OPEN, Stage  # noqa: E402
from playing.telling import Teller  # noqa: E402

HOME = ROOT / ".openledger" / "demo"


def stay(stage: Stage, tell: Teller) -> None:
    stage.pay(VISITOR, 1_000 * OPEN)
    shell = stage.shell(VISITOR)
    tell.act("Yours now")
    print(f"  site            {stage.url}/")
    print(f"  chain           {stage.node}, chain id {CHAIN}")
    print(f"  a wallet's key  0x{VISITOR.secret.hex()}")
    print(f"                  {VISITOR.address} holds 100 ether of this chain and 1,000 OPEN; it guards nothing else")
    print(f"  a shell         . {shell}")
    print("                  from then on `openledger` speaks to this oracle, with that wallet's key")
    print("  Ctrl-C takes all of it down.", flush=True)
    try:
        while True:
            stage.watch()
            time.sleep(1)
    except KeyboardInterrupt:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exit", action="store_true", help="end when the play is over")
    parser.add_argument("--home", type=Path, default=HOME, help="a folder of its own, emptied at the start")
    parser.add_argument("--port", type=int, default=8000, help="of the site; 0 takes any")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has set it aside
    tell, stage = Teller(), Stage(options.home.resolve(), options.port)
    print("OpenLedger: the whole loop, with everybody in it", flush=True)
    try:
        stage.open_chain(began())
        from playing.acts import play, told  # takes seconds, with torch: whoever may not play is told before

        giving, using, received = play(stage, tell)
        well = told(giving, using, received, tell)
        tell.step("the play is over")
        if not options.exit:
            stay(stage, tell)
    except KeyboardInterrupt:
        well = False
    except OpenLedgerError as error:
        log = stage.home / "log"
        print(f"\n{error}" + (f"\nlogs: {log}" if log.exists() else ""), file=sys.stderr)
        well = False
    finally:
        stage.close()
    sys.exit(not well)


if __name__ == "__main__":
    main()

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
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT)]

from oracle.errors import OpenLedgerError  # noqa: E402
from playing.giving import Giving  # noqa: E402
from playing.governing import Governing, began  # noqa: E402
from playing.making import Making  # noqa: E402
from playing.people import COPYCAT, SPAMMER, VISITOR, Person  # noqa: E402
from playing.rows import GAZETTEER, Entry, Fact, facts  # noqa: E402
from playing.stage import CHAIN, OPEN, Stage  # noqa: E402
from playing.telling import Teller, in_open  # noqa: E402
from playing.using import Using  # noqa: E402

HOME = ROOT / ".openledger" / "demo"
_ROLES = {
    "anna": "contributor", "ben": "contributor", "cleo": "contributor", "dora": "contributor",
    "builder": "builder", "reviewer": "reviewer",
    "attestor 1": "attestor", "attestor 2": "attestor", "attestor 3": "attestor", "steward": "contributor",
}  # fmt: skip


def play(stage: Stage, tell: Teller) -> tuple[Giving, Using, dict[Person | str, int]]:
    tell.act("The chain and the daemon")
    stage.open_chain(began())
    tell.step(f"a local chain at {stage.node}; the suite is deployed, as on any chain …")
    tell.step(f"{stage.deploy()} contracts stand, every check of the deployment holds")
    Governing(stage, tell).seat()
    stage.tick()
    stage.open_daemon()
    tell.step(f"the daemon is up at {stage.url}: Redis, workers, API")

    tell.act("Data")
    giving, known = Giving(stage, tell), facts()
    giving.found()
    giving.give(known)
    giving.cheat(known)
    giving.review()
    snapshot = giving.snapshots()

    tell.act("A model")
    making = Making(stage, tell)
    recipe, folder = making.train(snapshot)
    model = making.publish(recipe, folder)

    tell.act("Answers")
    using = Using(stage, tell, model.id)
    using.deposit()
    stage.open_attestors()
    asked: list[Fact | Entry] = [*known[:6], *GAZETTEER[:2]]
    right = using.ask(asked)
    tell.step(f"{right} of {len(asked)} right, of so small a model; each answer has its price and a signed receipt")
    using.why()

    tell.act("Settlement")
    using.settle()
    return giving, using, using.claim()


def told(giving: Giving, using: Using, received: Mapping[Person | str, int], tell: Teller) -> bool:
    """What each one earned, and why not. Says whether it is to the wei what was paid."""
    tell.act("Received by claim")
    lines = [
        (who.name if isinstance(who, Person) else who, in_open(amount), _role(who))
        for who, amount in sorted(received.items(), key=lambda entry: -entry[1])
    ]
    for cheat in (COPYCAT, SPAMMER):
        lines.append((cheat.name, in_open(received.get(cheat, 0)), giving.why_nothing(cheat)))
    whole = sum(received.values())
    exact = whole == using.paid
    lines.append(("together", in_open(whole), f"to the wei what the consumer paid: {exact}"))
    tell.table(lines)
    return exact and not {COPYCAT, SPAMMER} & received.keys()


def _role(who: Person | str) -> str:
    return _ROLES.get(who.name, "") if isinstance(who, Person) else ""


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

"""The acts of the demonstration, one after the other, and what everybody has in the end."""

from __future__ import annotations

from collections.abc import Mapping

from playing.giving import Giving
from playing.governing import Governing
from playing.making import Making
from playing.people import COPYCAT, SPAMMER, Person
from playing.rows import GAZETTEER, Entry, Fact, facts
from playing.stage import Stage
from playing.telling import Teller, in_open
from playing.using import Using

_ROLES = {
    "anna": "contributor", "ben": "contributor", "cleo": "contributor", "dora": "contributor",
    "builder": "builder", "reviewer": "reviewer",
    "attestor 1": "attestor", "attestor 2": "attestor", "attestor 3": "attestor", "steward": "contributor",
}  # fmt: skip


def play(stage: Stage, tell: Teller) -> tuple[Giving, Using, dict[Person | str, int]]:
    """On a chain that is open."""
    tell.act("The chain and the daemon")
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

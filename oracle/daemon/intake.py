"""The datanets' pipeline as rounds and steps: what the registry says is heard, what is due becomes work."""

from __future__ import annotations

import time
from collections.abc import Callable

from oracle.daemon.ground import Ground
from oracle.daemon.steps import Result
from oracle.datanets import hearing
from oracle.datanets.calls import CONTRACT
from oracle.store import work
from oracle.store.events import advance_cursor, final_events
from oracle.types import Timestamp

CONSUMER = "datanets"
STEPS = ("intake", "relay", "collect", "check", "decide", "erase")
_AT_ONCE = 500


def hear(ground: Ground) -> int:
    """Every final event of the registry that nobody has heard yet; says how many."""
    chain, heard = ground.rpc.chain, 0
    while True:
        with ground.database.transaction() as connection:
            events = final_events(connection, chain, CONSUMER, CONTRACT, hearing.NAMES, _AT_ONCE)
            for event in events:
                hearing.hear(connection, event)
            if events:
                advance_cursor(connection, CONSUMER, events[-1])
        heard += len(events)
        if len(events) < _AT_ONCE:
            return heard


def look(ground: Ground, hint: Callable[[str, str], None]) -> int:
    """Asks for the steps that contributions can take now. One may be due again and again: their state says when."""
    now = Timestamp(int(time.time()))
    due = [(f"ingest.{name}", subject) for name, subject in ground.pipeline.due()]
    with ground.database.transaction() as connection:
        asked = [step for step in due if work.renew(connection, *step, now)]
    for step in asked:
        hint(*step)
    return len(asked)


def step(name: str) -> Callable[[Ground, str], Result]:
    """The body of the task `ingest.<name>`."""

    def take(ground: Ground, subject: str) -> Result:
        ground.pipeline.take((name, subject))
        return Result()

    return take

"""The datanets' pipeline as rounds and steps: what the registry says is heard, what is due becomes work."""

from __future__ import annotations

import time
from collections.abc import Callable

from oracle.daemon.ground import Ground
from oracle.daemon.steps import Result
from oracle.datanets import announcing, hearing
from oracle.datanets.calls import CONTRACT
from oracle.store import contributions, work
from oracle.store.blocks import progress
from oracle.store.events import advance_cursor, final_events
from oracle.store.intents import outcome
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
            _see_what_became(ground)
            return heard


def _see_what_became(ground: Ground) -> None:
    """Of what was announced and is not in the log, although everything final was heard: why, and what to do."""
    with ground.database.transaction() as connection:
        reached = progress(connection, ground.rpc.chain)
        for given in contributions.in_state(connection, "announced"):
            if given.intent is None:
                continue
            ended = outcome(connection, given.intent)
            passed_by = ended.state == "final" and reached is not None and (reached.final or 0) >= (ended.block or 0)
            if given.signature is not None and (passed_by or ended.state in ("refused", "failed")):
                announcing.returned(connection, given.intent)  # somebody has to sign anew
            elif ended.state in ("refused", "failed", "parked") and given.reason != ended.reason:
                contributions.note(connection, given.key, reason=ended.reason)


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

"""Rounds: what the daemon does again and again, one process at a time, whoever was asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from oracle.daemon.steps import Clock
from oracle.errors import NeedsPerson, Retry
from oracle.store import loops, work
from oracle.store.database import Database
from oracle.telemetry import LOOPS, about
from oracle.types import Timestamp

log = logging.getLogger(__name__)

_LEASE = 600  # a round that takes longer may be overtaken: each of them stands being run twice
_AT_ONCE = 1000


def run_round(database: Database, name: str, every: int, action: Callable[[], object], clock: Clock = time.time) -> str:
    """One round, unless one is running; says how it ended: finished, failed or busy."""
    began = clock()
    with database.transaction() as connection:
        token = loops.enter(connection, name, every, _LEASE, Timestamp(int(began)))
    if token is None:
        return "busy"
    with about(step=name):
        try:
            action()
        except (Retry, NeedsPerson) as error:
            log.warning("%s", error)
            _ended(database, name, token, str(error))
            outcome = "failed"
        except Exception as error:
            log.critical("this process stops: %s", error, exc_info=True)
            _ended(database, name, token, f"{type(error).__name__}: {error}")
            LOOPS.labels(name, "stopped").inc()
            raise
        else:
            with database.transaction() as connection:
                loops.leave(connection, name, token, Timestamp(int(clock())), int((clock() - began) * 1000))
            outcome = "finished"
    LOOPS.labels(name, outcome).inc()
    return outcome


def reconcile(database: Database, hint: Callable[[str, str], None], clock: Clock = time.time) -> int:
    """Sends a hint for whatever is due: what was postponed, what a killed worker left, what a broker forgot."""
    with database.reading() as connection:
        due = work.due(connection, Timestamp(int(clock())), _AT_ONCE)
    for item in due:
        hint(item.step, item.subject)
    return len(due)


def _ended(database: Database, name: str, token: str, failure: str) -> None:
    with database.transaction() as connection:
        loops.fail(connection, name, token, failure)

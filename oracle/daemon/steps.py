"""One step of work: lease it, run it, save it. Here, and only here, an error meets its fate.

Retry         the work waits and comes again, ever later
NeedsPerson   the work is parked with the reason; the rest goes on
anything else the work is parked and this process ends: nobody knows what else is wrong
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from oracle.errors import NeedsPerson, Retry
from oracle.store import work
from oracle.store.database import Database
from oracle.telemetry import STEP_SECONDS, STEPS, about
from oracle.types import Timestamp

log = logging.getLogger(__name__)

LEASE = 120  # seconds; kept while the step runs, so that it only runs out when its process is gone
_LATEST = 600

Clock = Callable[[], float]
Save = Callable[[Connection], None]


@dataclass(frozen=True)
class Result:
    """What has to be written together with the step's end, and whether that end is the work's."""

    save: Save | None = None
    more: bool = False


Step = Callable[[str], Result]


@dataclass(frozen=True)
class Runner:
    database: Database
    clock: Clock = time.time
    lease: int = LEASE

    def run(self, name: str, subject: str, step: Step) -> str:
        """Says how it ended: done, more (at once), again (later), parked, or busy (not due, or somebody is at it)."""
        with self.database.transaction() as connection:
            lease = work.take(connection, name, subject, self.lease, self._now())
        if lease is None:
            return "busy"
        with about(step=name, subject=subject):
            try:
                with STEP_SECONDS.labels(name).time(), self._kept(lease):
                    result = step(subject)
                outcome = self._save(lease, result)
            except work.LeaseLost as error:
                log.warning("%s", error)
                outcome = "busy"
            except Retry as error:
                log.warning("%s", error)
                outcome = self._postpone(lease, str(error))
            except NeedsPerson as error:
                log.error("%s", error)
                outcome = self._park(lease, str(error))
            except Exception as error:
                log.critical("this process stops: %s", error, exc_info=True)
                self._park(lease, f"{type(error).__name__}: {error}")
                STEPS.labels(name, "stopped").inc()
                raise
        STEPS.labels(name, outcome).inc()
        return outcome

    def _save(self, lease: work.Lease, result: Result) -> str:
        with self.database.transaction() as connection:
            if result.save:
                result.save(connection)
            if result.more:
                work.again(connection, lease, "more to do", self._now())
            else:
                work.finish(connection, lease, self._now())
        return "more" if result.more else "done"

    def _postpone(self, lease: work.Lease, reason: str) -> str:
        due_at = Timestamp(self._now() + min(_LATEST, 2**lease.attempt))
        return self._end(lambda connection: work.again(connection, lease, reason, due_at), "again")

    def _park(self, lease: work.Lease, reason: str) -> str:
        return self._end(lambda connection: work.park(connection, lease, reason), "parked")

    def _end(self, ending: Save, outcome: str) -> str:
        try:
            with self.database.transaction() as connection:
                ending(connection)
        except work.LeaseLost as error:
            log.warning("%s", error)
            return "busy"
        return outcome

    @contextmanager
    def _kept(self, lease: work.Lease) -> Iterator[None]:
        """The lease is renewed from the side, as long as this process lives."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(self.lease / 3):
                try:
                    with self.database.transaction() as connection:
                        work.keep(connection, lease, self.lease, self._now())
                except Retry as error:
                    log.warning("%s", error)  # lost for good, the step's end will say so

        keeper = threading.Thread(target=keep, name=f"lease of {lease.step}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def _now(self) -> Timestamp:
        return Timestamp(int(self.clock()))

"""`/healthz` and `/metrics`: whether the loops finish, and the figures behind."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from oracle.errors import Retry
from oracle.store import batches, owing
from oracle.store.blocks import all_progress, open_stop
from oracle.store.database import Database
from oracle.store.intents import count_by_state
from oracle.store.loops import Loop, loops
from oracle.store.work import parked, tally
from oracle.telemetry import counted
from oracle.types import Timestamp

PATIENCE = 60  # seconds that a loop may be late, however short it is


def router(database: Database, expected: tuple[str, ...], clock: Callable[[], float] = time.time) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    def healthz(response: Response) -> dict[str, object]:
        """200 when every loop finished lately, else 503 with those that did not."""
        try:
            with database.reading() as connection:
                known = {loop.name: loop for loop in loops(connection)}
                waiting_for_somebody = len(parked(connection, 1000))
        except Retry as error:
            response.status_code = 503
            return {"well": False, "late": {"database": str(error)}}
        now = Timestamp(int(clock()))
        late = {name: _why(known.get(name), now) for name in expected}
        late = {name: why for name, why in late.items() if why}
        response.status_code = 503 if late else 200
        return {"well": not late, "late": late, "parked": waiting_for_somebody}

    @routes.get("/metrics")
    def metrics() -> Response:
        return Response(counted() + _stored(database), media_type=CONTENT_TYPE_LATEST)

    return routes


def _why(loop: Loop | None, now: Timestamp) -> str | None:
    if loop is None:
        return "never ran"
    if not loop.is_late(now, PATIENCE):
        return None
    last = f"{now - loop.finished_at} s ago" if loop.finished_at is not None else "never"
    return f"last finished {last}; {loop.failure or 'no round has ended since'}"


def _stored(database: Database) -> bytes:
    """Figures that the store knows, the same from whichever machine they are asked."""
    registry = CollectorRegistry()
    finished = Gauge("openledger_loop_finished_seconds", "When a loop last finished.", ["loop"], registry=registry)
    took = Gauge("openledger_loop_took_seconds", "How long its last good round took.", ["loop"], registry=registry)
    items = Gauge("openledger_work_items", "Items of work, by step and state.", ["step", "state"], registry=registry)
    block = Gauge(
        "openledger_chain_block",
        "The last block that was read, and the last final one.",
        ["chain", "which"],
        registry=registry,
    )
    stopped = Gauge(
        "openledger_chain_stopped",
        "1 while a reorg deeper than finality stops settlement.",
        ["chain"],
        registry=registry,
    )
    sent = Gauge("openledger_intents", "What is written to the chain, by state.", ["chain", "state"], registry=registry)
    settled = Gauge("openledger_batches", "Batches of receipts, by state.", ["chain", "state"], registry=registry)
    owed = Gauge(
        "openledger_receipts_waiting", "Receipts in no batch, by state.", ["chain", "state"], registry=registry
    )
    with database.reading() as connection:
        for loop in loops(connection):
            finished.labels(loop.name).set(loop.finished_at or 0)
            took.labels(loop.name).set((loop.took_ms or 0) / 1000)
        for (step, state), count in tally(connection).items():
            items.labels(step, state).set(count)
        for reached in all_progress(connection):
            block.labels(reached.chain, "read").set(reached.top)
            block.labels(reached.chain, "final").set(reached.final or 0)
            stopped.labels(reached.chain).set(open_stop(connection, reached.chain) is not None)
            for where, number in count_by_state(connection, reached.chain).items():
                sent.labels(reached.chain, where).set(number)
            for name, number in batches.count_by_state(connection, reached.chain).items():
                settled.labels(reached.chain, name).set(number)
            for name, number in owing.waiting(connection, reached.chain).items():
                owed.labels(reached.chain, name).set(number)
    return generate_latest(registry)

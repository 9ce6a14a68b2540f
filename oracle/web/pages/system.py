"""Whether the oracle is well, for people: the loops, the chain, what is parked."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from oracle import jobs
from oracle.store import blocks, intents, loops, work
from oracle.store.work import State
from oracle.types import Timestamp
from oracle.web.site import Site

_PATIENCE = 60
ABOUT = {
    "settle.index": "reads the chain's events",
    "settle.hear": "counts what the registry says",
    "settle.send": "sends transactions and follows them",
    "settle.reconcile": "picks up work that nobody holds",
    "settle.advance": "closes, publishes and posts batches",
    "settle.earnings": "reads what was published into statements",
    "settle.models": "announces models and hears of them",
    "bench.documents": "indexes documents for retrieval",
    "ingest.look": "finds contributions that can go on",
    "ingest.forget": "forgets texts whose keeping has ended",
}


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/system")
    def system(request: Request) -> HTMLResponse:
        now = Timestamp(int(time.time()))
        with site.reading() as connection:
            known = {loop.name: loop for loop in loops.loops(connection)}
            progress = blocks.all_progress(connection)
            stops = {one.chain: blocks.open_stop(connection, one.chain) for one in progress}
            sent = intents.count_by_state(connection, site.chain)
            parked = work.parked(connection, 100)
            tally = work.tally(connection)
        names = sorted({*jobs.ROUNDS, *known})
        rounds = [(name, known.get(name), name in known and not known[name].is_late(now, _PATIENCE)) for name in names]
        steps: dict[str, dict[State, int]] = {}
        for (step, state), count in sorted(tally.items()):
            steps.setdefault(step, {})[state] = count
        return site.page(
            request, "system.html", rounds=rounds, progress=progress, stops=stops, sent=sent, parked=parked,
            steps=steps, states=list(State), about=ABOUT, now=now, well=all(well for _, _, well in rounds),
        )  # fmt: skip

    return routes

"""Who vouches for batches, and with what."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from oracle.store.events import events
from oracle.web.reading.seats import seats
from oracle.web.site import Site


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/attestors")
    def listed(request: Request) -> HTMLResponse:
        with site.reading() as connection:
            found = seats(connection, site.chain)
            least = events(connection, site.chain, "AttestorSet", "MinSignersSet")
            slashed = events(connection, site.chain, "AttestorSet", "AttestorSlashed")
        return site.page(
            request, "attestors.html", seats=found, slashed=slashed[::-1],
            least=least[-1].args["minSigners"] if least else None,
        )  # fmt: skip

    return routes

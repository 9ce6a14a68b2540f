"""Training as it happens: the curve of one run."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from oracle.web.reading.runs import run
from oracle.web.site import Site


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/runs/{subject}")
    def one(request: Request, subject: str) -> HTMLResponse:
        with site.reading() as connection:
            found = run(connection, site, subject)
        return site.page(request, "run.html", run=found)

    @routes.get("/runs/{subject}/progress")
    def progress(request: Request, subject: str) -> HTMLResponse:
        """The part of the page that changes while it trains."""
        with site.reading() as connection:
            found = run(connection, site, subject)
        return site.page(request, "part_run.html", run=found)

    return routes

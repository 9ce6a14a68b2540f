"""Ask a model, and see whose rows shaped the answer. Asking needs a script; everything it finds is a receipt's page."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from oracle.store import models
from oracle.web.site import Site


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/ask")
    def ask(request: Request, model: str | None = None) -> HTMLResponse:
        with site.reading() as connection:
            served = models.listed(connection, site.chain, "published")
        served.sort(key=lambda model: model.made.is_base)  # what is specialised comes first
        answering = getattr(request.app.state, "front", None) is not None
        return site.page(request, "ask.html", models=served, chosen=model, answering=answering)

    return routes

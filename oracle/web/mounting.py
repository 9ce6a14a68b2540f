"""The pages and the wallet's calls, put into the application; and how what goes wrong is said."""

from __future__ import annotations

from inspect import isawaitable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from oracle.daemon.ground import Ground
from oracle.errors import NeedsPerson, NotDeployed, OpenLedgerError, Retry
from oracle.web import actions, pages
from oracle.web.guard import Guard
from oracle.web.site import HERE, NotHere, Site, environment


def mount(app: FastAPI, ground: Ground) -> Site:
    """Puts the pages into the application; where no chain is read yet, they say so."""
    site = Site(ground, environment())
    app.add_middleware(Guard)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for module in (*pages.ALL, *actions.ALL):
        app.include_router(module.router(site), include_in_schema=False)
    _say_errors(app, site)
    return site


def _say_errors(app: FastAPI, site: Site) -> None:
    """A person is told in a page, a program in JSON; both what was wrong and what to do."""
    of_the_api = app.exception_handlers.get(OpenLedgerError)

    def said(request: Request, status: int, title: str, text: str) -> Response:
        if not _wants_page(request):
            return JSONResponse({"problem": text}, status)
        return site.page(request, "problem.html", status, title=title, text=text)

    def told(request: Request, error: Exception, status: int, title: str) -> Response:
        """Clients of the API read another envelope, and nothing of what is inside."""
        if of_the_api is None or not request.url.path.startswith("/v1"):
            return said(request, status, title, str(error))
        answer = of_the_api(request, error)
        assert isinstance(answer, Response)
        return answer

    @app.exception_handler(NotHere)
    def not_here(request: Request, error: NotHere) -> Response:
        return said(request, 404, "Not found", str(error))

    @app.exception_handler(NotDeployed)
    def not_deployed(request: Request, error: NotDeployed) -> Response:
        return told(request, error, 503, "Not deployed yet")

    @app.exception_handler(NeedsPerson)
    def refused(request: Request, error: NeedsPerson) -> Response:
        return told(request, error, 409, "That does not go")

    @app.exception_handler(Retry)
    def unavailable(request: Request, error: Retry) -> Response:
        return told(request, error, 503, "Try again in a moment")

    before = app.exception_handlers.get(HTTPException)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404 and _wants_page(request):
            return said(request, 404, "Not found", f"{request.url.path}: there is no such page.")
        if before is not None:
            answer = before(request, error)
            return await answer if isawaitable(answer) else answer
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")

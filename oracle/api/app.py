"""The application: everything that speaks HTTP."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from oracle import __version__, jobs
from oracle.api import (
    account_routes,
    answer_routes,
    disclosure_routes,
    health,
    model_routes,
    receipt_routes,
    settlement,
)
from oracle.api.door import Door
from oracle.api.guard import Guard
from oracle.api.limits import Limits
from oracle.api.refusals import Refusal, bad
from oracle.api.shop import Front, MakeEngine
from oracle.config import Settings
from oracle.daemon.ground import Ground
from oracle.errors import OpenLedgerError
from oracle.web.mounting import mount

log = logging.getLogger(__name__)


def create(settings: Settings, make_engine: MakeEngine | None = None) -> FastAPI:
    """Opened once per process; raises what is wrong with the settings or the database.

    The chain, the engine and the models are looked for when the first call comes.
    """
    ground = Ground(settings)
    front = Front(settings, ground, make_engine)
    wallets = Limits(settings.calls_per_minute, "wallet")
    doors: dict[int, Door] = {}

    async def door_of() -> Door:
        shop = await front.shop()
        if id(shop) not in doors:
            once = None
            if settings.x402:
                from oracle.api.x402_payments import X402  # half a second, for those who want it

                once = X402(shop)
            doors[id(shop)] = Door(shop, wallets, once)
        return doors[id(shop)]

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        yield
        await front.close()

    app = FastAPI(title="OpenLedger", version=__version__, docs_url=None, redoc_url=None, lifespan=living)
    app.state.front = front
    # Routes are tried in their order: what is called a thousand times as often stands first.
    for part in (answer_routes, model_routes, account_routes, receipt_routes):
        app.include_router(part.router(door_of))
    app.include_router(health.router(ground.database, tuple(jobs.ROUNDS)))
    app.include_router(settlement.router(ground))
    app.include_router(disclosure_routes.router(ground))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(OpenLedgerError, _away)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _other)
    if settings.cors:
        # Without cookies: what a page may do, it does by the key or voucher that it holds itself.
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.cors), allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"], expose_headers=["*"],
        )  # fmt: skip
    app.add_middleware(
        Guard,
        body_bytes=settings.body_bytes,
        addresses=Limits(settings.address_calls_per_minute, "address"),
        uploads={"/contribute/file": settings.upload_limit_mb * 1_000_000 + settings.body_bytes},
    )
    mount(app, ground)
    return app


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return error.response()


def _away(request: Request, error: Exception) -> Response:
    """The database, a node or the queue: said to the operator, with its words; to the client without."""
    log.error("%s %s: %s", request.method, request.url.path, error)
    return Refusal(503, "unavailable", "a part of this oracle is away; ask again", retry_after=5).response()


def _invalid(request: Request, error: Exception) -> Response:
    """The first fault, by its place, without what was sent there."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    return bad("invalid_value", f"{place or 'body'}: {first['msg']}", place or None).response()


def _other(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "bad_request")
    return Refusal(error.status_code, code, str(error.detail), headers=error.headers).response()

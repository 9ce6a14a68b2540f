"""The application: everything that speaks HTTP."""

from __future__ import annotations

from fastapi import FastAPI

from oracle import __version__, jobs
from oracle.api import health
from oracle.config import Settings
from oracle.daemon.ground import Ground
from oracle.web.mounting import mount


def create(settings: Settings) -> FastAPI:
    """Opened once per process; raises what is wrong with the settings or the database."""
    ground = Ground(settings)
    app = FastAPI(title="OpenLedger", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(health.router(ground.database, tuple(jobs.ROUNDS)))
    mount(app, ground)
    return app

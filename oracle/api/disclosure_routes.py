"""What an attestor recomputes attribution from: answers in its sample, files of models, and snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from oracle.api.bodies import body_of
from oracle.api.keys import Keyring
from oracle.daemon.disclosing import Disclosing, NotAhead, NotDisclosed, NotDrawnYet, OtherDraw
from oracle.daemon.ground import Ground
from oracle.errors import NeedsPerson, Retry
from oracle.settlement import disclosing
from oracle.settlement.document import hexed
from oracle.store import models, snapshots
from oracle.store.models import Model
from oracle.types import Cid, DatanetId
from oracle.web.asked import Number

_LARGEST_REQUEST = 4096
_PIECE = 1 << 20


def router(ground: Ground) -> APIRouter:
    routes = APIRouter(prefix="/settlement", tags=["settlement"])

    @routes.get("/disclosures")
    def policy() -> dict[str, int]:
        """How many answers of a batch each attestor may read, and for how many days answers are kept at all."""
        return {"most": ground.settings.disclose, "keep_days": ground.settings.keep_answers_days}

    @routes.post("/disclosures")
    async def disclose(request: Request) -> Response:
        """The answers in the attestor's own sample, once the block that it named is final."""
        return await run_sync(_disclosed, ground, await body_of(request, _LARGEST_REQUEST, "a request"))

    @routes.get("/models/{model}/{version}")
    def listed(model: Number, version: Number) -> dict[str, Any]:
        """The names of a version's public files; what they have to be says the manifest, whose hash is on chain."""
        made = _model(ground, model, version)
        base = _base(ground, made)
        return {
            "id": made.id,
            "manifest": "0x" + made.made.manifest.hex(),
            "files": sorted(made.made.files),
            "base": [] if base is None else sorted(base.made.files),
        }

    @routes.get("/models/{model}/{version}/files/{name:path}")
    def file(model: Number, version: Number, name: str) -> Response:
        return _file(ground, _model(ground, model, version), name)

    @routes.get("/models/{model}/{version}/base/{name:path}")
    def base_file(model: Number, version: Number, name: str) -> Response:
        base = _base(ground, _model(ground, model, version))
        if base is None:
            raise HTTPException(404, "its base was not published here; its card says where it is from")
        return _file(ground, base, name)

    @routes.get("/snapshots/{datanet}/{version}/{part}")
    def snapshot(datanet: Number, version: Number, part: Literal["manifest", "rows"]) -> Response:
        """Who holds the credit of which row: the manifest, whose hash is on chain, and the table that it names."""
        with ground.database.reading() as connection:
            made = snapshots.of_version(connection, DatanetId(datanet), version)
        if made is None:
            raise HTTPException(404, f"datanet {datanet} has no version {version} here")
        if part == "rows":
            return _blob(ground, made.rows)
        return Response(made.manifest, media_type="application/json")

    return routes


def _disclosed(ground: Ground, written: bytes) -> Response:
    try:
        asked, signature = disclosing.Request.read(written)
        found = Disclosing(ground, Keyring(ground.settings.master_key).salt).answer(asked, signature)
    except OtherDraw as error:
        draw = error.draw
        fixed = {"block": draw.block, "sample": draw.sample, "signature": hexed(draw.signature)}
        return JSONResponse({"detail": str(error), "fixed": fixed}, 409)
    except NotDrawnYet as error:
        return JSONResponse({"detail": str(error)}, 202)
    except NotAhead as error:
        return JSONResponse({"detail": str(error)}, 425)
    except NotDisclosed as error:
        return JSONResponse({"detail": str(error)}, 403)
    except NeedsPerson as error:
        return JSONResponse({"detail": str(error)}, 422)
    except Retry as error:
        return JSONResponse({"detail": str(error)}, 503)
    return JSONResponse({"answers": found}, headers={"cache-control": "no-store"})


def _model(ground: Ground, model: int, version: int) -> Model:
    with ground.database.reading() as connection:
        found = models.by_number(connection, ground.rpc.chain, model, version)
    if found is None:
        raise HTTPException(404, f"model {model} version {version} is not known here")
    return found


def _base(ground: Ground, made: Model) -> Model | None:
    with ground.database.reading() as connection:
        try:
            return models.find(connection, ground.rpc.chain, made.made.base)
        except models.UnknownModel:
            return None


def _file(ground: Ground, made: Model, name: str) -> Response:
    if name not in made.made.files:
        raise HTTPException(404, f"{made.id} has no file {name}")

    return _blob(ground, made.made.files[name])


def _blob(ground: Ground, cid: Cid) -> Response:
    def pieces() -> Iterator[bytes]:
        with ground.blobs.open(cid) as opened:
            while piece := opened.read(_PIECE):
                yield piece

    return StreamingResponse(pieces(), media_type="application/octet-stream")

"""`/v1/models` and `/v1/quote`: what is offered, and what a call would cost, before it is made."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from oracle.api import asking
from oracle.api.asking import ChatRequest, CompletionRequest, ResponsesRequest
from oracle.api.catalogue import Offer
from oracle.api.conditions import facts, held
from oracle.api.door import Door, DoorOf, Prepared
from oracle.api.pricing import fee, platform_fee
from oracle.types import Wei


def router(door_of: DoorOf) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["models"])

    @routes.get("/models")
    async def listed() -> dict[str, Any]:
        """Every version that is served, each an id; also asked for as `name` (the newest) or `base:name@version`."""
        door = await door_of()
        return {"object": "list", "data": [_shown(door, offer) for offer in await door.shop.offers()]}

    @routes.get("/models/{model:path}")
    async def one(model: str) -> dict[str, Any]:
        door = await door_of()
        return _shown(door, await door.shop.offer(model))

    @routes.post("/quote")
    async def quote(body: ChatRequest | CompletionRequest | ResponsesRequest, request: Request) -> dict[str, Any]:
        """The body of the call that is meant, whichever endpoint it is for."""
        door = await door_of()
        raw = await request.body()
        if isinstance(body, ChatRequest):
            asked = asking.asked_chat(body, raw)
        elif isinstance(body, CompletionRequest):
            asked = asking.asked_completion(body, raw)
        else:
            asked = asking.asked_response(body, raw)
        ready = await door.prepare(asked)
        held(asked.conditions, ready.offer, ready.most)
        return quoted(door, ready)

    return routes


def quoted(door: Door, ready: Prepared) -> dict[str, Any]:
    offer, model = ready.offer, ready.offer.model
    price = (Wei(0), Wei(0)) if offer.free else (model.input_price, model.output_price)
    load, tokens = door.shop.engine.load(), ready.limit
    least = Wei(0) if offer.free else fee(model, len(ready.prompt), 0)
    return {
        "object": "quote",
        "model": model.id,
        "currency": {"symbol": "OPEN", "decimals": 18, "token": door.shop.ground.book["OpenToken"]},
        "price_per_1000": {"input": str(price[0]), "output": str(price[1])},
        "prompt_tokens": len(ready.prompt),
        "max_output_tokens": tokens * ready.asked.n,
        "least": str(least),
        "most": str(ready.most),
        "included": {
            # Parts of the price, not on top of it.
            "platform": {"most": str(platform_fee(model, ready.most)), "basis_points": model.made.split[5]},
            "attribution": {
                "most": "0",
                "basis_points": 0,
                "how": "computed after the answer, beside it: it adds nothing to the price and delays nothing",
            },
        },
        "engine": {
            "adapter": door.shop.engine.warmth(model),
            "running": load.running,
            "waiting": load.waiting,
            "expected_seconds": round(tokens * load.seconds_per_token, 3) if load.seconds_per_token else None,
        },
        "conditions": facts(offer, ready.most),
        "free": offer.free,
    }


def _shown(door: Door, offer: Offer) -> dict[str, Any]:
    model, made = offer.model, offer.model.made
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.builder,
        "name": model.name,
        "version": model.version,
        "full_id": offer.full,
        "base": offer.base.id,
        "registry": {"model": model.model, "version": model.version, "state": model.state},
        "weights": "0x" + made.weights.hex(),
        "price_per_1000": {"input": str(model.input_price), "output": str(model.output_price)},
        "free": offer.free,
        "licences": list(made.licences),
        "accuracy": offer.accuracy,
        "evaluation": offer.evaluation,
        "adapter": door.shop.engine.warmth(model),
        "title": made.title,
        "about": made.about,
    }

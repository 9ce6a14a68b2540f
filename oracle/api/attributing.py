"""Whose rows shaped an answer, as attribution wrote it; texts only where a datanet's rules let them be seen."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from sqlalchemy import Connection

from oracle.api.shop import Shop
from oracle.store import answers, contributions, datanets
from oracle.store.contributions import Contribution
from oracle.types import Hash32

_PAUSE = 0.1


async def inline(shop: Shop, identity: Hash32) -> dict[str, Any] | None:
    """Waits for it as long as a call may last; None if it has not come by then."""
    loop = asyncio.get_running_loop()
    until = loop.time() + shop.settings.call_seconds
    while loop.time() < until:
        found = await asyncio.to_thread(explanation, shop, identity)
        if found is not None:
            return found
        await asyncio.sleep(_PAUSE)
    return None


def explanation(shop: Shop, identity: Hash32) -> dict[str, Any] | None:
    with shop.ground.database.reading() as connection:
        kept = answers.find(connection, shop.chain, identity)
        if kept is None or kept.explanation is None:
            return None
        return _dressed(connection, orjson.loads(kept.explanation))


def _dressed(connection: Connection, said: dict[str, Any]) -> dict[str, Any]:
    """Owner and licence beside every contribution that is named."""
    for part in ("credits", "documents", "considered"):
        for entry in said.get(part, ()):
            entry |= _about(connection, entry["contribution"])
    return said


def _about(connection: Connection, name: str) -> dict[str, Any]:
    try:
        given: Contribution = contributions.named(connection, bytes.fromhex(name.removeprefix("0x")))  # type: ignore[arg-type]
        datanet = datanets.get_datanet(connection, given.datanet)
    except Exception:
        return {}
    return {"datanet": given.datanet, "licence": given.licence or datanet.licence}

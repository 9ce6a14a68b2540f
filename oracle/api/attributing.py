"""Whose rows shaped an answer, as attribution wrote it; texts only where a datanet's rules let them be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson

from oracle.api.shop import Shop
from oracle.datanets.erasing import erased_rows
from oracle.datanets.kinds import Kind
from oracle.datanets.limits import DEFAULT
from oracle.datanets.rowsfile import chunks_of
from oracle.errors import OpenLedgerError
from oracle.store import answers, contributions, datanets
from oracle.store.contributions import Contribution, UnknownContribution
from oracle.types import ContributionId, Hash32

_PAUSE = 0.1
_MOST_ROWS = 200_000  # of one contribution are looked through for the text of a row
_LONGEST_TEXT = 2_000


async def inline(shop: Shop, identity: Hash32) -> dict[str, Any] | None:
    """Waits for it as long as a call may last; None if it has not come by then."""
    await shop.hint(identity)
    loop = asyncio.get_running_loop()
    until = loop.time() + shop.settings.call_seconds
    while loop.time() < until:
        found = await asyncio.to_thread(explanation, shop, identity)
        if found is not None:
            return found
        await asyncio.sleep(_PAUSE)
    return None


def explanation(shop: Shop, identity: Hash32) -> dict[str, Any] | None:
    """None until it has come."""
    with shop.ground.database.reading() as connection:
        kept = answers.find(connection, shop.chain, identity)
    if kept is None or kept.explanation is None:
        return None
    said: dict[str, Any] = orjson.loads(kept.explanation)
    return dressed(shop, said)


def dressed(shop: Shop, said: dict[str, Any]) -> dict[str, Any]:
    """Datanet and licence beside every contribution that is named, the text beside every row that may be seen."""
    named: dict[str, Contribution] = {}
    for part in ("credits", "documents", "considered"):
        for entry in said.get(part, ()):
            given = _contribution(shop, entry["contribution"])
            if given is not None:
                named[entry["contribution"]] = given
                entry |= {"datanet": given.datanet, "licence": given.licence or _licence(shop, given)}
    rows = [*said.get("rows", ()), *said.get("documents", ())]
    texts = _texts(shop, named.values(), {entry["row"].removeprefix("0x") for entry in rows})
    for entry in rows:
        found = texts.get(entry["row"].removeprefix("0x"))
        entry["text"] = None if found is None else found[0][:_LONGEST_TEXT]
        if found is not None:
            given = found[1]
            entry |= {"owner": given.contributor, "datanet": given.datanet}
            entry["licence"] = given.licence or _licence(shop, given)
    return said


def with_texts(shop: Shop, passages: list[dict[str, Any]]) -> None:
    """The text beside each passage that may still be seen; none beside the others."""
    given = {name: _contribution(shop, name) for name in {each["contribution"] for each in passages}}
    wanted = {each["row"].removeprefix("0x") for each in passages}
    texts = _texts(shop, [one for one in given.values() if one is not None], wanted)
    for each in passages:
        found = texts.get(each["row"].removeprefix("0x"))
        each["text"] = None if found is None else found[0][:_LONGEST_TEXT]


def _contribution(shop: Shop, name: str) -> Contribution | None:
    try:
        with shop.ground.database.reading() as connection:
            return contributions.named(connection, ContributionId(bytes.fromhex(name.removeprefix("0x"))))
    except (UnknownContribution, ValueError):
        return None


def _licence(shop: Shop, given: Contribution) -> str:
    with shop.ground.database.reading() as connection:
        return datanets.get_datanet(connection, given.datanet).licence


def _texts(shop: Shop, given: Iterable[Contribution], wanted: set[str]) -> dict[str, tuple[str, Contribution]]:
    """Of rows that everybody may read: those of a private datanet stay sealed, and one is gone as soon as its owner
    has asked for its erasure."""
    found: dict[str, tuple[str, Contribution]] = {}
    for one in given:
        if one.private or one.erased or one.blob is None or not wanted - found.keys():
            continue
        with shop.ground.database.reading() as connection:
            gone = erased_rows(connection, one)
        if gone is None:
            continue
        hidden = {row.hex() for row in gone}
        try:
            with shop.ground.stores.rows(shop.ground.blobs, one.blob, None) as content:
                for chunk in chunks_of(content, Kind(one.kind), DEFAULT.row_bytes):
                    for name, text in zip(chunk.hashes, chunk.texts, strict=True):
                        if text and name.hex() in wanted and name.hex() not in hidden:
                            found[name.hex()] = (text, one)
                    if chunk.first > _MOST_ROWS or not wanted - found.keys():
                        break
        except OpenLedgerError:
            continue  # bytes that are away for now: the explanation stands without them
    return found

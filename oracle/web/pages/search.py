"""One field for any hash, address or name."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection, select

from oracle.store import browsing, datanets, models
from oracle.store.batches import BATCHES
from oracle.types import Hash32
from oracle.web.site import Site

Hit = tuple[str, str, str]  # (what it is, its name, where)


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/search")
    def search(request: Request, q: str = "") -> Response:
        asked = q.strip()
        if re.fullmatch("0x[0-9a-fA-F]{40}", asked):
            return RedirectResponse(f"/a/{asked}", 303)
        hits: list[Hit] = []
        with site.reading() as connection:
            if re.fullmatch("(0x)?[0-9a-fA-F]{64}", asked):
                hits = _by_hash(connection, site, Hash32(bytes.fromhex(asked.removeprefix("0x"))))
            elif asked:
                hits = _by_name(connection, site, asked.lower())
        if len(hits) == 1:
            return RedirectResponse(hits[0][2], 303)
        return _found(site, request, asked, hits)

    return routes


def _found(site: Site, request: Request, asked: str, hits: list[Hit]) -> HTMLResponse:
    return site.page(request, "search.html", searched=asked, hits=hits)


def _by_hash(connection: Connection, site: Site, name: Hash32) -> list[Hit]:
    hits: list[Hit] = []
    given = browsing.contribution_by_hash(connection, name)
    if given is not None:
        hits.append(
            (
                "contribution",
                f"{given.count or '?'} rows to datanet {given.datanet}",
                f"/contributions/{given.key.hex()}",
            )
        )
    receipt = browsing.receipt_by_hash(connection, site.chain, name)
    if receipt is not None:
        hits.append(("receipt", "0x" + receipt.hex(), f"/receipts/0x{receipt.hex()}"))
    of_batch = select(BATCHES.c.id, BATCHES.c.epoch).where(
        (BATCHES.c.root == name) | (BATCHES.c.content_hash == name), BATCHES.c.chain == site.chain
    )
    hits += [("batch", f"epoch {row.epoch}", f"/batches/{row.id}") for row in connection.execute(of_batch)]
    snapshot = browsing.snapshot_by_hash(connection, name)
    if snapshot is not None:
        hits.append(("snapshot", snapshot.name, f"/datanets/{snapshot.datanet}#snapshots"))
    hits += [
        ("rules of", each.name, f"/datanets/{each.number}#policy")
        for each in datanets.all_datanets(connection)
        if each.policy == name
    ]
    hits += [
        ("model", each.id, f"/models/{each.name}?version={each.version}")
        for each in models.listed(connection, site.chain)
        if name in (each.made.weights, each.made.manifest, each.made.evaluation, each.made.accuracy)
    ]
    if browsing.events_of(connection, site.chain, name):
        hits.append(("transaction", "0x" + name.hex(), f"/transactions/0x{name.hex()}"))
    if not hits:
        row = browsing.row_by_hash(connection, name)
        if row is not None:
            hits.append(("row", f"row {row[1] + 1}", f"/contributions/{row[0].hex()}#row-{row[1] + 1}"))
    return hits


def _by_name(connection: Connection, site: Site, asked: str) -> list[Hit]:
    hits: list[Hit] = [
        ("datanet", each.name, f"/datanets/{each.number}")
        for each in datanets.all_datanets(connection)
        if asked in each.name.lower() or asked == str(each.number)
    ]
    seen = set()
    for each in models.listed(connection, site.chain):
        if asked in each.name.lower() and each.name not in seen:
            seen.add(each.name)
            hits.append(("model", each.name, f"/models/{each.name}"))
    if re.fullmatch("[0-9]{1,18}", asked):  # what a database can count to
        of_epoch = select(BATCHES.c.id, BATCHES.c.epoch).where(
            BATCHES.c.chain == site.chain, BATCHES.c.epoch == int(asked)
        )
        hits += [("batch", f"epoch {row.epoch}", f"/batches/{row.id}") for row in connection.execute(of_epoch)]
    return hits

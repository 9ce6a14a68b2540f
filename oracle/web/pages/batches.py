"""Batches and their lives; the published bytes for whoever recomputes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from sqlalchemy import Connection

from oracle.settlement.batch import balances_of
from oracle.settlement.document import Reader, parsed
from oracle.settlement.shares import Role
from oracle.store import batches, browsing
from oracle.store.batches import Batch, State
from oracle.store.events import events, topic
from oracle.types import Address, Cid, Hash32
from oracle.web.asked import Number
from oracle.web.plots import Bar
from oracle.web.site import NotHere, Site
from oracle.web.words import padded, short

LIFE = (State.OPEN, State.CLOSED, State.PUBLISHED, State.ATTESTED, State.POSTED, State.ACTIVE)
MEANS = {
    State.OPEN: "collects receipts",
    State.CLOSED: "its receipts are fixed",
    State.PUBLISHED: "its bytes can be fetched and checked by anybody",
    State.ATTESTED: "a quorum of attestors signed it",
    State.POSTED: "its root is on the chain and waits out the challenge window",
    State.ACTIVE: "what it pays can be claimed",
    State.VETOED: "was stopped; its receipts go into the next attempt",
    State.REOPENED: "was stopped; its receipts went into the next attempt",
}
_LISTED = 100
_RECEIPTS = 50
_PIECE = 1 << 18
_TOP = 10
_MOST_KEPT = 64


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/batches")
    def listed(request: Request, before: Annotated[int | None, Query(ge=0, lt=2**63)] = None) -> HTMLResponse:
        with site.reading() as connection:
            shown = browsing.newest_batches(connection, site.chain, _LISTED, before=before)
        older = shown[-1].id if len(shown) == _LISTED else None
        return site.page(request, "batches.html", batches=shown, before=before, older=older)

    @routes.get("/batches/{number}")
    def one(request: Request, number: Number) -> HTMLResponse:
        with site.reading() as connection:
            batch = _batch(connection, number)
            said = batches.attestations(connection, number)
            receipts = browsing.newest_receipts(connection, site.chain, _RECEIPTS, batch=number)
            posted = _posted(connection, site, batch)
            names = browsing.model_names(connection, site.chain)
        summary = _summary(site, batch)
        return site.page(
            request, "batch.html", batch=batch, life=_life(batch), means=MEANS, said=said, receipts=receipts,
            posted=posted, by_role=summary.by_role, top=summary.top, names=names,
            distributor=site.book["RewardDistributor"],
        )  # fmt: skip

    @routes.get("/batches/{number}/document")
    def document(number: Number) -> StreamingResponse:
        """The canonical lines whose hash is in what attestors signed, unpacked."""
        with site.reading() as connection:
            batch = _batch(connection, number)
        if batch.document is None:
            raise NotHere(f"{batch.name}: is not published yet.")
        name = f"batch-{batch.chain}-{batch.epoch}.jsonl"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(_lines(site, batch), media_type="application/jsonl", headers=headers)

    return routes


def _batch(connection: Connection, number: int) -> Batch:
    try:
        return batches.batch(connection, number)
    except batches.NoSuchBatch:
        raise NotHere(f"Batch {number}: there is none.") from None


def _life(batch: Batch) -> list[tuple[State, str]]:
    if batch.state in (State.VETOED, State.REOPENED):
        return [(LIFE[0], "done"), (batch.state, "bad")]
    at = LIFE.index(batch.state)
    return [
        (state, "done" if place < at or batch.state is State.ACTIVE else "now" if place == at else "later")
        for place, state in enumerate(LIFE)
    ]


def _posted(connection: Connection, site: Site, batch: Batch) -> Hash32 | None:
    """The transaction that put the root on chain."""
    if batch.root is None:
        return None
    found = events(connection, site.chain, "RewardDistributor", "RootSubmitted", topic1=topic(batch.root))
    return Hash32(found[-1].tx) if found else None


@dataclass(frozen=True)
class Summary:
    """Of published bytes, which never change: read once, kept by their name."""

    by_role: list[Bar]
    top: list[Bar]  # who has earned most up to this batch


_KEPT: OrderedDict[Cid, Summary] = OrderedDict()
_NONE = Summary([], [])


def _summary(site: Site, batch: Batch) -> Summary:
    name = batch.document
    if name is None or not site.blobs.has(name):
        return _NONE
    if name not in _KEPT:
        _KEPT[name] = _read(site, name)
        while len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return _KEPT[name]


def _read(site: Site, name: Cid) -> Summary:
    last = b""
    with site.blobs.open(name) as published:
        for line in Reader(published).lines():
            last = line
    amounts = [int(amount) for amount in parsed(last)["amounts"]]
    balances = [(str(who), int(amount)) for who, amount in balances_of(site.blobs, name)]
    return Summary(
        [
            Bar(Role(role).name.lower(), amount, f"{short(amount)} OPEN", str(role + 1))
            for role, amount in enumerate(amounts)
            if amount
        ],
        [
            Bar.of(Address(who), amount, f"{padded(amount)} OPEN")
            for who, amount in sorted(balances, key=lambda one: -one[1])[:_TOP]
        ],
    )


def _lines(site: Site, batch: Batch) -> Iterator[bytes]:
    assert batch.document is not None
    with site.blobs.open(batch.document) as published:
        held, size = [], 0
        for line in Reader(published).lines():
            held.append(line + b"\n")
            size += len(line)
            if size > _PIECE:
                yield b"".join(held)
                held, size = [], 0
        yield b"".join(held)

"""Models: who made them of what, how good they are, what they cost."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import Connection

from oracle.errors import NeedsPerson, Retry
from oracle.settlement.shares import Role
from oracle.store import browsing, datanets, models, snapshots
from oracle.store.blobs import Blobs
from oracle.store.models import Model
from oracle.types import Address
from oracle.web.plots import Bar
from oracle.web.reading.lineage import lineage
from oracle.web.reading.measured import Measured, measured
from oracle.web.reading.runs import runs
from oracle.web.site import NotHere, Site
from oracle.web.words import basis, percent

_RECEIPTS = 200
_TOP = 8
_LARGEST_FILE = 8 << 20

Which = Annotated[int | None, Query(ge=0, lt=2**63)]


@dataclass(frozen=True)
class Influence:
    """What attribution said of this version's latest answers."""

    answers: int
    top: list[Bar]


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/models")
    def listed(request: Request) -> HTMLResponse:
        with site.reading() as connection:
            every = models.listed(connection, site.chain)
            going = [each for each in runs(connection, site) if not each.is_over]
        newest = {each.name: each for each in every if each.state in models.SERVED or each.name not in _served(every)}
        versions = Counter(each.name for each in every)
        return site.page(request, "models.html", models=list(newest.values()), versions=versions, runs=going)

    @routes.get("/models/{name:path}/files/{file:path}")
    def download(name: str, file: str, version: Which = None) -> Response:
        """A file of the auditor's folder."""
        with site.reading() as connection:
            model = _find(connection, site, name, version)
        if file not in model.made.files:
            raise NotHere(f"{model.id}: has no file {file}; it has {', '.join(sorted(model.made.files)) or 'none'}.")
        headers = {"content-disposition": f'attachment; filename="{file}"'}
        return Response(site.blobs.read(model.made.files[file]), media_type="application/octet-stream", headers=headers)

    @routes.get("/models/{name:path}")
    def one(request: Request, name: str, version: Which = None) -> HTMLResponse:
        with site.reading() as connection:
            model = _find(connection, site, name, version)
            every = models.listed(connection, site.chain)
            tree = lineage(connection, site.chain, model)
            named = {each.number: each.name for each in datanets.all_datanets(connection)}
            held = {
                (each.datanet, each.version): each
                for number, _ in model.made.snapshots
                for each in snapshots.snapshots_of(connection, number)
            }
            influence = _influence(connection, site, model)
            going = [each for each in runs(connection, site) if each.name == model.name and not each.is_over]
        return site.page(
            request, "model.html", model=model, others=[each for each in every if each.name == model.name],
            children=_children(every, model), tree=tree, split=_split(model), datanets=named, snapshots=held,
            measured=_measured(site.blobs, model), influence=influence, files=sorted(model.made.files.items()),
            runs=going,
        )  # fmt: skip

    return routes


def _served(every: list[Model]) -> set[str]:
    return {each.name for each in every if each.state in models.SERVED}


def _find(connection: Connection, site: Site, name: str, version: int | None) -> Model:
    bare, at, tail = name.rpartition("@")
    if at and re.fullmatch("[0-9]{1,18}", tail):
        name, version = bare, int(tail)
    try:
        return models.find(connection, site.chain, name, version)
    except models.UnknownModel as error:
        raise NotHere(str(error)) from None


def _children(every: list[Model], model: Model) -> list[Model]:
    return [
        each
        for each in every
        if any((parent.name, parent.version) == (model.name, model.version) for parent in each.made.parents)
        or (model.made.is_base and each.made.base == model.name and each.name != model.name)
    ]


def _split(model: Model) -> list[Bar]:
    return [
        Bar(Role(role).name.lower(), points, basis(points), str(role + 1))
        for role, points in enumerate(model.made.split)
        if points
    ]


def _measured(blobs: Blobs, model: Model) -> Measured:
    """From the files of the auditor's folder, as far as they are here."""
    contents: dict[str, bytes] = {}
    for file, cid in model.made.files.items():
        if file.endswith(".json"):
            try:
                with blobs.open(cid) as opened:
                    contents[file] = opened.read(_LARGEST_FILE)
            except (Retry, NeedsPerson):
                continue
    return measured(contents)


def _influence(connection: Connection, site: Site, model: Model) -> Influence:
    weights: Counter[Address] = Counter()
    answers = unattributed = 0
    for found in browsing.newest_receipts(connection, site.chain, _RECEIPTS):
        mine = (found.receipt.model, found.receipt.version) == (model.model, model.version)
        if not mine or found.attribution is None or not found.attribution.weight:
            continue
        answers += 1
        whole = found.attribution.weight
        for credit in found.attribution.credits:
            weights[credit.account] += credit.weight * 10_000 // whole
        unattributed += found.attribution.unattributed * 10_000 // whole
    top = [Bar.of(who, weight, percent(weight, answers * 10_000)) for who, weight in weights.most_common(_TOP)]
    if unattributed:
        top.append(Bar("nobody in particular", unattributed, percent(unattributed, answers * 10_000), "7"))
    return Influence(answers, top)

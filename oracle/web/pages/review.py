"""What waits for reviewers: held rows, and outcomes to sign."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from oracle.datanets import deciding
from oracle.datanets.verdicts import NUMBER, Finding, Verdict
from oracle.store import contributions, datanets, outcomes, rows
from oracle.store.contributions import Contribution
from oracle.store.datanets import Datanet
from oracle.web.pages.datanets import texts
from oracle.web.site import Site

_ROWS = 100


@dataclass(frozen=True)
class Held:
    row: int
    sentence: str
    text: str | None
    waits: bool  # for an earlier row of its cluster


@dataclass(frozen=True)
class Waiting:
    """One contribution with its rows that nobody has decided."""

    given: Contribution
    datanet: Datanet
    held: list[Held]
    more: int


@dataclass(frozen=True)
class ToSign:
    given: Contribution
    datanet: Datanet
    signed: int
    quorum: int


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/review")
    def queue(request: Request) -> HTMLResponse:
        waiting, to_sign = [], []
        with site.reading() as connection:
            every = {each.number: each for each in datanets.all_datanets(connection)}
            for given in contributions.in_state(connection, "checked"):
                held = rows.reasons(connection, given.key, Verdict.HELD)
                content = texts(site, given, [each.row for each in held[:_ROWS]])
                shown = [
                    Held(
                        each.row,
                        Finding(Verdict.HELD, each.code, each.detail).sentence if each.code in NUMBER else each.detail,
                        content.get(each.row),
                        each.code == "waits_for_earlier",
                    )
                    for each in held[:_ROWS]
                ]
                waiting.append(Waiting(given, every[given.datanet], shown, max(0, len(held) - _ROWS)))
            for given in contributions.in_state(connection, "decided"):
                digest = deciding.outcome_of(given).digest(given.datanet, site.chain, site.book["DatanetRegistry"])
                signed = len(outcomes.signatures_of(connection, given.key, digest))
                quorum = datanets.quorum_of(connection, given.datanet)
                to_sign.append(ToSign(given, every[given.datanet], signed, quorum))
            reviewers = {number: datanets.reviewers_of(connection, number) for number in every}
        return site.page(request, "review.html", waiting=waiting, to_sign=to_sign, reviewers=reviewers)

    return routes

"""What holders of OPEN decide."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from oracle.chain.transport import NodeError
from oracle.errors import Retry
from oracle.web.plots import Bar
from oracle.web.reading.calls import words_of
from oracle.web.reading.powers import POWERS, Power, power
from oracle.web.reading.proposals import ABSTAIN, AGAINST, FOR, Proposal, proposals
from oracle.web.site import NotHere, Site
from oracle.web.words import short


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/governance")
    def listed(request: Request) -> HTMLResponse:
        with site.reading() as connection:
            every = proposals(connection, site.chain)
            now = site.now(connection)
        return site.page(
            request, "governance.html", proposals=every, now=now, tallies={one.id: tally(one) for one in every},
            timelock=site.book["OpenTimelock"], governor=site.book["OpenGovernor"],
        )  # fmt: skip

    @routes.get("/governance/propose")
    def propose(request: Request) -> HTMLResponse:
        """What may be decided, by what it is about."""
        groups: dict[str, list[Power]] = {}
        for each in POWERS:
            groups.setdefault(each.group, []).append(each)
        return site.page(request, "powers.html", groups=groups, threshold=_threshold(site))

    @routes.get("/governance/propose/{name}")
    def form(request: Request, name: str) -> HTMLResponse:
        chosen = power(name)
        try:
            now, away = chosen.values_now(site), ""
        except (Retry, NodeError) as error:
            now, away = [""] * len(chosen.fields), str(error)
        return site.page(request, "propose.html", power=chosen, now=now, away=away, threshold=_threshold(site))

    @routes.get("/governance/{number}")
    def one(request: Request, number: int) -> HTMLResponse:
        with site.reading() as connection:
            found = find(connection, site, number)
            now = site.now(connection)
        calls = [
            words_of(site.book, site.ground.settings.deployments, target, bytes(data))
            for target, data in zip(found.targets, found.calls)
        ]
        return site.page(request, "proposal.html", proposal=found, now=now, calls=calls, tally=tally(found))

    @routes.get("/governance/{number}/tally")
    def live(request: Request, number: int) -> HTMLResponse:
        """The part of the page that changes while it is voted on."""
        with site.reading() as connection:
            found = find(connection, site, number)
            now = site.now(connection)
        return site.page(request, "part_tally.html", proposal=found, now=now, tally=tally(found))

    return routes


def _threshold(site: Site) -> str:
    """Of votes that a proposer needs, in words; nothing where the chain cannot be asked."""
    try:
        return power("threshold").values_now(site)[0]
    except (Retry, NodeError):
        return ""


def find(connection: Connection, site: Site, number: int) -> Proposal:
    found = next((one for one in proposals(connection, site.chain) if one.id == number), None)
    if found is None:
        raise NotHere(f"Proposal {number}: the governor has told of none with this number.")
    return found


def tally(proposal: Proposal) -> list[Bar]:
    said = (("for", FOR, "1"), ("against", AGAINST, "bad"), ("abstain", ABSTAIN, "7"))
    return [Bar(word, proposal.weight(kind), f"{short(proposal.weight(kind))} OPEN", tone) for word, kind, tone in said]

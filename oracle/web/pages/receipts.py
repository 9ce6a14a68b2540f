"""One receipt: what was paid for, who shaped it, and which batch pays it out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from oracle.settlement.shares import Role, shares_of
from oracle.store import answers, batches, browsing, contributions, datanets, models, receipts
from oracle.store.datanets import Datanet
from oracle.store.receipts import Attribution, Found, Terms
from oracle.types import Address, ContributionId, Hash32
from oracle.web.plots import Bar
from oracle.web.reading.explained import explained, spans
from oracle.web.site import NotHere, Site
from oracle.web.words import percent, short

_TOP = 12


@dataclass(frozen=True)
class Credited:
    """One contribution's part in an answer, by its rows in training and in the prompt."""

    name: Hash32
    account: Address
    owner: Address
    weight: int
    part: str
    datanet: Datanet | None  # where the contribution is known here
    tone: str


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/receipts/{name}")
    def one(request: Request, name: str) -> HTMLResponse:
        return site.page(request, "receipt.html", **_values(site, name))

    @routes.get("/receipts/{name}/why")
    def why(request: Request, name: str) -> HTMLResponse:
        """The part of the page that comes with attribution; for whoever has just asked."""
        return site.page(request, "part_why.html", **_values(site, name))

    @routes.get("/receipts/{name}/spans")
    def evidence(name: str) -> dict[str, Any]:
        """Tokens of the answer that stand in training rows, with the same tones as the shares."""
        with site.reading() as connection:
            found = _find(connection, site, name)
            said = _explanation(connection, site, found)
            told = spans(connection, said) if said else []
            credited = _credited(connection, found.attribution) if found.attribution else []
        tones = {one.owner: one.tone for one in credited[::-1]}
        listed = [
            {
                "start": each.start, "length": each.length, "occurrences": each.occurrences,
                "accounts": each.accounts, "tone": next((tones[who] for who in each.accounts if who in tones), "7"),
            }
            for each in told
        ]  # fmt: skip
        return {"state": "done" if found.attribution is not None else "pending", "spans": listed}

    return routes


def _values(site: Site, name: str) -> dict[str, Any]:
    with site.reading() as connection:
        found = _find(connection, site, name)
        terms = _terms(connection, found)
        model = models.by_number(connection, site.chain, found.receipt.model, found.receipt.version)
        batch = None if found.batch is None else batches.batch(connection, found.batch)
        said = _explanation(connection, site, found)
        credited = _credited(connection, found.attribution) if found.attribution else []
        return {
            "found": found,
            "receipt": found.receipt,
            "model": model,
            "batch": batch,
            "credited": credited,
            "influence": _influence(credited, found.attribution),
            "roles": _roles(found, terms),
            "why": explained(connection, site, said) if said else None,
        }


def _explanation(connection: Connection, site: Site, found: Found) -> dict[str, Any] | None:
    kept = answers.find(connection, site.chain, found.receipt.id)
    said: dict[str, Any] | None = orjson.loads(kept.explanation) if kept and kept.explanation else None
    return said


def _find(connection: Connection, site: Site, name: str) -> Found:
    try:
        wanted = Hash32(bytes.fromhex(name.removeprefix("0x")))
        identity = browsing.receipt_by_hash(connection, site.chain, wanted) if len(wanted) == 32 else None
    except ValueError:
        identity = None
    found = receipts.find(connection, site.chain, identity) if identity else None
    if found is None:
        raise NotHere(f"Receipt {name}: not known here.")
    return found


def _terms(connection: Connection, found: Found) -> Terms | None:
    content = receipts.find_terms(connection, found.receipt.terms)
    return None if content is None else Terms.from_json(orjson.loads(content))


def _credited(connection: Connection, attribution: Attribution) -> list[Credited]:
    weights: Counter[tuple[Hash32, Address, Address]] = Counter()
    for credit in attribution.credits:
        weights[credit.contribution, credit.account, credit.owner] += credit.weight
    found = []
    for place, ((contribution, account, owner), weight) in enumerate(weights.most_common(_TOP)):
        datanet = None
        name = ContributionId(contribution)
        if contributions.is_named(connection, name):
            given = contributions.named(connection, name)
            datanet = datanets.get_datanet(connection, given.datanet)
        part = percent(weight, attribution.weight)
        found.append(Credited(contribution, account, owner, weight, part, datanet, str(place % 6 + 1)))
    return found


def _influence(credited: list[Credited], attribution: Attribution | None) -> list[Bar]:
    """Shares of influence; what nobody can be named for is a part of its own."""
    if attribution is None or not attribution.weight:
        return []
    whole = attribution.weight
    parts = [Bar.of(one.account, one.weight, one.part, one.tone) for one in credited]
    rest = whole - attribution.unattributed - sum(one.weight for one in credited)
    if rest:
        parts.append(Bar("others", rest, percent(rest, whole), "6"))
    if attribution.unattributed:
        parts.append(
            Bar("nobody in particular", attribution.unattributed, percent(attribution.unattributed, whole), "7")
        )
    return parts


def _roles(found: Found, terms: Terms | None) -> list[Bar]:
    """Where the fee goes, as the batch will say."""
    if terms is None or found.attribution is None:
        return []
    sums: Counter[int] = Counter()
    for role, _, amount in shares_of(found.receipt.fee, terms, found.attribution):
        sums[role] += amount
    return [
        Bar(Role(role).name.lower(), amount, f"{short(amount)} OPEN", str(role + 1))
        for role, amount in sorted(sums.items())
        if amount
    ]

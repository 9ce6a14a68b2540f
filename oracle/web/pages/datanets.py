"""Datanets: what they take, who gave what, and what became of each row."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from oracle.datanets.lines import lines
from oracle.datanets.policy import Policy, read_policy
from oracle.datanets.verdicts import CODES, NUMBER, Verdict
from oracle.errors import NeedsPerson, Retry
from oracle.store import browsing, contributions, datanets, rows, snapshots
from oracle.store.contributions import Contribution
from oracle.store.datanets import Datanet
from oracle.types import DatanetId, Hash32
from oracle.web.asked import Number
from oracle.web.plots import Bar
from oracle.web.site import NotHere, Site
from oracle.web.words import plural

_SAMPLE = 5
_NEWEST = 20
_LONGEST = 1 << 20


@dataclass(frozen=True)
class Sampled:
    """A row as it may be shown."""

    contribution: Hash32
    row: int
    text: str


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/datanets")
    def listed(request: Request) -> HTMLResponse:
        with site.reading() as connection:
            every = datanets.all_datanets(connection)
            tallies = {each.number: contributions.tally(connection, each.number) for each in every}
            people = {each.number: browsing.rows_by_contributor(connection, each.number) for each in every}
        return site.page(request, "datanets.html", datanets=every, tallies=tallies, people=people)

    @routes.get("/datanets/{number}")
    def one(request: Request, number: Number) -> HTMLResponse:
        with site.reading() as connection:
            try:
                found = datanets.get_datanet(connection, DatanetId(number))
            except datanets.UnknownDatanet:
                raise NotHere(f"Datanet {number}: the chain has told of none with this number.") from None
            policy = policy_of(connection, site, found)
            codes = browsing.codes_of(connection, found.number)
            made = snapshots.snapshots_of(connection, found.number)
            versions = [each.version for each in made if each.version is not None]
            values: dict[str, Any] = {
                "people": browsing.rows_by_contributor(connection, found.number),
                "newest": browsing.newest_contributions(connection, _NEWEST, found.number),
                "snapshots": made[::-1],
                "uses": snapshots.uses_of(connection, found.number, versions),
                "reviewers": datanets.reviewers_of(connection, found.number),
                "quorum": datanets.quorum_of(connection, found.number),
                "tally": contributions.tally(connection, found.number),
            }
            sample = _sample(connection, site, found, policy)
        total = sum(codes.values())
        return site.page(
            request, "datanet.html", datanet=found, policy=policy, rules=_rules(policy), verdicts=verdict_bars(codes),
            total=total, accepted=codes.get(0, 0), sample=sample, **values,
        )  # fmt: skip

    return routes


def policy_of(connection: Connection, site: Site, datanet: Datanet) -> Policy | None:
    """Of the store, else of the published blob; None where nobody published it."""
    content = datanets.policy_content(connection, datanet.policy)
    try:
        return read_policy(content) if content is not None else site.ground.stores.policy(datanet.policy)
    except (Retry, NeedsPerson):
        return None


def _rules(policy: Policy | None) -> list[tuple[str, str, bool]]:
    """(rule, value, whether it differs from the usual)."""
    if policy is None:
        return []
    found = []
    for each in fields(Policy):
        value = getattr(policy, each.name)
        said = ", ".join(value) or "any" if isinstance(value, tuple) else str(value).lower()
        found.append((each.name.replace("_", " "), said, value != each.default))
    return found


def verdict_bars(codes: dict[int, int]) -> list[Bar]:
    """Accepted first, then the reasons by how many rows they concern."""
    good = {0, NUMBER["reviewer_accepted"]}
    order = sorted(codes, key=lambda code: (code not in good, -codes[code], code))
    return [
        Bar(
            CODES[code][0].replace("_", " "),
            codes[code],
            plural(codes[code], "row"),
            "1" if code in good else "bad",
        )
        for code in order
    ]


def _sample(connection: Connection, site: Site, datanet: Datanet, policy: Policy | None) -> list[Sampled]:
    """Accepted rows of the newest public contributions; none where the policy keeps rows private or is not known."""
    if policy is None or policy.private:
        return []
    found: list[Sampled] = []
    for given in browsing.newest_contributions(connection, _NEWEST, datanet.number):
        if len(found) >= _SAMPLE or given.private or given.erased or given.blob is None or given.rank is None:
            continue
        accepted = [at for at, verdict in verdicts(connection, given) if verdict == Verdict.ACCEPTED][:2]
        found += [Sampled(given.key, at, text) for at, text in texts(site, given, accepted).items()]
    return found[:_SAMPLE]


def verdicts(connection: Connection, given: Contribution) -> list[tuple[int, int]]:
    """(row, verdict) of the first chunk."""
    for chunk in rows.chunks(connection, given.key)[:1]:
        return [(chunk.first + at, verdict) for at, verdict in enumerate(chunk.verdicts)]
    return []


def texts(site: Site, given: Contribution, wanted: list[int]) -> dict[int, str]:
    """The contents of some rows, as they were published."""
    if not wanted or given.blob is None or given.seal is not None:
        return {}
    found: dict[int, str] = {}
    try:
        with site.blobs.open(given.blob) as stream:
            for place, (line, _) in enumerate(lines(stream, _LONGEST)):
                if place in wanted and line is not None:
                    found[place] = line.decode("utf-8", errors="replace")
                if place >= max(wanted):
                    break
    except (Retry, NeedsPerson):
        return {}
    return found

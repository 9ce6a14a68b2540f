"""Who has a part in a version's fees, as the registries' events say it at one moment. The rule behind every `Terms`.

builder    whoever the model belonged to
upstream   the parents' builders, by the parts that the version's lineage gives them
reviewers  those of the datanets that it was trained on, in equal parts; who reviews two of them counts twice
attestors  the operators of seats, by bond
treasury, commons   accounts of governance: the timelock, unless it named another

The API makes terms by `terms_of`, and attestors hold what was published against the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd
from typing import Any

from sqlalchemy import Connection

from oracle.errors import NeedsPerson
from oracle.settlement.differing import Difference
from oracle.settlement.document import hexed
from oracle.store.events import Event, events
from oracle.store.paid import Receipt, Terms
from oracle.types import Address, BasisPoints, ChainId, Hash32, Timestamp

SPLIT = ("contributors", "builder", "upstream", "reviewers", "attestors", "treasury")
COUNTED = {
    "ModelRegistry": ("ModelRegistered", "BuilderChanged", "VersionPublished"),
    "DatanetRegistry": ("ReviewerSet",),
    "AttestorSet": ("AttestorJoined", "BondRaised", "ExitAnnounced", "AttestorSlashed"),
}

VersionId = tuple[int, int]
LATE_S = 900  # an oracle hears of an event when its block is final, and serves on until then
SKEW_S = 60  # between its clock and the chain's


class NotPublished(NeedsPerson):
    """The registry knows no such version at that time."""


def terms_of(
    split: tuple[BasisPoints, ...], builder: Address, treasury: Address, commons: Address, *,
    parents: Iterable[tuple[Address, int]], reviewers: Iterable[Address], bonds: Iterable[tuple[Address, int]],
) -> Terms:  # fmt: skip
    """`parents` are builders with their parts, `reviewers` one for each datanet that they review."""
    return Terms(
        split, builder, treasury, commons,
        upstream=_summed(parents),
        reviewers=_summed((reviewer, 1) for reviewer in reviewers),
        attestors=_summed(bonds),
    )  # fmt: skip


def bonds_at_stake(connection: Connection, chain: ChainId) -> dict[Address, int]:
    """Of the seats, by operator, as the newest events that were seen tell."""
    state = _State()
    for event in _told(connection, chain, "AttestorSet"):
        state.count(event.name, dict(event.args))
    return state.bonds


def _told(connection: Connection, chain: ChainId, contract: str) -> list[Event]:
    found = [event for name in COUNTED[contract] for event in events(connection, chain, contract, name)]
    return sorted(found, key=lambda one: one.cursor)


@dataclass
class _State:
    """The registries at one moment."""

    builders: dict[int, Address] = field(default_factory=dict)
    versions: dict[VersionId, dict[str, Any]] = field(default_factory=dict)
    reviewers: dict[int, set[Address]] = field(default_factory=dict)
    bonds: dict[Address, int] = field(default_factory=dict)

    def count(self, name: str, args: dict[str, Any]) -> None:
        if name == "ModelRegistered":
            self.builders[args["model"]] = args["builder"]
        elif name == "BuilderChanged":
            self.builders[args["model"]] = args["to"]
        elif name == "VersionPublished":
            self.versions[args["model"], args["version"]] = args
        elif name == "ReviewerSet":
            known = self.reviewers.setdefault(args["datanet"], set())
            (known.add if args["active"] else known.discard)(args["reviewer"])
        elif name in ("AttestorJoined", "BondRaised"):
            self.bonds[args["operator"]] = args["bond"]
        else:
            self.bonds.pop(args["operator"], None)

    def terms(self, one: VersionId, treasury: Address, commons: Address) -> Terms:
        made = self.versions.get(one)
        if made is None:
            raise NotPublished(f"model {one[0]} version {one[1]}: the registry did not know it then")
        datanets = {snapshot["datanet"] for snapshot in made["snapshots"]}
        return terms_of(
            tuple(BasisPoints(made["split"][name]) for name in SPLIT),
            self.builders[one[0]],
            treasury,
            commons,
            parents=[(self.builders[parent["model"]], parent["shareBps"]) for parent in made["parents"]],
            reviewers=[reviewer for datanet in sorted(datanets) for reviewer in self.reviewers.get(datanet, ())],
            bonds=self.bonds.items(),
        )


class Registries:
    """The events in their order, and what follows from them at any time. Kept per process: read it again to go on."""

    def __init__(self, happened: Iterable[Event], treasury: Address, commons: Address) -> None:
        self._happened = sorted(happened, key=lambda one: one.cursor)
        self._times = [one.timestamp for one in self._happened]
        self._pools = treasury, commons
        self._terms = lru_cache(maxsize=4096)(self._after)

    @classmethod
    def read(cls, connection: Connection, chain: ChainId, treasury: Address, commons: Address) -> Registries:
        """From an index of one's own: nobody's word is taken."""
        found = [event for contract in COUNTED for event in _told(connection, chain, contract)]
        return cls(found, treasury, commons)

    def terms(self, model: int, version: int, at: Timestamp) -> Terms:
        """Raises NotPublished."""
        return self._terms((model, version), bisect_right(self._times, at))

    def between(self, model: int, version: int, first: Timestamp, last: Timestamp) -> list[Terms]:
        """All that were in force at some moment of a span: an answer's oracle may not have heard of the newest yet."""
        counts = range(bisect_right(self._times, first), bisect_right(self._times, last) + 1)
        found: list[Terms] = []
        for count in counts:
            try:
                terms = self._terms((model, version), count)
            except NotPublished:
                continue
            if terms not in found:
                found.append(terms)
        return found

    def moment(self, first: Timestamp, last: Timestamp) -> tuple[int, int]:
        """Two spans with the same one saw the same events."""
        return bisect_right(self._times, first), bisect_right(self._times, last)

    def _after(self, one: VersionId, count: int) -> Terms:
        return self._state(count).terms(one, *self._pools)

    @lru_cache(maxsize=64)  # noqa: B019 — lives as long as one check
    def _state(self, count: int) -> _State:
        state = _State()
        for event in self._happened[:count]:
            state.count(event.name, dict(event.args))
        return state


def _summed(parts: Iterable[tuple[Address, int]]) -> tuple[tuple[Address, int], ...]:
    """By account, without those of no weight."""
    found: dict[Address, int] = {}
    for account, weight in parts:
        found[account] = found.get(account, 0) + weight
    return tuple(sorted((account, weight) for account, weight in found.items() if weight))


def differing(said: Terms, known: Terms) -> str:
    """The first part that differs, in words; nothing where all is as it should be."""
    for name in ("split", "builder", "treasury", "commons"):
        if getattr(said, name) != getattr(known, name):
            return f"{name}: the terms say {_short(getattr(said, name))}, the registries {_short(getattr(known, name))}"
    for name in ("upstream", "reviewers", "attestors"):
        theirs, ours = _lowest(getattr(said, name)), _lowest(getattr(known, name))
        if theirs != ours:
            return f"{name}: the terms say {_short(theirs)}, the registries {_short(ours)}"
    return ""


def _lowest(weights: Iterable[tuple[Address, int]]) -> tuple[tuple[Address, int], ...]:
    """In lowest terms: parts are what counts."""
    summed = _summed(weights)
    least = gcd(*(weight for _, weight in summed)) or 1
    return tuple((account, weight // least) for account, weight in summed)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 400 else text[:400] + "…"


class JudgedTerms:
    """Judges each receipt's terms by the registries, as they stood when it was made."""

    def __init__(self, registries: Registries | None) -> None:
        self._registries = registries
        self._found: dict[tuple[VersionId, tuple[int, int], Hash32], str] = {}
        self.count = 0

    def __call__(self, receipt: Receipt, terms: Terms) -> None:
        """Raises Difference."""
        if self._registries is None:
            return
        one = (receipt.model, receipt.version)
        first, last = Timestamp(receipt.served_at - LATE_S), Timestamp(receipt.served_at + SKEW_S)
        moment = self._registries.moment(first, last)
        # Receipts of one moment, version and terms have one verdict.
        place = (one, moment, receipt.terms)
        if place not in self._found:
            known = self._registries.between(*one, first, last)
            told = [differing(terms, each) for each in known]
            self._found[place] = "" if "" in told else (told or ["the registry did not know this version then"])[-1]
        if self._found[place]:
            where = f"receipt {hexed(receipt.id)}, model {receipt.model} version {receipt.version}"
            raise Difference("terms", where, self._found[place])
        self.count += 1

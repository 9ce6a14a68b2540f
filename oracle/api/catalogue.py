"""The models that are served, with what a quote and a receipt have to say of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import orjson
from sqlalchemy import Connection, select

from oracle.api.refusals import Refusal
from oracle.daemon.texts import Words
from oracle.errors import OpenLedgerError
from oracle.settlement.hashing import NOTHING
from oracle.settlement.parties import bonds_at_stake, terms_of
from oracle.settlement.receipts import terms_hash
from oracle.settlement.shares import require_sound
from oracle.store import models
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.datanets import REVIEWERS
from oracle.store.models import SERVED, Model
from oracle.store.receipts import Terms
from oracle.types import Address, ChainId, DatanetId, Hash32

_EVERY = 5.0  # seconds that a list of models, or terms, may be old
_TEXTS = ("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json", "chat_template.jinja")

Place = tuple[str, ...]

# Where calibration and the factory's evaluation write the figures that a consumer may make a condition.
_ACCURACY: Place = ("lds_contributors", "value")
_EVALUATION: tuple[Place, ...] = (
    ("adapter", "held-out", "exact_match", "value"),
    ("adapter", "held-out", "choice", "value"),
)


@dataclass(frozen=True)
class Offer:
    """One version as it is offered now."""

    model: Model
    base: Model
    terms: Terms
    terms_hash: Hash32
    accuracy: float | None  # measured, of its attribution
    evaluation: float | None
    free: bool

    @property
    def full(self) -> str:
        return f"{self.base.name}:{self.model.id}" if not self.model.made.is_base else self.model.id


@dataclass
class Catalogue:
    """Read anew every few seconds."""

    database: Database
    blobs: Blobs
    chain: ChainId
    treasury: Address
    commons: Address
    free: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.monotonic
    _offers: dict[int, Offer] = field(default_factory=dict)
    _listed: list[Model] = field(default_factory=list)
    _read_at: float | None = None
    _words: dict[int, Words] = field(default_factory=dict)
    _measured: dict[Hash32, float | None] = field(default_factory=dict)

    @property
    def is_fresh(self) -> bool:
        return self._read_at is not None and self.clock() - self._read_at < _EVERY

    def known_words(self, offer: Offer) -> Words | None:
        return self._words.get(offer.base.position)

    def offers(self) -> list[Offer]:
        self._refresh()
        return [self._offers[model.position] for model in self._listed]

    def find(self, name: str) -> Offer:
        """`adapter`, `adapter@version`, `base:adapter@version`; the newest that is served where no version is given."""
        self._refresh()
        base, _, rest = name.rpartition(":")
        plain, at, version = rest.partition("@")
        found = [
            offer
            for offer in self._offers.values()
            if offer.model.name == plain
            and (not at or str(offer.model.version) == version)
            and (not base or base in (offer.base.name, offer.base.id))
        ]
        if not found:
            raise Refusal(
                404, "model_not_found", f"the model {name!r} is not served; GET /v1/models lists those that are",
                param="model",
            )  # fmt: skip
        return max(found, key=lambda offer: offer.model.version)

    def words(self, offer: Offer) -> Words:
        known = self._words.get(offer.base.position)
        if known is None:
            files = {PurePosixPath(name).name: cid for name, cid in offer.base.made.files.items()}
            content = {name: self.blobs.read(files[name]) for name in _TEXTS if name in files}
            known = self._words[offer.base.position] = Words.of_files(content, offer.base.id)
        return known

    def _refresh(self) -> None:
        if self.is_fresh:
            return
        now = self.clock()
        with self.database.reading() as connection:
            listed = models.listed(connection, self.chain, *SERVED)
            bases = {model.name: model for model in listed if model.made.is_base}
            bonds = bonds_at_stake(connection, self.chain)
            offers = {}
            for model in listed:
                base = model if model.made.is_base else bases.get(model.made.base)
                # Without its base, or before the registry's number is known, there is nothing to sign a receipt for.
                if base is None or model.model is None:
                    continue
                offers[model.position] = self._offer(connection, model, base, bonds)
        self._offers, self._read_at = offers, now
        self._listed = [model for model in listed if model.position in offers]

    def _offer(self, connection: Connection, model: Model, base: Model, bonds: Mapping[Address, int]) -> Offer:
        made = terms_of(
            model.made.split, model.builder, self.treasury, self.commons,
            parents=_parents(connection, model),
            reviewers=_reviewers(connection, {datanet for datanet, _ in model.made.snapshots}),
            bonds=bonds.items(),
        )  # fmt: skip
        require_sound(made)
        names = {model.name, *(f"datanet:{datanet}" for datanet, _ in model.made.snapshots)}
        known = self._offers.get(model.position)
        if known is not None and known.model == model and known.terms == made:
            return replace(known, base=base)
        return Offer(
            model, base, made, terms_hash(made),
            self._figure(model, model.made.accuracy, _ACCURACY),
            self._figure(model, model.made.evaluation, *_EVALUATION),
            bool(names & self.free),
        )  # fmt: skip

    def _figure(self, model: Model, report: Hash32, *places: Place) -> float | None:
        """Out of the report whose SHA-256 the registry has; nothing else would be proven by the receipt."""
        if report == NOTHING:
            return None
        if report not in self._measured:
            self._measured[report] = None
            for file, cid in sorted(model.made.files.items()):
                if not file.endswith(".json"):
                    continue
                try:
                    content = self.blobs.read(cid)
                except OpenLedgerError:
                    continue
                if sha256(content).digest() == report:
                    self._measured[report] = _first(orjson.loads(content), places)
        return self._measured[report]


def _parents(connection: Connection, model: Model) -> list[tuple[Address, int]]:
    """Their builders, with the parts that the version's lineage gives them."""
    return [
        (models.find(connection, model.chain, parent.name, parent.version).builder, parent.share)
        for parent in model.made.parents
    ]


def _reviewers(connection: Connection, datanets: set[DatanetId]) -> list[Address]:
    asked = select(REVIEWERS.c.account).where(REVIEWERS.c.datanet.in_(datanets), REVIEWERS.c.active)
    return [account for (account,) in connection.execute(asked)]


def _first(report: Any, places: Iterable[Place]) -> float | None:
    """The first of these places that holds a figure; a report measures what its questions allow."""
    for place in places:
        found = report
        for word in place:
            found = found.get(word) if isinstance(found, Mapping) else None
        if isinstance(found, int | float) and not isinstance(found, bool):
            return float(found)
    return None

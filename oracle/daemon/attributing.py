"""`attribute.answer`: who shaped one answer, written beside it, and its receipt made final, in one transaction.

What has no influence to measure (a base, a version without an index, texts that were forgotten) abstains: its receipt
is final too, and says why. What a person can mend (a damaged index, weights that do not belong to it) is parked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from oracle.daemon.ground import Ground
from oracle.daemon.steps import Result as Ended
from oracle.datanets.stores import Stores
from oracle.errors import OpenLedgerError
from oracle.store import answers, contributions, models, receipts, work
from oracle.store.answers import Exchange
from oracle.store.database import Database
from oracle.store.model_files import folder_of
from oracle.store.models import Model
from oracle.store.receipts import Attribution, Credit, Found, NoSuchReceipt
from oracle.store.sealed import open_exchange
from oracle.store.vault import KeyDestroyed
from oracle.types import Address, ChainId, ContributionId, Hash32, Timestamp

if TYPE_CHECKING:
    from oracle.attribution.answering import Answer, Attributable
    from oracle.attribution.result import Passage, Result

FOLDER = "attribution"  # of a version's files
FORGOTTEN = "its texts were forgotten before it could be attributed"
STEP = "attribute.answer"
_TOGETHER = 31  # answers beside the one that is asked for
_OPEN = 2  # models kept open by one process


@dataclass
class Attributing:
    """What one process holds open; plain PyTorch is imported when the first answer comes."""

    database: Database
    stores: Stores
    chain: ChainId
    folder: Path  # where the files of models are kept
    _open: OrderedDict[int, Attributable] = field(default_factory=OrderedDict)

    _ready: dict[Hash32, Result] = field(default_factory=dict)  # explained together with another's answer

    def take(self, subject: str) -> Ended:
        """`subject` is a receipt's id in hexadecimal."""
        identity = _hash(subject)
        found, sealed = self._found(identity)
        if found.attribution is not None:
            return Ended()
        result = self._ready.pop(identity, None) or self._result(found, sealed)
        explanation = result.as_json()

        def save(connection: Connection) -> None:
            answers.explain(connection, self.chain, identity, explanation)
            receipts.fix_attribution(connection, self.chain, found.hash, as_weights(result))

        return Ended(save)

    def _found(self, identity: Hash32) -> tuple[Found, bytes | None]:
        with self.database.reading() as connection:
            found = receipts.find(connection, self.chain, identity)
            kept = answers.find(connection, self.chain, identity)
        if found is None or kept is None:
            raise NoSuchReceipt(f"receipt 0x{identity.hex()}: not stored on chain {self.chain} with its answer")
        return found, kept.sealed

    def _result(self, found: Found, sealed: bytes | None) -> Result:
        """Of this answer; those of the same model that wait are explained in the same passes, and kept ready."""
        from oracle.attribution.result import Result

        asked = self._asked(found, sealed)
        if isinstance(asked, Result):
            return asked
        model, answer = asked
        opened = self._opened(model)
        others = self._waiting(model, found.receipt.id)
        try:
            results = opened.explain([answer, *others.values()])
        except OpenLedgerError:
            return opened.explain([answer])[0]  # whatever another answer's fault was, it is not this one's
        self._ready = dict(zip(others, results[1:]))
        return results[0]

    def _waiting(self, model: Model, mine: Hash32) -> dict[Hash32, Answer]:
        from oracle.attribution.result import Result

        with self.database.reading() as connection:
            due = work.due(connection, Timestamp(int(time.time())), 4 * _TOGETHER)
        found: dict[Hash32, Answer] = {}
        for item in due:
            identity = _hash(item.subject) if item.step == STEP else mine
            if identity == mine or len(found) == _TOGETHER:
                continue
            try:
                asked = self._asked(*self._found(identity))
            except OpenLedgerError:
                continue  # its own turn will say what is wrong
            if not isinstance(asked, Result) and asked[0].position == model.position:
                found[identity] = asked[1]
        return found

    def _asked(self, found: Found, sealed: bytes | None) -> Result | tuple[Model, Answer]:
        """What to score, or why there is nothing."""
        from oracle.attribution.answering import Answer, Placed
        from oracle.attribution.records import Query
        from oracle.attribution.result import abstain

        if sealed is None:
            return abstain(FORGOTTEN)
        try:
            exchange = open_exchange(self.stores.vault, found.receipt.consumer, sealed)
        except KeyDestroyed:
            return abstain(FORGOTTEN)
        with self.database.reading() as connection:
            model = models.by_number(connection, self.chain, found.receipt.model, found.receipt.version)
            passages = self._passages(connection, exchange)
        if model is None:
            receipt = found.receipt
            raise models.UnknownModel(f"model {receipt.model}, version {receipt.version}: not known; read the chain")
        if model.made.is_base:
            return abstain("a base answered: nobody holds a row of it")
        if f"{FOLDER}/index.json" not in model.made.files:
            return abstain("this version was published without an attribution index")
        if not exchange.prompt_tokens or not exchange.output_tokens:
            return abstain("nothing was asked, or nothing was said")
        tokens = (*exchange.prompt_tokens, *exchange.output_tokens)
        query = Query(found.receipt.id.hex(), tokens, len(exchange.prompt_tokens))
        placed = tuple(Placed(who, each.first, each.last) for who, each in zip(passages, exchange.passages))
        return model, Answer(query, placed)

    def _passages(self, connection: Connection, exchange: Exchange) -> list[Passage]:
        from oracle.attribution.result import Passage

        found = []
        for each in exchange.passages:
            owner = each.owner or contributions.named(connection, ContributionId(each.contribution)).contributor
            found.append(Passage("0x" + each.contribution.hex(), owner, "0x" + each.row.hex()))
        return found

    def _opened(self, model: Model) -> Attributable:
        if model.position in self._open:
            self._open.move_to_end(model.position)
            return self._open[model.position]
        from oracle.attribution.answering import Attributable, load

        with self.database.reading() as connection:
            base = models.find(connection, self.chain, model.made.base)
        adapter = folder_of(model.made, self.stores.published, self.folder)
        opened = Attributable(load(self._base(base), adapter), adapter / FOLDER)
        self._open[model.position] = opened
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)
        return opened

    def _base(self, base: Model) -> Path:
        """A base's files stand below `base/`, or alone."""
        folder = folder_of(base.made, self.stores.published, self.folder)
        for found in (folder / "base", folder):
            if (found / "config.json").exists():
                return found
        raise models.UnknownModel(f"base {base.id}: its files were not published; fetch it from where its card says")


def as_weights(result: Result) -> Attribution:
    """What settlement reads."""
    paid = [
        Credit(_hash(c.contribution), Address(c.owner), c.weight, None if c.holder is None else Address(c.holder))
        for c in result.credits
    ]
    paid += [Credit(_hash(d.contribution), Address(d.owner), d.weight) for d in result.documents if d.weight]
    return Attribution(tuple(paid), result.unattributed)


def _hash(name: str) -> Hash32:
    """Of a contribution; an index that knows accounts alone names an account's contributions by its address."""
    return Hash32(bytes.fromhex(name.removeprefix("0x")).rjust(32, b"\0"))


def step(ground: Ground, subject: str) -> Ended:
    """The body of the task."""
    return _held(ground).take(subject)


@cache
def _held(ground: Ground) -> Attributing:
    """One for a process, as its ground is."""
    return Attributing(ground.database, ground.stores, ground.rpc.chain, ground.settings.home / "models")

"""An attestor that watches an operator: whatever is published it checks, and says what it found, once.

From the operator it takes bytes alone. What they have to be says the statement, what the statement has to be says the
chain, and who has a part in the fees says an index of the attestor's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
import requests

from oracle.chain.signer import Signer
from oracle.errors import NeedsPerson, Retry
from oracle.settlement.attest import Opinion, Policy, attest
from oracle.settlement.drawing import Drawing, NotDrawnYet
from oracle.settlement.onchain import Onchain
from oracle.settlement.parties import Registries
from oracle.settlement.recomputing import Recomputer
from oracle.settlement.verify import Signed
from oracle.store.folder import Folder

_PATIENCE = 5  # looks at a batch whose bytes nobody serves, before that is an objection
_LONGEST_S = 120


class OperatorSilent(Retry):
    """The operator's server does not answer, or not as one."""


class OpinionRefused(NeedsPerson):
    """The operator does not take what this attestor says."""


class Publisher:
    """An operator's server, by its URL."""

    def __init__(self, url: str, session: requests.Session | None = None) -> None:
        self.url = url.rstrip("/") + "/settlement"
        self._session = session or requests.Session()

    def published(self) -> Signed | None:
        answer = self._ask("/published")
        return None if answer is None else Signed.from_json(answer)

    def document(self, signed: Signed) -> bytes | None:
        """The published bytes; None where they are not served."""
        return self._ask(f"/documents/{signed.document}")

    def discloses(self) -> int:
        """How many answers of a batch each attestor may read."""
        answer = self._ask("/disclosures")
        return 0 if answer is None else int(_content(answer).get("most") or 0)

    def disclose(self, request: bytes) -> tuple[int, dict[str, Any]]:
        """Whatever is no answer to the request is asked for again."""
        try:
            answer = self._session.post(f"{self.url}/disclosures", data=request, timeout=_LONGEST_S)
        except requests.RequestException as error:
            raise OperatorSilent(f"{self.url}: {error}") from error
        if answer.status_code not in (200, 202, 403, 409, 425):
            raise OperatorSilent(f"{self.url}/disclosures: {answer.status_code}: {answer.text[:200]}")
        return answer.status_code, _content(answer.content)

    def files_of(self, model: int, version: int) -> dict[str, Any] | None:
        """The names of a version's files; None where it is not known there."""
        answer = self._ask(f"/models/{model}/{version}")
        return None if answer is None else _content(answer)

    def file(self, model: int, version: int, part: str, name: str) -> bytes | None:
        """`part` is files or base."""
        return self._ask(f"/models/{model}/{version}/{part}/{quote(name)}")

    def snapshot(self, datanet: int, version: int, part: str) -> bytes | None:
        """`part` is manifest or rows."""
        return self._ask(f"/snapshots/{datanet}/{version}/{part}")

    def give(self, opinion: Opinion) -> None:
        try:
            answer = self._session.post(f"{self.url}/opinions", data=opinion.as_json(), timeout=_LONGEST_S)
        except requests.RequestException as error:
            raise OperatorSilent(f"{self.url}: {error}") from error
        if answer.status_code in (409, 503):
            raise OperatorSilent(f"{self.url}: {answer.text[:500]}")
        if answer.status_code != 202:
            raise OpinionRefused(f"{self.url}: {answer.status_code}: {answer.text[:500]}")

    def _ask(self, path: str) -> bytes | None:
        try:
            answer = self._session.get(self.url + path, timeout=_LONGEST_S)
        except requests.RequestException as error:
            raise OperatorSilent(f"{self.url}: {error}") from error
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise OperatorSilent(f"{self.url}{path}: {answer.status_code}: {answer.text[:200]}")
        return answer.content


def _content(answer: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise OperatorSilent(f"what the operator answers is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise OperatorSilent("what the operator answers is not an object of JSON")
    return content


@dataclass
class Watching:
    """One attestor and one operator. Nothing but the journal has to survive it."""

    publisher: Publisher
    onchain: Onchain
    signer: Signer
    journal: Folder
    policy: Policy
    recompute: Recomputer
    registries: Callable[[], Registries | None]  # read anew for each batch
    drawing: Drawing | None = None  # without it the newest block draws, and no answer is asked for
    _said: dict[tuple[bytes, int], str | None] = field(default_factory=dict)
    _missing: int = 0

    def turn(self) -> Opinion | None:
        """One look; what was said of a batch, or None where nothing is new. Raises Retry where it is too early."""
        signed = self.publisher.published()
        if signed is None:
            return None
        name = (bytes(signed.statement.content_hash), signed.statement.round)
        if name in self._said and self._said[name] != "bytes":
            return None
        if self.drawing is not None and self.drawing.waits(signed):
            raise NotDrawnYet(f"epoch {signed.statement.epoch}: the block that draws the sample is not final yet")
        document = self.publisher.document(signed)
        if document is None:
            self._missing += 1
            if self._missing < _PATIENCE or name in self._said:
                raise OperatorSilent(f"{signed.document}: is published and not served; it is asked for again")
        else:
            self._missing = 0
        opinion = attest(
            signed,
            document,
            self.onchain,
            self.signer,
            self.journal,
            self.policy,
            self.recompute,
            self.registries(),
            self.drawing,
        )
        self.publisher.give(opinion)
        self._said[name] = opinion.kind
        if self.drawing is not None:
            self.drawing.forget()
        return opinion

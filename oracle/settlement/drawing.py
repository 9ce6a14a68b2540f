"""An attestor's own sample of a batch, and the answers that the operator discloses for it.

The block that draws it is agreed upon while it does not exist: the attestor names it, the operator keeps the signed
request, and the journal remembers what was named. So neither side tries blocks until it likes what they draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import orjson

from oracle.chain.signer import Signer
from oracle.errors import NeedsPerson, Retry
from oracle.settlement.disclosing import Request
from oracle.settlement.document import unhexed
from oracle.settlement.hashing import keccak
from oracle.settlement.onchain import Onchain
from oracle.settlement.receipts import recovered
from oracle.settlement.sampling import Drawn
from oracle.settlement.verify import Signed
from oracle.store.folder import Folder
from oracle.types import BlockNumber

AHEAD = 3  # blocks behind this attestor's newest one, so that the operator's has not come there either


class NotDrawnYet(Retry):
    """The block that draws the sample is not final; nothing is judged before."""


class ChangedItsMind(NeedsPerson):
    """The operator refused a block and names it afterwards, or names one that was never signed for."""


class Discloser(Protocol):
    """The operator's server, as far as it is asked here."""

    def discloses(self) -> int: ...

    def disclose(self, request: bytes) -> tuple[int, dict[str, Any]]:
        """Status and content of the answer."""
        ...


@dataclass
class _Named:
    block: BlockNumber
    sample: int
    refused: list[int]


@dataclass(frozen=True)
class Drawing:
    """Disclosed answers are files in `answers`; `forget` when they were judged: they are somebody's words."""

    discloser: Discloser
    onchain: Onchain
    signer: Signer
    journal: Folder
    answers: Path

    def __call__(self, signed: Signed, size: int) -> Drawn:
        """Raises NotDrawnYet where it is too early. Nothing is disclosed where the operator discloses nothing: then
        the newest final block draws."""
        self.forget()
        most = min(size, self.discloser.discloses())
        if most:
            named, is_new = self._named(signed, most)
            request = self._request(signed, named)
            status, content = self.discloser.disclose(self._signed(request, signed))
            if status == 409:
                named = self._fixed(signed, named, is_new, content.get("fixed") or {})
                status, content = self.discloser.disclose(self._signed(self._request(signed, named), signed))
            if status == 425:
                self._write(signed, _Named(named.block, named.sample, [*named.refused, named.block]))
                raise NotDrawnYet(f"block {named.block}: {content.get('detail')}; another one is named")
            if status == 202:
                raise NotDrawnYet(f"block {named.block} draws the sample and is not final yet")
            if status == 200:
                return self._given(named, content)
        facts = self.onchain.facts()
        return Drawn(facts.block, facts.block_hash, size)

    def waits(self, signed: Signed) -> bool:
        """Whether a block was named that is not final here: then nothing needs to be looked at."""
        named = self._read(signed)
        return named is not None and named.block not in named.refused and self.onchain.facts().block < named.block

    def forget(self) -> None:
        for file in self.answers.glob("*.json"):
            file.unlink()

    def _given(self, named: _Named, content: dict[str, Any]) -> Drawn:
        if self.onchain.facts().block < named.block:
            raise NotDrawnYet(f"block {named.block} draws the sample and is not final for this node")
        self.answers.mkdir(parents=True, exist_ok=True, mode=0o700)
        for one in content["answers"]:
            name = unhexed(one.pop("receipt"), 32).hex()
            (self.answers / f"{name}.json").write_bytes(orjson.dumps(one))
        return Drawn(named.block, self.onchain.hash_of(named.block), named.sample)

    def _named(self, signed: Signed, size: int) -> tuple[_Named, bool]:
        """What this attestor named for this batch, or names now."""
        known = self._read(signed)
        if known is not None and known.block not in known.refused:
            return known, False
        named = _Named(BlockNumber(self.onchain.newest() + AHEAD), size, known.refused if known else [])
        self._write(signed, named)
        return named, True

    def _fixed(self, signed: Signed, named: _Named, is_new: bool, fixed: dict[str, Any]) -> _Named:
        """What the operator has by this attestor's own hand, from before its journal was lost."""
        try:
            known = _Named(BlockNumber(int(fixed["block"])), int(fixed["sample"]), named.refused)
            signature = unhexed(fixed["signature"], 65)
        except (KeyError, TypeError, ValueError, NeedsPerson) as error:
            raise ChangedItsMind(f"epoch {signed.statement.epoch}: the operator takes no block ({error!r})") from None
        preimage = self._request(signed, known).preimage(signed.chain, signed.distributor)
        if not is_new or known.block in named.refused or recovered(keccak(preimage), signature) != self.signer.address:
            raise ChangedItsMind(
                f"epoch {signed.statement.epoch}: the operator wants block {known.block} to draw the sample, and this"
                f" attestor agreed to block {named.block} (refused: {named.refused}); sign nothing and ask the operator"
            )
        self._write(signed, known)
        return known

    def _request(self, signed: Signed, named: _Named) -> Request:
        return Request(signed.statement.content_hash, signed.statement.round, named.block, named.sample)

    def _signed(self, request: Request, signed: Signed) -> bytes:
        return request.signed(self.signer.sign(request.preimage(signed.chain, signed.distributor)).as_bytes())

    def _name(self, signed: Signed) -> str:
        said = signed.statement
        return f"{signed.chain}/{signed.distributor}/drawn/{said.content_hash.hex()}-{said.round}"

    def _read(self, signed: Signed) -> _Named | None:
        try:
            return _Named(**orjson.loads(self.journal.read(self._name(signed))))
        except FileNotFoundError:
            return None

    def _write(self, signed: Signed, named: _Named) -> None:
        self.journal.write(self._name(signed), BytesIO(orjson.dumps(vars(named))))

"""The operator's side of a disclosure: exactly the answers in one attestor's sample of the batch that waits for it.

The block that draws them is fixed before anybody knows its hash, once for each attestor and batch; whoever asks has a
bonded seat. Texts that were forgotten are said to be so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from oracle.chain.reading import headers, heads
from oracle.daemon.ground import Ground
from oracle.daemon.showing import NotShown, shown
from oracle.errors import NeedsPerson, Retry
from oracle.settlement.disclosing import LATEST, SOONEST, Content, Request, gone, opened
from oracle.settlement.hashing import keccak
from oracle.settlement.onchain import Onchain
from oracle.settlement.receipts import recovered
from oracle.settlement.sampling import Drawn
from oracle.store import answers, batches, calls, disclosures
from oracle.store.answers import Kept
from oracle.store.batches import Batch, State
from oracle.store.disclosures import Draw
from oracle.store.paid import Receipt
from oracle.store.sealed import open_exchange
from oracle.types import Address, Hash32, Timestamp

log = logging.getLogger(__name__)

Salts = Callable[[Hash32], bytes]


class NotDisclosed(NeedsPerson):
    """This operator does not disclose it, to this one or at all."""


class OtherDraw(NeedsPerson):
    """Another block draws this attestor's sample; `draw` is what it signed before."""

    def __init__(self, draw: Draw) -> None:
        super().__init__(f"block {draw.block} draws the sample of {draw.sample}: it was signed for before")
        self.draw = draw


class NotAhead(Retry):
    """The block that was named exists already, or lies too far away: name another one."""


class NotDrawnYet(Retry):
    """The block that draws the sample is not final."""


@dataclass(frozen=True)
class Disclosing:
    """`salts` are those with which the receipts' texts were hashed."""

    ground: Ground
    salts: Salts
    now: Callable[[], float] = time.time

    def answer(self, asked: Request, signature: bytes) -> list[Content]:
        """Raises NotDisclosed, OtherDraw, NotAhead or NotDrawnYet."""
        ground, most = self.ground, self.ground.settings.disclose
        if asked.sample > most:
            raise NotDisclosed(f"{most} answers are disclosed to each attestor of a batch (OPENLEDGER_DISCLOSE)")
        batch = self._waiting(asked)
        onchain = Onchain(ground.rpc, ground.book, ground.settings.finality)
        attestor = self._seated(asked, signature, batch, onchain)
        self._fix(asked, signature, attestor)
        final = onchain.facts().block
        if final < asked.block:
            raise NotDrawnYet(f"block {asked.block} draws the sample; the newest final one is {final}")
        drawn = Drawn(asked.block, headers(ground.rpc, [asked.block])[0].hash, asked.sample)
        assert batch.document is not None
        with ground.blobs.open(batch.document) as published:
            sample = drawn.of(published, asked.content_hash, attestor)
        with ground.database.reading() as connection:
            found = [self._one(connection, receipt) for receipt, _ in sample]
        told = sum("gone" not in one for one in found)
        log.info("%s: %d of %d answers disclosed to attestor %s", batch.name, told, len(found), attestor)
        return found

    def _waiting(self, asked: Request) -> Batch:
        with self.ground.database.reading() as connection:
            batch = batches.on_its_way(connection, self.ground.rpc.chain)
        if batch is None or batch.state != State.PUBLISHED:
            raise NotDisclosed("no batch waits for attestors now")
        if (batch.content_hash, batch.round) != (asked.content_hash, asked.round):
            raise NotDisclosed(f"{batch.name} waits for attestors, and the request is for another one")
        return batch

    def _seated(self, asked: Request, signature: bytes, batch: Batch, onchain: Onchain) -> Address:
        signer = recovered(keccak(asked.preimage(batch.chain, onchain.distributor)), signature)
        if signer is None or not onchain.quorum([signer]).weights[signer]:
            raise NotDisclosed(f"the request is signed by {signer}, who has no bonded seat")
        return signer

    def _fix(self, asked: Request, signature: bytes, attestor: Address) -> None:
        ground, named = self.ground, (self.ground.rpc.chain, asked.content_hash, attestor)
        mine = Draw(asked.block, asked.sample, signature)
        with ground.database.reading() as connection:
            fixed = disclosures.find(connection, *named)
        if fixed is None:
            head = heads(ground.rpc, ground.settings.finality).head.number
            if not head + SOONEST <= asked.block <= head + LATEST:
                raise NotAhead(f"block {asked.block} is not ahead: the newest is {head}; name one up to {LATEST} later")
            with ground.database.transaction() as connection:
                fixed = disclosures.fix(connection, *named, mine)
        if (fixed.block, fixed.sample) != (mine.block, mine.sample):
            raise OtherDraw(fixed)

    def _one(self, connection: Connection, receipt: Receipt) -> Content:
        kept = answers.find(connection, self.ground.rpc.chain, receipt.id)
        why = self._missing(kept)
        if why is not None:
            return gone(receipt.id, why)
        assert kept is not None
        assert kept.sealed is not None
        assert self.ground.stores.vault is not None
        try:
            exchange = open_exchange(self.ground.stores.vault, receipt.consumer, kept.sealed)
        except NeedsPerson:
            return gone(receipt.id, "its texts were erased")
        if exchange.said is None:
            return gone(receipt.id, "what its hashes are made of was not kept")
        conditions = calls.document(connection, receipt.conditions)
        try:
            passages = shown(self.ground.stores, connection, exchange.passages)
        except NotShown as error:
            return gone(receipt.id, str(error))
        return opened(receipt.id, self.salts(receipt.id), exchange, conditions, passages)

    def _missing(self, kept: Kept | None) -> str | None:
        if kept is None:
            return "its answer is not in this store"
        if kept.sealed is None:
            return "its texts were erased, or the time for which they are kept is over"
        if kept.keep_until <= Timestamp(int(self.now())):
            return "the time for which its texts are kept is over"
        return "the operator has no master key here" if self.ground.stores.vault is None else None

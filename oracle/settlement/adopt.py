"""After a backup was restored: takes over what was published since, from the published bytes.

The chain says which roots are in force; the documents say which receipts they paid. Those that the backup still holds
are marked as paid, those that it lost come back: lanes go on from where they were, and nobody pays or is paid twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from oracle.errors import NeedsPerson
from oracle.settlement.document import RECEIPT_LINE, Reader, hexed, parsed, unhexed
from oracle.settlement.onchain import Onchain
from oracle.settlement.replay import Replay
from oracle.settlement.verify import Signed, require_statement
from oracle.store import batches, calls, owing, receipts
from oracle.store.batches import State
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.receipts import Attribution, Receipt
from oracle.types import Cid, Hash32


class NotOnChain(NeedsPerson):
    """The bundle is not the one that the chain has a root of."""


def adopt(database: Database, blobs: Blobs, onchain: Onchain, signed: Signed, published: bytes) -> int:
    """Says how many receipts it paid."""
    chain, said = onchain.book.chain, signed.statement
    # The quorum and the escrow have judged the vouchers already; the sums are recomputed here all the same.
    replayed = Replay(BytesIO(published), lambda voucher: True, signatures=False).run()
    require_statement(replayed, signed)
    facts, record = onchain.facts(), onchain.record(said.root)
    if record.epoch != said.epoch or record.total != said.total or not record.is_active(facts.now):
        raise NotOnChain(
            f"root {hexed(said.root)}: not in force on chain {chain} as epoch {said.epoch}; wait out its window, or"
            " find the bundle of the root that is"
        )
    document: Cid = blobs.put(published)
    with database.transaction() as connection:
        last = batches.newest(connection, chain, State.ACTIVE)
        if (last.epoch if last else 0) != said.epoch - 1:
            raise NotOnChain(
                f"epoch {said.epoch} does not follow epoch {last.epoch if last else 0}; adopt them in order"
            )
        current = batches.on_its_way(connection, chain)
        if current is not None:
            owing.release(connection, current.id)
            batches.drop(connection, current.id, f"epoch {said.epoch} was settled by the batch that the chain has")
        number = batches.adopt(
            connection,
            chain,
            said.epoch,
            facts.now,
            round=said.round,
            previous_root=said.previous_root,
            root=said.root,
            total=said.total,
            fees=replayed.end.fees,
            receipt_count=replayed.end.receipt_count,
            content_hash=said.content_hash,
            document=document,
        )
        for name, terms in replayed.terms.items():
            receipts.put_terms(connection, Hash32(unhexed(name)), terms)
        for voucher, _ in replayed.vouchers:
            receipts.keep_voucher(connection, chain, voucher)
            calls.reach(connection, chain, voucher.lane, voucher.cumulative)
        return owing.restore(connection, chain, number, _receipts(published))


def _receipts(published: bytes) -> Iterator[tuple[Hash32, Receipt, bytes, Attribution]]:
    for line in Reader(BytesIO(published)).lines():
        if line.startswith(RECEIPT_LINE):
            content = parsed(line)
            yield (
                Hash32(unhexed(content["hash"])),
                Receipt.from_json(content["receipt"]),
                unhexed(content["signature"]),
                Attribution.from_json(content["attribution"]),
            )

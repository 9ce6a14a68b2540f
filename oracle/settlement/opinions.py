"""What attestors are asked to sign for a batch, and taking their word for it or against it."""

from __future__ import annotations

from oracle.errors import NeedsPerson
from oracle.settlement.hashing import Statement, keccak, objection_preimage
from oracle.settlement.onchain import Onchain
from oracle.settlement.receipts import recovered
from oracle.settlement.verify import Signed
from oracle.store import batches
from oracle.store.batches import Attestation, Batch
from oracle.store.database import Database
from oracle.types import Address


def statement_of(batch: Batch) -> Statement:
    """What attestors sign for a published batch."""
    if batch.root is None or batch.total is None or batch.content_hash is None:
        raise NeedsPerson(f"{batch.name}: is {batch.state}, there is nothing to sign yet")
    assert batch.previous_root is not None
    assert batch.round is not None
    return Statement(batch.previous_root, batch.root, batch.epoch, batch.round, batch.total, batch.content_hash)


def signed(onchain: Onchain, batch: Batch, said: list[Attestation]) -> Signed:
    """The statement with the signatures of those who have a seat now: one without would sink the transaction."""
    assert batch.document is not None
    weights = onchain.quorum([one.signer for one in said]).weights if said else {}
    made = {one.signer: one.signature for one in said if one.objection is None and weights[one.signer]}
    return Signed(batch.chain, onchain.distributor, batch.document, statement_of(batch), made)


def accept(
    database: Database, onchain: Onchain, batch: Batch, signature: bytes, objection: str | None = None
) -> Address:
    """An attestor's word on the published batch, for it or against; raises NeedsPerson where it is nobody's."""
    said = statement_of(batch)
    if objection is None:
        digest = keccak(said.preimage(batch.chain, onchain.distributor))
    else:
        digest = keccak(objection_preimage(said.content_hash, objection))
    signer = recovered(digest, signature)
    if signer is None or not onchain.quorum([signer]).weights[signer]:
        raise NeedsPerson(
            f"{batch.name}: the signature is by {signer}, who has no seat; was it made for this root, epoch and round?"
        )
    with database.transaction() as connection:
        batches.put_attestation(connection, batch.id, Attestation(signer, signature, objection))
    return signer

"""`openledger attest`: on somebody else's machine, with the chain and the published bytes alone.

Everything is computed again, held against the chain, and signed; or the first thing that differs is published as an
objection. An attestor that signs two statements of one epoch and round loses its bond, so what was signed is written to
a journal before the signature exists.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import orjson

from oracle.chain.signer import Signer
from oracle.errors import NeedsPerson, Retry
from oracle.settlement.differing import Difference
from oracle.settlement.document import hexed, unhexed
from oracle.settlement.hashing import keccak, objection_preimage
from oracle.settlement.onchain import Onchain
from oracle.settlement.receipts import voucher_preimage
from oracle.settlement.replay import Replay, Replayed
from oracle.settlement.verify import Signed, require_statement
from oracle.store.cid import cid_of
from oracle.store.folder import Folder
from oracle.store.receipts import Attribution, Receipt, Voucher
from oracle.types import Address

PARTS = 1_000_000

Recompute = Callable[[Receipt], Attribution | None]
"""Attribution of one receipt by the attestor's own means; None where it cannot tell (the texts are gone)."""


class AlreadySigned(NeedsPerson):
    """Another statement of the same epoch and round was signed with this journal; two of them are a fault."""


class OtherRound(Retry):
    """The chain is in another epoch or round than the batch: it is stale, or a node lags. Neither of them is a lie."""


class NotPaidYet(Retry):
    """The batch's vouchers are not settled in final blocks yet; neither a signature nor an objection."""


@dataclass(frozen=True)
class Policy:
    """How much is looked at, and how far two computations of one attribution may lie apart."""

    sample: int = 16
    tolerance_ppm: int = 20_000
    operator: Address | None = None  # whose receipts they have to be; None takes the document's word
    distributor: Address | None = None


@dataclass(frozen=True)
class Opinion:
    """A signature, or an objection that says where. `said` is what was checked, and how many."""

    signer: Address
    signature: bytes
    said: dict[str, int]
    objection: str | None = None
    kind: str | None = None

    def as_json(self) -> bytes:
        content = {**vars(self), "signature": hexed(self.signature)}
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, written: bytes) -> Opinion:
        try:
            content = orjson.loads(written)
            return cls(**{**content, "signature": unhexed(content["signature"], 65)})
        except (orjson.JSONDecodeError, TypeError, KeyError) as error:
            raise NeedsPerson(f"not an opinion ({error}); give the file that `openledger attest --out` wrote") from None


def attest(
    signed: Signed,
    published: bytes | None,
    onchain: Onchain,
    signer: Signer,
    journal: Folder,
    policy: Policy,
    recompute: Recompute = lambda receipt: None,
    seed: bytes | None = None,
) -> Opinion:
    """`published` is None where the bytes could not be had. `seed` is this attestor's secret until it has signed."""
    try:
        said = check(signed, published, onchain, policy, recompute, seed or secrets.token_bytes(32))
    except Difference as difference:
        objection = str(difference)
        content = objection_preimage(signed.statement.content_hash, objection)
        return Opinion(signer.address, signer.sign(content).as_bytes(), {}, objection, difference.kind)
    _write_down(signed, journal)
    made = signer.sign(signed.statement.preimage(signed.chain, signed.distributor)).as_bytes()
    return Opinion(signer.address, made, said)


def check(
    signed: Signed, published: bytes | None, onchain: Onchain, policy: Policy, recompute: Recompute, seed: bytes
) -> dict[str, int]:
    """Raises Difference at the first thing that is not as it should be; says what was checked."""
    if published is None:
        raise Difference("bytes", signed.document, "nobody serves the published bytes")
    if cid_of(published) != signed.document:
        raise Difference("bytes", signed.document, f"what is served under this name has the name {cid_of(published)}")
    escrow, chain = onchain.escrow, signed.chain

    def vouched(voucher: Voucher) -> bool:
        return onchain.found_good([keccak(voucher_preimage(voucher, chain, escrow))])[0]

    # Nobody can know which receipts will be looked at: the seed is mixed with what the operator has already fixed.
    mixed = keccak(seed + signed.statement.content_hash)
    replayed = Replay(BytesIO(published), vouched, policy.sample, mixed).run()
    require_statement(replayed, signed)
    against_chain(replayed, signed, onchain, policy)
    recomputed = sum(_attributed(receipt, claimed, recompute(receipt), policy) for receipt, claimed in replayed.sample)
    return {**replayed.checked, "sampled": len(replayed.sample), "recomputed": recomputed}


def against_chain(replayed: Replayed, signed: Signed, onchain: Onchain, policy: Policy) -> None:
    """What only the chain can say."""
    facts, head, said = onchain.facts(), replayed.head, signed.statement
    for name, found, expected in (
        ("chain", head.chain, onchain.book.chain),
        ("escrow", head.escrow, onchain.escrow),
        ("distributor", head.distributor, onchain.distributor),
        ("models", head.models, onchain.models),
        ("operator", head.operator, policy.operator or head.operator),
    ):
        if found != expected:
            raise Difference("chain", name, f"the document says {found}, the chain {expected}")
    if (said.epoch, said.round) != (facts.head_epoch + 1, facts.round):
        raise OtherRound(
            f"epoch {said.epoch}, round {said.round}: the chain waits for epoch {facts.head_epoch + 1} in round"
            f" {facts.round}; nothing is signed"
        )
    before = onchain.record(said.previous_root)
    if (before.epoch, before.total) != (facts.head_epoch, head.previous_total):
        raise Difference(
            "chain",
            "previous root",
            f"{hexed(said.previous_root)} is of epoch {before.epoch} with {before.total} wei there; expected epoch"
            f" {facts.head_epoch} with {head.previous_total}",
        )
    _splits(replayed, onchain)
    _paid(replayed, signed, onchain, facts.collected)


def _paid(replayed: Replayed, signed: Signed, onchain: Onchain, collected: int) -> None:
    """Signing waits for the money: a batch whose consumers default could not be replaced within the round."""
    funds, _ = onchain.funds({voucher.lane for voucher, _ in replayed.vouchers})
    for voucher, start in replayed.vouchers:
        spent, lane = funds[voucher.lane].spent, f"lane {voucher.consumer} by {voucher.key}"
        if spent > voucher.cumulative:
            detail = f"has {spent} wei settled; its receipts here go from {start} to {voucher.cumulative}"
            raise Difference("chain", lane, detail)
        if spent < voucher.cumulative:
            raise NotPaidYet(f"epoch {signed.statement.epoch}: {lane} has {spent} of {voucher.cumulative} wei settled")
    if collected < signed.statement.total:
        raise Difference("chain", "total", f"{collected} wei are collected, the root owes {signed.statement.total}")


def _splits(replayed: Replayed, onchain: Onchain) -> None:
    versions = sorted(replayed.versions)
    for (model, version), split in zip(versions, onchain.splits(versions)):
        for name in sorted(replayed.versions[model, version]):
            if tuple(replayed.terms[name].split) != split:
                raise Difference(
                    "chain",
                    f"split of model {model} version {version}",
                    f"terms {name} say {replayed.terms[name].split}, the registry {split}",
                )


def _attributed(receipt: Receipt, claimed: Attribution, own: Attribution | None, policy: Policy) -> bool:
    """Compares accounts' parts per million of the whole: what was paid is what matters, not how it was scored."""
    if own is None:
        return False
    theirs, ours = _parts(claimed), _parts(own)
    for account in sorted({*theirs, *ours}):
        apart = abs(theirs.get(account, 0) - ours.get(account, 0))
        if apart > policy.tolerance_ppm:
            raise Difference(
                "attribution",
                f"receipt {hexed(receipt.id)}, {account or 'unattributed'}",
                f"{theirs.get(account, 0)} ppm claimed, {ours.get(account, 0)} computed; more than"
                f" {policy.tolerance_ppm} apart",
            )
    return True


def _parts(attribution: Attribution) -> dict[str, int]:
    whole = attribution.weight or 1
    found = {"": attribution.unattributed}
    for credit in attribution.credits:
        found[credit.account] = found.get(credit.account, 0) + credit.weight
    return {account: weight * PARTS // whole for account, weight in found.items()}


def _write_down(signed: Signed, journal: Folder) -> None:
    said = signed.statement
    content = hexed(keccak(said.preimage(signed.chain, signed.distributor))).encode()
    name = f"{signed.chain}/{signed.distributor}/{said.epoch}-{said.round}"
    if not journal.create(name, BytesIO(content)) and journal.read(name) != content:
        raise AlreadySigned(
            f"epoch {said.epoch}, round {said.round}: another root was signed with this journal ({journal.url}/{name});"
            " signing a second one costs the bond. Wait for the next round"
        )

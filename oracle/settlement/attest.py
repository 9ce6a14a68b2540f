"""`openledger attest`: on somebody else's machine, with the chain and the published bytes alone.

Everything is computed again, held against the chain, and signed; or the first thing that differs is published as an
objection. An attestor that signs two statements of one epoch and round loses its bond, so what was signed is written to
a journal before the signature exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import orjson

from oracle.chain.signer import Signer
from oracle.errors import NeedsPerson, Retry
from oracle.settlement.differing import Difference
from oracle.settlement.document import hexed, unhexed
from oracle.settlement.hashing import keccak, objection_preimage
from oracle.settlement.onchain import Onchain
from oracle.settlement.parties import JudgedTerms, Registries
from oracle.settlement.receipts import voucher_preimage
from oracle.settlement.recomputing import UNABLE, Recomputer, recomputed
from oracle.settlement.replay import Replay, Replayed
from oracle.settlement.sampling import Drawn
from oracle.settlement.verify import Signed, require_statement
from oracle.store.cid import cid_of
from oracle.store.folder import Folder
from oracle.store.receipts import Voucher
from oracle.types import Address

Draw = Callable[[Signed, int], Drawn]  # the sample's size at most


class AlreadySigned(NeedsPerson):
    """Another statement of the same epoch and round was signed with this journal; two of them are a fault."""


class OtherRound(Retry):
    """The chain is in another epoch or round than the batch: it is stale, or a node lags. Neither of them is a lie."""


class TooLittleDisclosed(NeedsPerson):
    """Too few receipts of the sample could be recomputed for this attestor's own rule; nothing is signed."""


class NotPaidYet(Retry):
    """The batch's vouchers are not settled in final blocks yet; neither a signature nor an objection."""


@dataclass(frozen=True)
class Policy:
    """How much is looked at, and how far two computations of one attribution may lie apart."""

    sample: int = 16
    tolerance_ppm: int = 20_000
    operator: Address | None = None  # whose receipts they have to be; None takes the document's word
    least: int = 0  # so many of the sample have to be recomputed, or nothing is signed


@dataclass(frozen=True)
class Opinion:
    """A signature, or an objection that says where. `said` is what was checked, and how many."""

    signer: Address
    signature: bytes
    said: dict[str, int]
    objection: str | None = None
    kind: str | None = None
    unable: dict[str, int] = field(default_factory=dict)  # why attribution was not recomputed, and how often
    drawn_at: int | None = None  # the block whose hash drew the sample: anybody can draw it again

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
    recompute: Recomputer = UNABLE,
    registries: Registries | None = None,
    draw: Draw | None = None,
) -> Opinion:
    """`published` is None where the bytes could not be had; without `registries` the terms are the operator's word.

    `draw` names the final block that draws the sample, once the batch is found good and paid for; without it the newest
    one does. Its hash did not exist when the operator fixed the batch.
    """
    try:
        said = check(signed, published, onchain, policy, registries)
        assert published is not None
        drawn = (draw or newest_block(onchain))(signed, policy.sample)
        sample = drawn.of(BytesIO(published), signed.statement.content_hash, signer.address)
        done, unable = recomputed(sample, recompute, policy.tolerance_ppm)
        said |= {"sampled": len(sample), "recomputed": done}
    except Difference as difference:
        objection = str(difference)
        content = objection_preimage(signed.statement.content_hash, objection)
        return Opinion(signer.address, signer.sign(content).as_bytes(), {}, objection, difference.kind)
    if said["recomputed"] < min(policy.least, said["sampled"]):
        raise TooLittleDisclosed(
            f"epoch {signed.statement.epoch}: attribution of {said['recomputed']} of {said['sampled']} receipts could"
            f" be recomputed, and this attestor signs from {policy.least} on; not possible: {'; '.join(unable)}"
        )
    _write_down(signed, journal)
    made = signer.sign(signed.statement.preimage(signed.chain, signed.distributor)).as_bytes()
    return Opinion(signer.address, made, said, unable=unable, drawn_at=drawn.block)


def check(
    signed: Signed,
    published: bytes | None,
    onchain: Onchain,
    policy: Policy,
    registries: Registries | None = None,
) -> dict[str, int]:
    """What was checked, and how many of each; raises Difference at the first thing that is not as it should be."""
    if published is None:
        raise Difference("bytes", signed.document, "nobody serves the published bytes")
    if cid_of(published) != signed.document:
        raise Difference("bytes", signed.document, f"what is served under this name has the name {cid_of(published)}")
    escrow, chain = onchain.escrow, signed.chain

    def vouched(voucher: Voucher) -> bool:
        return onchain.found_good([keccak(voucher_preimage(voucher, chain, escrow))])[0]

    judge = JudgedTerms(registries)
    replayed = Replay(BytesIO(published), vouched, judged=judge).run()
    require_statement(replayed, signed)
    against_chain(replayed, signed, onchain, policy)
    return {**replayed.checked, "judged by the registries": judge.count}


def newest_block(onchain: Onchain) -> Draw:
    def draw(signed: Signed, size: int) -> Drawn:
        facts = onchain.facts()
        return Drawn(facts.block, facts.block_hash, size)

    return draw


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


def _write_down(signed: Signed, journal: Folder) -> None:
    said = signed.statement
    content = hexed(keccak(said.preimage(signed.chain, signed.distributor))).encode()
    name = f"{signed.chain}/{signed.distributor}/{said.epoch}-{said.round}"
    if not journal.create(name, BytesIO(content)) and journal.read(name) != content:
        raise AlreadySigned(
            f"epoch {said.epoch}, round {said.round}: another root was signed with this journal ({journal.url}/{name});"
            " signing a second one costs the bond. Wait for the next round"
        )

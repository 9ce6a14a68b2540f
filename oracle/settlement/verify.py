"""`openledger verify`: a bundle is two files, and nothing else is needed to check it.

    document.jsonl.zst     the published bytes
    statement.json         what attestors signed, by whom, and the name of those bytes

Whoever trusts nobody compares three things by another way: that the statement's root is the one on chain, that the
signers are attestors there, and that the previous root is the one of the batch that was checked before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson

from oracle.settlement.differing import Difference, Judged, Vouched
from oracle.settlement.document import hexed, unhexed
from oracle.settlement.hashing import Statement, keccak
from oracle.settlement.receipts import recovered
from oracle.settlement.replay import Replay, Replayed
from oracle.store.cid import cid_of
from oracle.store.paid import Receipt, Terms
from oracle.types import Address, ChainId, Cid, Epoch, Hash32, Wei

DOCUMENT, STATEMENT = "document.jsonl.zst", "statement.json"
_FIELDS = (
    "chain",
    "content_hash",
    "distributor",
    "document",
    "epoch",
    "previous_root",
    "root",
    "round",
    "signatures",
    "total",
)


@dataclass(frozen=True)
class Signed:
    """A statement with the name of its document and the attestors' signatures."""

    chain: ChainId
    distributor: Address
    document: Cid
    statement: Statement
    signatures: Mapping[Address, bytes]

    def as_json(self) -> bytes:
        said = self.statement
        content: dict[str, Any] = {
            "chain": self.chain,
            "distributor": self.distributor,
            "document": self.document,
            "previous_root": hexed(said.previous_root),
            "root": hexed(said.root),
            "epoch": said.epoch,
            "round": said.round,
            "total": str(said.total),
            "content_hash": hexed(said.content_hash),
            "signatures": {signer: hexed(self.signatures[signer]) for signer in sorted(self.signatures)},
        }
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, written: bytes) -> Signed:
        try:
            content = orjson.loads(written)
            if tuple(sorted(content)) != _FIELDS:
                raise ValueError(f"fields {', '.join(sorted(content))}")
            said = Statement(
                Hash32(unhexed(content["previous_root"], 32)),
                Hash32(unhexed(content["root"], 32)),
                Epoch(content["epoch"]),
                content["round"],
                Wei(int(content["total"])),
                Hash32(unhexed(content["content_hash"], 32)),
            )
            signatures = {Address(signer): unhexed(made, 65) for signer, made in content["signatures"].items()}
            read = cls(
                ChainId(content["chain"]), Address(content["distributor"]), Cid(content["document"]), said, signatures
            )
            if read.as_json() != written:
                raise ValueError("not written in the canonical way")
        except Exception as error:  # whatever the bytes are, they are not a statement
            raise Difference("form", STATEMENT, f"{type(error).__name__}: {error}") from error
        return read

    def ascending(self) -> bytes:
        """As the chain takes them."""
        return b"".join(self.signatures[signer] for signer in sorted(self.signatures, key=lambda one: int(one, 16)))


def _not_judged(receipt: Receipt, terms: Terms) -> None:
    """Offline, the terms are the operator's word."""


def verify_bundle(
    folder: Path, vouched: Vouched = lambda voucher: False, judged: Judged = _not_judged
) -> tuple[Replayed, Signed]:
    """Raises Difference at the first one."""
    try:
        written, published = (folder / STATEMENT).read_bytes(), (folder / DOCUMENT).read_bytes()
    except OSError as error:
        raise Difference("bytes", str(error.filename), f"cannot be read ({error.strerror})") from error
    return verify(written, published, vouched, judged)


def verify(
    written: bytes, published: bytes, vouched: Vouched = lambda voucher: False, judged: Judged = _not_judged
) -> tuple[Replayed, Signed]:
    signed = Signed.from_json(written)
    name = cid_of(published)
    if name != signed.document:
        raise Difference("bytes", DOCUMENT, f"its name is {name}, the statement speaks of {signed.document}")
    replayed = Replay(BytesIO(published), vouched, judged=judged).run()
    require_statement(replayed, signed)
    return replayed, signed


def require_statement(replayed: Replayed, signed: Signed) -> None:
    """That what was signed is what follows from the document, and that whoever is named signed it."""
    said, head = signed.statement, replayed.head
    for name, computed, claimed in (
        ("chain", head.chain, signed.chain),
        ("distributor", head.distributor, signed.distributor),
        ("epoch", head.epoch, said.epoch),
        ("previous root", head.previous_root, said.previous_root),
        ("root", replayed.end.root, said.root),
        ("total", replayed.end.total, said.total),
    ):
        if computed != claimed:
            raise Difference("statement", name, f"computed {computed!r}, signed was {claimed!r}")
    if replayed.header.hash != said.content_hash:
        raise Difference(
            "header", "content hash", f"computed {hexed(replayed.header.hash)}, signed was {hexed(said.content_hash)}"
        )
    digest = keccak(said.preimage(signed.chain, signed.distributor))
    for signer, signature in signed.signatures.items():
        by = recovered(digest, signature)
        if by != signer:
            raise Difference("quorum", f"signature of {signer}", f"is by {by}")


def export(folder: Path, signed: Signed, published: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DOCUMENT).write_bytes(published)
    (folder / STATEMENT).write_bytes(signed.as_json())

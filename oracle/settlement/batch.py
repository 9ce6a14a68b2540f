"""Closing an epoch, and writing what follows from it.

Closing is one transaction: every final receipt that is covered and in no batch goes into this one. After that nothing
is decided any more: the document is a function of the receipts that were taken, whoever computes it, however often.
"""

from __future__ import annotations

import tempfile
from binascii import hexlify
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import orjson
from sqlalchemy import Connection

from oracle.errors import NeedsPerson, Stop
from oracle.settlement.coverage import Covered
from oracle.settlement.document import BadDocument, End, Head, Reader, Writer, hexed
from oracle.settlement.hashing import NOTHING, Header, receipt_leaf, shares_hash, voucher_leaf
from oracle.settlement.shares import ROLES, divided, require_sound
from oracle.settlement.tree import RewardTree, Tree
from oracle.store import batches, owing, receipts
from oracle.store.batches import Batch, State
from oracle.store.blobs import Blobs
from oracle.store.receipts import Lane, Stored, Terms, Voucher
from oracle.types import Address, Cid, Hash32, Timestamp, Wei

_ACCOUNT = b'{"account":'


class NothingToSettle(NeedsPerson):
    """No receipt can be paid now."""


class LostReceipts(Stop):
    """The batch's receipts are not those that it took."""


Balances = Sequence[tuple[Address, Wei]]


@dataclass(frozen=True)
class Made:
    """A document in its place, and what it comes to."""

    end: End
    header: Header
    document: Cid


def close(connection: Connection, batch: Batch, plan: Covered, now: Timestamp, **stands_on: object) -> int:
    """Takes what is covered, exactly once: whoever else closes at this moment takes nothing. Says how many."""
    lanes = [[one.consumer, one.key, str(one.cumulative), str(plan.before[one.lane])] for one in plan.vouchers]
    batches.move(connection, batch.id, State.CLOSED, closed_at=now, lanes=lanes, **stands_on)
    taken = owing.take(connection, batch.id, plan.taken)
    if taken == 0:
        raise NothingToSettle(
            f"{batch.name}: no receipt is final and covered by a voucher; `openledger settle status` says what waits"
        )
    return taken


def chosen_vouchers(connection: Connection, batch: Batch) -> list[tuple[Voucher, Wei]]:
    """The vouchers that a batch closed with, each with what its lane had come to before."""
    kept = receipts.vouchers(connection, batch.chain)
    found = []
    for consumer, key, cumulative, before in batch.lanes:
        voucher = next((one for one in kept.get(Lane(consumer, key), ()) if one.cumulative == cumulative), None)
        if voucher is None:
            raise LostReceipts(f"{batch.name}: the voucher of {consumer} for {cumulative} wei is gone from the store")
        found.append((voucher, before))
    return found


def make(connection: Connection, blobs: Blobs, batch: Batch, head: Head, out_to: Blobs | None = None) -> Made:
    """Writes and publishes the document of a closed batch. The same receipts make the same bytes, always.

    `out_to`: another place for it than where the previous one is read from; a dry run has one.
    """
    vouchers = chosen_vouchers(connection, batch)
    previous = balances_of(blobs, batch.previous_document)
    with tempfile.TemporaryFile() as out:
        end, document_hash = write(
            out, head, receipts.terms(connection), vouchers, owing.of_batch(connection, batch.id), previous
        )
        out.seek(0)
        cid = (out_to or blobs).put_file(out)
    return Made(end, end.header(head.epoch, document_hash), cid)


def write(
    out: BinaryIO,
    head: Head,
    terms: dict[Hash32, bytes],
    vouchers: Sequence[tuple[Voucher, Wei]],
    taken: Iterable[Stored],
    previous: Balances,
) -> tuple[End, Hash32]:
    """Receipts come in the order of their hashes; they are neither held nor looked at twice."""
    writer = Writer(out)
    writer.line(head.as_json())
    known: dict[str, Terms] = {}
    for name in sorted(terms):
        content = orjson.loads(terms[name])
        known[hexed(name)] = Terms.from_json(content)
        require_sound(known[hexed(name)])
        writer.line({"kind": "terms", "hash": hexed(name), "terms": content})
    voucher_leaves = []
    for voucher, before in vouchers:
        writer.line(voucher_line(voucher, before))
        voucher_leaves.append(voucher_leaf(*vars(voucher).values()))

    leaves, fees, amounts = bytearray(), Wei(0), [0] * len(ROLES)
    earned: dict[Address, int] = defaultdict(int)
    index = -1
    for index, (name, written, signature, attribution) in enumerate(taken):
        # Three fields and a few weights are asked of a kilobyte: no record is made of it.
        content, credited = orjson.loads(written), orjson.loads(attribution)
        fee = Wei(int(content["fee"]))
        shares = divided(fee, known[content["terms"]], credited["credits"], int(credited["unattributed"]))
        listed = []
        for role, account, amount in shares:
            amounts[role] += amount
            earned[account] += amount
            listed.append(f'[{role},"{account}","{amount}"]')
        leaves += receipt_leaf(
            index, name, content["consumer"], content["model"], content["version"], fee, fees, shares_hash(shares)
        )
        fees = Wei(fees + fee)
        writer.raw(
            b'{"attribution":%b,"hash":"0x%b","kind":"receipt","receipt":%b,"shares":[%b],"signature":"0x%b"}\n'
            % (attribution, hexlify(name), written, ",".join(listed).encode(), hexlify(signature))
        )
    if index < 0:
        raise LostReceipts(f"epoch {head.epoch}: the batch has no receipt; were rows removed from the store?")

    after = brought_forward(previous, earned)
    starts = [*(amount for _, amount in previous), *[0] * len(after)]
    for (account, cumulative), start in zip(after, starts):
        writer.line({"account": account, "before": str(start), "cumulative": str(cumulative), "kind": "account"})
    end = End(
        Tree(np.frombuffer(leaves, dtype=np.uint8).reshape(-1, 32)).root,
        index + 1,
        Tree.of(voucher_leaves).root if voucher_leaves else NOTHING,
        fees,
        tuple(Wei(amount) for amount in amounts),
        RewardTree(after).root,
        Wei(sum(amount for _, amount in after)),
    )
    if end.total != head.previous_total + fees:
        raise Stop(
            f"epoch {head.epoch}: {head.previous_total} wei before and {fees} of fees do not make {end.total}; the"
            " previous document is not that of the previous root"
        )
    writer.line(end.as_json())
    return end, writer.close()


def brought_forward(previous: Balances, earned: dict[Address, int]) -> list[tuple[Address, Wei]]:
    """Who has an index keeps it; new accounts follow in the order of their addresses."""
    rest = dict(earned)
    after = [(account, Wei(amount + rest.pop(account, 0))) for account, amount in previous]
    return after + [(account, Wei(rest[account])) for account in sorted(rest, key=str.lower)]


def voucher_line(voucher: Voucher, before: Wei) -> dict[str, object]:
    return {
        "kind": "voucher",
        **vars(voucher),
        "cumulative": str(voucher.cumulative),
        "signature": hexed(voucher.signature),
        "before": str(before),
    }


def balances_of(blobs: Blobs, document: Cid | None) -> list[tuple[Address, Wei]]:
    """Every account's cumulative balance after a batch, by index; nothing before the first."""
    if document is None:
        return []
    with blobs.open(document) as published:
        return list(accounts_in(published))


def accounts_in(published: BinaryIO) -> Iterator[tuple[Address, Wei]]:
    for line in Reader(published).lines():
        if line.startswith(_ACCOUNT):
            content = orjson.loads(line)
            try:
                yield Address(content["account"]), Wei(int(content["cumulative"]))
            except (KeyError, ValueError) as error:
                raise BadDocument(f"an account without {error}") from error

"""Everything that a document claims, computed again from its receipts, line by line.

Needs neither database nor chain. It stops at the first thing that differs and says of which class it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn

import numpy as np

from oracle.settlement.differing import Difference, Judged, Vouched, account_of, first_difference, shown, wei
from oracle.settlement.document import BadDocument, End, Head, Reader, hexed, line_of, parsed, unhexed
from oracle.settlement.hashing import NOTHING, Header, keccak, receipt_leaf, shares_hash, voucher_leaf
from oracle.settlement.receipts import receipt_hash, receipt_preimage, recovered, voucher_preimage
from oracle.settlement.shares import ROLES, Unpayable, divided, require_sound
from oracle.settlement.tree import RewardTree, Tree
from oracle.store.receipts import RECEIPT_FIELDS, Attribution, Lane, Receipt, Terms, Voucher
from oracle.types import Address, Timestamp, Wei

SECTIONS = ("batch", "terms", "voucher", "receipt", "account", "end")


@dataclass
class Replayed:
    """What was found, and how many of each."""

    head: Head
    end: End
    header: Header
    terms: dict[str, Terms]
    versions: dict[tuple[int, int], set[str]]  # (model, version) → hashes of the terms it was served under
    vouchers: list[tuple[Voucher, Wei]]
    balances: list[tuple[Address, Wei]]
    before: list[tuple[Address, Wei]]
    checked: dict[str, int]


@dataclass
class _Running:
    leaves: bytearray = field(default_factory=bytearray)
    fees: int = 0
    amounts: list[int] = field(default_factory=lambda: [0] * len(ROLES))
    earned: dict[Address, int] = field(default_factory=dict)
    lanes: dict[Lane, list[tuple[int, int]]] = field(default_factory=dict)


class Replay:
    def __init__(
        self,
        published: BinaryIO,
        vouched: Vouched = lambda voucher: False,
        signatures: bool = True,
        judged: Judged = lambda receipt, terms: None,
    ) -> None:
        self._reader = Reader(published)
        self._vouched, self._signatures, self._judged = vouched, signatures, judged
        self._running = _Running()
        self._terms: dict[str, Terms] = {}
        self._versions: dict[tuple[int, int], set[str]] = {}
        self._vouchers: list[tuple[Voucher, Wei]] = []
        self._before: list[tuple[Address, Wei]] = []
        self._after: list[tuple[Address, Wei]] = []
        self._counts = dict.fromkeys(SECTIONS, 0)
        self._last: tuple[int, str] = (-1, "")
        self._where = "line 1"

    def run(self) -> Replayed:
        """Raises Difference."""
        head: Head | None = None
        end: End | None = None
        try:
            for number, line in enumerate(self._reader.lines(), 1):
                self._where = f"line {number}"
                content = parsed(line)
                kind = content.get("kind")
                if kind not in SECTIONS or end is not None or (head is None) != (kind == "batch"):
                    self._differs("order", f"a line of kind {kind!r} does not belong here")
                self._counts[kind] += 1
                if kind == "batch":
                    head = Head.from_json(content)
                    self._same(head.as_json(), content)
                elif kind == "end":
                    end = End.from_json(content)
                    self._same(end.as_json(), content)
                else:
                    assert head is not None
                    {"terms": self._on_terms, "voucher": self._on_voucher, "receipt": self._on_receipt}.get(
                        kind, self._on_account
                    )(head, content)
        except BadDocument as error:
            kind = "bytes" if "unpack" in str(error) or "cut" in str(error) or "frame" in str(error) else "form"
            raise Difference(kind, self._where, str(error)) from error
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Difference("form", self._where, f"{type(error).__name__}: {error}") from error
        if head is None or end is None:
            raise Difference("bytes", self._where, "the document ends before its last line")
        return self._concluded(head, end)

    # Line by line

    def _on_terms(self, head: Head, content: dict[str, Any]) -> None:
        self._keys(content, "hash", "kind", "terms")
        found = Terms.from_json(content["terms"])
        self._same(line_of(content["terms"])[:-1], found.as_json())
        self._ascends("terms", content["hash"])
        if hexed(keccak(found.as_json())) != content["hash"]:
            self._differs("terms", f"hash to {hexed(keccak(found.as_json()))}, not to {content['hash']}")
        try:
            require_sound(found)
        except Unpayable as error:
            self._differs("terms", str(error))
        self._terms[content["hash"]] = found

    def _on_voucher(self, head: Head, content: dict[str, Any]) -> None:
        self._keys(content, "before", "consumer", "cumulative", "deadline", "key", "kind", "signature")
        voucher = Voucher(
            account_of(content["consumer"]),
            account_of(content["key"]),
            wei(content["cumulative"]),
            Timestamp(content["deadline"]),
            unhexed(content["signature"]),
        )
        self._ascends("voucher", voucher.consumer.lower() + voucher.key.lower())
        digest = keccak(voucher_preimage(voucher, head.chain, head.escrow))
        if recovered(digest, voucher.signature) != voucher.key and not self._vouched(voucher):
            self._differs(
                "voucher",
                f"not signed by {voucher.key}; of a contract wallet, the chain has to say that it was found good",
            )
        self._vouchers.append((voucher, wei(content["before"])))

    def _on_receipt(self, head: Head, content: dict[str, Any]) -> None:
        self._keys(content, "attribution", "hash", "kind", "receipt", "shares", "signature")
        self._keys(content["receipt"], *RECEIPT_FIELDS)
        receipt = Receipt.from_json(content["receipt"])
        attribution = Attribution.from_json(content["attribution"])
        self._same(receipt.as_json(), line_of(content["receipt"])[:-1])
        self._same(attribution.as_json(), line_of(content["attribution"])[:-1])
        name = receipt_hash(receipt)
        self._ascends("receipt", content["hash"])
        if hexed(name) != content["hash"]:
            self._differs("receipt hash", f"its fields hash to {hexed(name)}, not to {content['hash']}")
        signature = unhexed(content["signature"])
        if self._signatures:
            signer = recovered(keccak(receipt_preimage(name, head.chain, head.escrow)), signature)
            if signer != head.operator:
                self._differs("operator's signature", f"receipt {hexed(name)}: by {signer}, not by {head.operator}")
        terms = self._terms.get(hexed(receipt.terms))
        if terms is None:
            self._differs("terms", f"receipt {hexed(name)}: its terms {hexed(receipt.terms)} are not in the document")
        self._judged(receipt, terms)
        try:
            shares = divided(receipt.fee, terms, attribution.credits, attribution.unattributed)
        except Unpayable as error:
            self._differs("shares", f"receipt {hexed(name)}: {error}")
        listed = [[role, account, str(amount)] for role, account, amount in shares]
        if listed != content["shares"]:
            self._differs("shares", f"receipt {hexed(name)}: {first_difference(content['shares'], listed)}")
        running, index = self._running, self._counts["receipt"] - 1
        for role, account, amount in shares:
            running.amounts[role] += amount
            running.earned[account] = running.earned.get(account, 0) + amount
        running.leaves += receipt_leaf(
            index,
            name,
            receipt.consumer,
            receipt.model,
            receipt.version,
            receipt.fee,
            Wei(running.fees),
            shares_hash(shares),
        )
        running.fees += receipt.fee
        running.lanes.setdefault(receipt.lane, []).append((receipt.lane_total, receipt.fee))
        self._versions.setdefault((receipt.model, receipt.version), set()).add(hexed(receipt.terms))

    def _on_account(self, head: Head, content: dict[str, Any]) -> None:
        self._keys(content, "account", "before", "cumulative", "kind")
        self._ascends("account", "")
        self._before.append((account_of(content["account"]), wei(content["before"])))
        self._after.append((account_of(content["account"]), wei(content["cumulative"])))

    # At the end

    def _concluded(self, head: Head, end: End) -> Replayed:
        self._where = "the whole"
        running = self._running
        if not running.leaves:
            self._differs("sums", "a batch without receipts")
        self._lanes()
        self._accounts()
        self._compare(
            "receipts root", Tree(np.frombuffer(running.leaves, np.uint8).reshape(-1, 32)).root, end.receipts_root
        )
        leaves = [voucher_leaf(*vars(voucher).values()) for voucher, _ in self._vouchers]
        self._compare("vouchers root", Tree.of(leaves).root if leaves else NOTHING, end.vouchers_root)
        self._compare("sums", (self._counts["receipt"], running.fees), (end.receipt_count, end.fees))
        self._compare("sums", tuple(running.amounts), end.amounts)
        self._compare("sums", head.previous_total + running.fees, end.total)
        before = [row for row in self._before if row[1]]
        self._compare("sums", sum(amount for _, amount in before), head.previous_total)
        self._compare("previous root", RewardTree(before).root, head.previous_root)
        self._compare("root", RewardTree(self._after).root, end.root)
        header = end.header(head.epoch, self._reader.document_hash)
        checked = {
            **{name: count for name, count in self._counts.items() if name not in ("batch", "end")},
            "signature": len(self._vouchers) + (self._counts["receipt"] if self._signatures else 0),
            "lane": len(running.lanes),
            "root": 4,
        }
        return Replayed(
            head,
            end,
            header,
            self._terms,
            self._versions,
            self._vouchers,
            self._after,
            before,
            checked,
        )

    def _lanes(self) -> None:
        """Each lane's receipts follow each other and end where its voucher ends: signed for, and delivered."""
        paid = {voucher.lane: (voucher.cumulative, before) for voucher, before in self._vouchers}
        for lane, entries in sorted(self._running.lanes.items()):
            entries.sort(key=lambda entry: (entry[0], -entry[1]))
            at = start = entries[0][0] - entries[0][1]
            for total, fee in entries:
                if total - fee != at:
                    self._differs("lane", f"{lane.consumer} by {lane.key}: a receipt is missing or double at {at} wei")
                at = total
            expected = (at, start)
            if at == start and lane not in paid:
                continue  # nothing was charged
            if paid.pop(lane, None) != expected:
                self._differs(
                    "lane", f"{lane.consumer} by {lane.key}: receipts from {start} to {at} wei have no such voucher"
                )
        if paid:
            lane = min(paid)
            self._differs("lane", f"{lane.consumer} by {lane.key}: a voucher for which there is no receipt")

    def _accounts(self) -> None:
        earned = dict(self._running.earned)
        new: list[str] = []
        for index, ((account, before), (_, after)) in enumerate(zip(self._before, self._after)):
            if after - before != earned.pop(account, 0):
                self._differs("accounts", f"index {index}, {account}: {before} wei and its shares do not make {after}")
            if before == 0:
                new.append(account.lower())
            elif new:
                self._differs("accounts", f"index {index}, {account}: stands behind accounts that are new")
        if earned:
            self._differs("accounts", f"{min(earned)} earned and has no line, or has two")
        if new != sorted(set(new)) or len({account for account, _ in self._after}) != len(self._after):
            self._differs("accounts", "an account is there twice, or new ones are not in the order of their addresses")

    # Refusing

    def _ascends(self, kind: str, name: str) -> None:
        """Sections in their order, and lines in theirs; each name once."""
        here = (SECTIONS.index(kind), name)
        if here < self._last or (here == self._last and kind != "account"):
            self._differs("order", f"{kind} {name} does not come behind {SECTIONS[self._last[0]]} {self._last[1]}")
        self._last = here

    def _keys(self, content: dict[str, Any], *names: str) -> None:
        if tuple(sorted(content)) != names:
            self._differs("form", f"fields {', '.join(sorted(content))} in the place of {', '.join(names)}")

    def _same(self, canonical: object, written: object) -> None:
        if canonical != written:
            self._differs("form", f"written {written!r:.200}, canonical is {canonical!r:.200}")

    def _compare(self, kind: str, computed: object, claimed: object) -> None:
        if computed != claimed:
            self._differs(kind, f"computed {shown(computed)}, the document says {shown(claimed)}")

    def _differs(self, kind: str, detail: str) -> NoReturn:
        raise Difference(kind, self._where, detail)

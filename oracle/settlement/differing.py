"""In what a published batch can differ from what follows from it: the classes, and how each difference is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oracle.errors import NeedsPerson
from oracle.settlement.document import BadDocument, hexed, unhexed
from oracle.store.paid import Receipt, Terms, Voucher
from oracle.types import Address, Wei

CLASSES = (
    "bytes",
    "form",
    "order",
    "terms",
    "voucher",
    "receipt hash",
    "operator's signature",
    "shares",
    "lane",
    "accounts",
    "receipts root",
    "vouchers root",
    "sums",
    "previous root",
    "root",
    "header",
    "statement",
    "quorum",
    "chain",
    "prompt",
    "attribution",
)


Vouched = Callable[[Voucher], bool]
"""Whether the escrow found a contract wallet's voucher good."""

Judged = Callable[[Receipt, Terms], None]
"""Raises Difference where a receipt was made under other terms than the registries had then."""


class Difference(NeedsPerson):
    """What was published is not what follows from it."""

    def __init__(self, kind: str, where: str, detail: str) -> None:
        assert kind in CLASSES
        super().__init__(f"{kind}: {where}: {detail}")
        self.kind, self.where, self.detail = kind, where, detail


def first_difference(said: Any, computed: list[list[Any]]) -> str:
    rows: Iterator[tuple[Any, Any]] = zip(said, computed) if isinstance(said, list) else iter(())
    for theirs, ours in rows:
        if theirs != ours:
            return f"share {theirs} has to be {ours}"
    return f"{len(said) if isinstance(said, list) else said} shares in the place of {len(computed)}"


def account_of(value: Any) -> Address:
    if not isinstance(value, str) or len(unhexed(value.lower(), 20)) != 20:
        raise BadDocument(f"{value!r}: not an account")
    return Address(value)


def wei(value: Any) -> Wei:
    if not isinstance(value, str) or str(int(value)) != value or not 0 <= int(value) < 2**96:
        raise BadDocument(f"{value!r}: not an amount of wei")
    return Wei(int(value))


def shown(value: object) -> str:
    return hexed(value) if isinstance(value, bytes) else str(value)

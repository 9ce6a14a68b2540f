"""What passes from an answer to its payment, as records: receipt, terms, voucher, attribution. No table, no formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import orjson

from oracle.types import Address, BasisPoints, Hash32, Timestamp, Wei


class Lane(NamedTuple):
    consumer: Address
    key: Address


class Credit(NamedTuple):
    """What attribution says of one contribution. `holder` is the earliest owner of its near-duplicate cluster."""

    contribution: Hash32
    owner: Address
    weight: int
    holder: Address | None = None

    @property
    def account(self) -> Address:
        return self.owner if self.holder is None else self.holder


@dataclass(frozen=True)
class Attribution:
    """Integer weights: attribution turned its scores into them, and no float comes below that line."""

    credits: tuple[Credit, ...] = ()
    unattributed: int = 0

    @property
    def weight(self) -> int:
        return self.unattributed + sum(credit.weight for credit in self.credits)

    def as_json(self) -> bytes:
        listed = [
            ["0x" + c.contribution.hex(), c.owner, str(c.weight), c.holder] for c in sorted(self.credits, key=_order)
        ]
        return orjson.dumps({"credits": listed, "unattributed": str(self.unattributed)})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Attribution:
        credited = tuple(
            Credit(Hash32(bytes.fromhex(name[2:])), owner, int(weight), holder)
            for name, owner, weight, holder in content["credits"]
        )
        return cls(credited, int(content["unattributed"]))


@dataclass(frozen=True)
class Terms:
    """Who has a part in a version's fees, as the registries said at the time of the answer."""

    split: tuple[BasisPoints, ...]  # six, in the order of the contracts' roles without Commons
    builder: Address
    treasury: Address
    commons: Address
    upstream: tuple[tuple[Address, int], ...] = ()
    reviewers: tuple[tuple[Address, int], ...] = ()
    attestors: tuple[tuple[Address, int], ...] = ()

    def as_json(self) -> bytes:
        content: dict[str, Any] = {**vars(self), "split": list(self.split)}
        for name in ("upstream", "reviewers", "attestors"):
            content[name] = [[account, str(weight)] for account, weight in sorted(content[name])]
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Terms:
        closed: dict[str, Any] = {
            name: tuple((account, int(weight)) for account, weight in content[name])
            for name in ("upstream", "reviewers", "attestors")
        }
        named: dict[str, Any] = {name: content[name] for name in ("builder", "treasury", "commons")}
        return cls(split=tuple(BasisPoints(part) for part in content["split"]), **named, **closed)


@dataclass(frozen=True)
class Receipt:
    """What one answer cost and how it was made; hashes in the place of texts."""

    id: Hash32
    consumer: Address
    key: Address
    model: int
    version: int
    weights: Hash32
    prompt: Hash32
    output: Hash32
    prompt_tokens: int
    output_tokens: int
    input_price: Wei
    output_price: Wei
    fee: Wei
    lane_total: Wei
    terms: Hash32
    conditions: Hash32
    code: Hash32
    served_at: Timestamp

    def as_json(self) -> bytes:
        content = {name: "0x" + v.hex() if isinstance(v, bytes) else v for name, v in vars(self).items()}
        for name in _AMOUNTS:
            content[name] = str(content[name])
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Receipt:
        values = dict(content)
        for name in _HASHES:
            values[name] = bytes.fromhex(values[name][2:])
        for name in _AMOUNTS:
            values[name] = int(values[name])
        return cls(**values)

    @property
    def lane(self) -> Lane:
        return Lane(self.consumer, self.key)


@dataclass(frozen=True)
class Voucher:
    """ "The operator may take up to `cumulative` of mine, in total", by the lane's key."""

    consumer: Address
    key: Address
    cumulative: Wei
    deadline: Timestamp
    signature: bytes

    @property
    def lane(self) -> Lane:
        return Lane(self.consumer, self.key)


class Stored(NamedTuple):
    """A receipt as it goes into a batch: canonical bytes, not yet parsed."""

    hash: Hash32
    content: bytes
    signature: bytes
    attribution: bytes


@dataclass(frozen=True)
class Found:
    """A receipt with what became of it. `attribution` is None until it is fixed, `batch` until one took it."""

    hash: Hash32
    receipt: Receipt
    signature: bytes
    state: str
    attribution: Attribution | None
    batch: int | None


class LaneStep(NamedTuple):
    """One receipt's place in its lane, and in the store."""

    lane: Lane
    total: Wei
    fee: Wei
    final: bool
    position: int = 0


_AMOUNTS = ("fee", "lane_total", "input_price", "output_price")


_HASHES = ("id", "weights", "prompt", "output", "terms", "conditions", "code")


RECEIPT_FIELDS = tuple(sorted(field.name for field in fields(Receipt)))


def _order(credit: Credit) -> tuple[Hash32, str, int, str]:
    return credit.contribution, credit.owner, credit.weight, credit.holder or ""

"""Batches as a gateway publishes them: receipts, shares, vouchers and the header, hashed without the contract's help.

`Batch` is honest as it is built; a test breaks one thing and seals the batch again, as a lying gateway would.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace

from eth_abi import encode
from eth_utils import keccak

from contributions import typed_digest
from merkle import Tree, leaf

CONTRIBUTOR, BUILDER, UPSTREAM, REVIEWER, ATTESTOR, TREASURY, COMMONS = range(7)
BPS = 10_000
NO_HASH = b"\0" * 32
RECEIPT_TYPE = "(uint256,bytes32,address,uint256,uint256,uint96,uint96,bytes32)"
SHARES_TYPE = "(uint8,address,uint96)[]"
HEADER_TYPE = keccak(
    text="BatchHeader(uint256 epoch,bytes32 receiptsRoot,uint256 receiptCount,bytes32 vouchersRoot,"
    "uint96 fees,uint96[7] amounts,bytes32 documentHash)"
)
ROOT_TYPE = keccak(
    text="RewardRoot(bytes32 previousRoot,bytes32 root,uint256 epoch,uint256 round,uint256 total,bytes32 contentHash)"
)
VOUCHER_TYPE = keccak(text="Voucher(address consumer,address key,uint256 cumulative,uint256 deadline)")


def parts(fee: int, split: tuple) -> list[int]:
    """The fee by role: every part rounded down, what is left handed out by the largest remainder."""
    exact = [divmod(fee * bps, BPS) for bps in split]
    amounts = [whole for whole, _ in exact]
    by_remainder = sorted(range(len(split)), key=lambda role: -exact[role][1])
    for role in by_remainder[: fee - sum(amounts)]:
        amounts[role] += 1
    return amounts


def shares_of(fee: int, split: tuple, accounts: list[str], unattributed: int = 0) -> list[tuple]:
    """One share for each role that has a part; `unattributed` of the contributors' part goes to the commons."""
    amounts = parts(fee, split)
    amounts[CONTRIBUTOR] -= unattributed
    found = [(role, accounts[role], amount) for role, amount in enumerate(amounts) if amount]
    return found + ([(COMMONS, accounts[TREASURY], unattributed)] if unattributed else [])


def shares_hash(shares: list[tuple]) -> bytes:
    return keccak(encode([SHARES_TYPE], [shares]))


@dataclass(frozen=True)
class Receipt:
    index: int
    consumer: str
    model: int
    version: int
    fee: int
    fees_before: int
    shares: tuple

    @property
    def struct(self) -> tuple:
        receipt_hash = keccak(text=f"receipt {self.index}")
        answered = (self.consumer, self.model, self.version, self.fee, self.fees_before)
        return (self.index, receipt_hash, *answered, shares_hash(list(self.shares)))

    @property
    def leaf(self) -> bytes:
        return leaf([RECEIPT_TYPE], (self.struct,))

    def but(self, **changes) -> Receipt:
        return replace(self, **changes)


@dataclass(frozen=True)
class Voucher:
    consumer: str
    key: str
    cumulative: int
    deadline: int
    signature: bytes

    @property
    def leaf(self) -> bytes:
        types = ["address", "address", "uint256", "uint256", "bytes32"]
        return leaf(types, (*astuple(self)[:4], keccak(self.signature)))


def voucher_digest(escrow, consumer: str, key: str, cumulative: int, deadline: int) -> bytes:
    types = ["bytes32", "address", "address", "uint256", "uint256"]
    struct_hash = keccak(encode(types, [VOUCHER_TYPE, consumer, key, cumulative, deadline]))
    return typed_digest("OpenLedger InferenceEscrow", str(escrow), struct_hash)


@dataclass
class Header:
    epoch: int
    receipts_root: bytes
    receipt_count: int
    vouchers_root: bytes
    fees: int
    amounts: list[int]
    document_hash: bytes = keccak(text="document")

    @property
    def struct(self) -> tuple:
        return astuple(self)

    @property
    def hash(self) -> bytes:
        amounts_hash = keccak(encode(["uint96[7]"], [self.amounts]))
        values = [self.epoch, self.receipts_root, self.receipt_count, self.vouchers_root, self.fees, amounts_hash]
        types = ["bytes32", "uint256", "bytes32", "uint256", "bytes32", "uint96", "bytes32", "bytes32"]
        return keccak(encode(types, [HEADER_TYPE, *values, self.document_hash]))


@dataclass(frozen=True)
class Statement:
    """What attestors sign."""

    content_hash: bytes
    root: bytes = keccak(text="reward root")
    epoch: int = 1
    round: int = 0
    total: int = 0
    previous_root: bytes = NO_HASH

    @property
    def struct(self) -> tuple:
        return (self.previous_root, self.root, self.epoch, self.round, self.total, self.content_hash)

    def digest(self, distributor) -> bytes:
        types = ["bytes32", "bytes32", "bytes32", "uint256", "uint256", "uint256", "bytes32"]
        struct_hash = keccak(encode(types, [ROOT_TYPE, *self.struct]))
        return typed_digest("OpenLedger RewardDistributor", str(distributor), struct_hash)

    def but(self, **changes) -> Statement:
        return replace(self, **changes)


@dataclass
class Batch:
    """Receipts and vouchers with the header that follows from them, until `overrides` makes the header lie."""

    receipts: list[Receipt]
    vouchers: list[Voucher] = field(default_factory=list)
    epoch: int = 1
    overrides: dict = field(default_factory=dict)

    @property
    def receipt_tree(self) -> Tree:
        return Tree([receipt.leaf for receipt in self.receipts])

    @property
    def voucher_tree(self) -> Tree:
        return Tree([voucher.leaf for voucher in self.vouchers] or [NO_HASH])

    @property
    def header(self) -> Header:
        amounts = [0] * 7
        for receipt in self.receipts:
            for role, _, amount in receipt.shares:
                amounts[role] += amount
        header = Header(
            self.epoch,
            self.receipt_tree.root,
            len(self.receipts),
            self.voucher_tree.root,
            sum(receipt.fee for receipt in self.receipts),
            amounts,
        )
        return replace(header, **self.overrides)

    @property
    def statement(self) -> Statement:
        return Statement(self.header.hash, epoch=self.epoch, total=self.header.fees)

    def receipt_proof(self, place: int) -> tuple:
        return (self.receipts[place].struct, self.receipt_tree.proof(place))

    def voucher_proof(self, place: int) -> tuple:
        return (*astuple(self.vouchers[place]), self.voucher_tree.proof(place))


def running(receipts: list[Receipt]) -> list[Receipt]:
    """Receipts with their indices and running sums in order."""
    ordered, before = [], 0
    for index, receipt in enumerate(receipts):
        ordered.append(receipt.but(index=index, fees_before=before))
        before += receipt.fee
    return ordered

"""What Solidity hashed, hashed by the settlement."""

from __future__ import annotations

import json
from pathlib import Path

from eth_abi.abi import encode
from eth_utils.crypto import keccak as peer

from oracle.settlement.hashing import Header, double, keccak, receipt_leaf, reward_leaf, shares_hash, voucher_leaf
from oracle.settlement.shares import Role, Share
from oracle.types import Address, Epoch, Hash32, Wei

HASHES = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "hashes.json").read_text())
SIGNER, CONSUMER, TREASURY = (Address(HASHES[name]) for name in ("signer", "consumer", "treasury"))
SHARES = (
    Share(Role.CONTRIBUTOR, SIGNER, Wei(700)),
    Share(Role.BUILDER, CONSUMER, Wei(200)),
    Share(Role.TREASURY, TREASURY, Wei(100)),
)


def text(value: str) -> Hash32:
    return Hash32(peer(text=value))


def shown(value: bytes) -> str:
    return "0x" + value.hex()


def test_hashes__of_a_batchs_parts__then_they_are_the_contracts() -> None:
    assert shown(shares_hash(SHARES)) == HASHES["sharesHash"]
    leaf = receipt_leaf(3, text("receipt"), CONSUMER, 2, 1, Wei(1_000), Wei(55_000), shares_hash(SHARES))
    assert shown(leaf) == HASHES["receiptLeaf"]
    voucher = voucher_leaf(CONSUMER, SIGNER, Wei(42 * 10**18), 1_900_000_000, b"\x01\x02\x03")
    assert shown(voucher) == HASHES["voucherLeaf"]
    assert shown(reward_leaf(SIGNER, Wei(1_234_567_890_123_456_789_012))) == HASHES["rewardLeaf"]
    amounts = tuple(Wei(amount) for amount in (39_000, 11_000, 0, 1_000, 2_000, 2_500, 500))
    header = Header(Epoch(8), text("receipts"), 4, text("vouchers"), Wei(56_000), amounts, text("document"))
    assert shown(header.hash) == HASHES["headerHash"]


def test_shares_hash__of_no_shares__then_it_is_the_abis() -> None:
    assert shares_hash(()) == peer(encode(["(uint8,address,uint96)[]"], [[]]))


def test_double__of_bytes__then_twice_the_same_hash() -> None:
    assert double(b"x") == peer(peer(b"x")) and keccak(b"") == peer(b"")

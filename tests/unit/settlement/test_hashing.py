"""What Solidity hashed, hashed by the settlement."""

from __future__ import annotations

import json
from pathlib import Path

from eth_abi.abi import encode
from eth_utils.crypto import keccak as peer

from oracle.settlement.hashing import (
    Header,
    Statement,
    double,
    keccak,
    receipt_leaf,
    reward_leaf,
    shares_hash,
    voucher_leaf,
)
from oracle.settlement.receipts import receipt_hash, receipt_preimage, recovered, voucher_preimage
from oracle.settlement.shares import Role, Share
from oracle.store.receipts import Receipt, Voucher
from oracle.types import Address, ChainId, Epoch, Hash32, Timestamp, Wei

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
HASHES = json.loads((VECTORS / "hashes.json").read_text())
RECEIPT = json.loads((VECTORS / "receipts.json").read_text())
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


def test_receipt__as_solidity_hashes_and_signs_it__then_python_does_and_knows_who_signed() -> None:
    receipt = Receipt(
        id=text("receipt"),
        consumer=RECEIPT["consumer"],
        key=RECEIPT["key"],
        model=7,
        version=3,
        weights=text("weights"),
        prompt=text("prompt"),
        output=text("output"),
        prompt_tokens=1200,
        output_tokens=345,
        input_price=Wei(2 * 10**15),
        output_price=Wei(6 * 10**15),
        fee=Wei(4_470_000_000_000_001),
        lane_total=Wei(123_456_789_012_345_678_901),
        terms=text("terms"),
        conditions=text("conditions"),
        code=text("code"),
        served_at=Timestamp(1_800_000_123),
    )
    name = receipt_hash(receipt)
    digest = keccak(receipt_preimage(name, ChainId(31337), RECEIPT["escrow"]))
    assert (shown(name), shown(digest)) == (RECEIPT["receiptHash"], RECEIPT["digest"])
    signature = bytes.fromhex(RECEIPT["signature"][2:])
    assert recovered(digest, signature) == RECEIPT["signer"]
    for at in range(65):
        changed = signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]
        assert recovered(digest, changed) != RECEIPT["signer"]


def test_recovered__of_a_signatures_twin_or_a_wrong_length__then_nobody() -> None:
    digest, signature = bytes.fromhex(RECEIPT["digest"][2:]), bytes.fromhex(RECEIPT["signature"][2:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    twin = signature[:32] + (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    assert recovered(digest, twin + bytes([55 - signature[64]])) is None
    assert recovered(digest, signature[:-1]) is None and recovered(digest, bytes(64) + b"\x1b") is None


def test_messages__of_lane_and_root__then_they_are_those_of_the_chains_part() -> None:
    signed = json.loads((VECTORS / "messages.json").read_text())
    voucher, root = signed["Voucher"], signed["RewardRoot"]
    said = voucher["content"]
    made = Voucher(said["consumer"], said["key"], Wei(int(said["cumulative"])), Timestamp(int(said["deadline"])), b"")
    preimage = voucher_preimage(made, ChainId(31337), voucher["verifyingContract"])
    assert shown(keccak(preimage)) == voucher["digest"]
    said = root["content"]
    hashes = {name: Hash32(bytes.fromhex(said[name][2:])) for name in ("previousRoot", "root", "contentHash")}
    statement = Statement(
        hashes["previousRoot"],
        hashes["root"],
        Epoch(int(said["epoch"])),
        int(said["round"]),
        Wei(int(said["total"])),
        hashes["contentHash"],
    )
    assert shown(keccak(statement.preimage(31337, root["verifyingContract"]))) == root["digest"]


def test_double__of_bytes__then_twice_the_same_hash() -> None:
    assert double(b"x") == peer(peer(b"x")) and keccak(b"") == peer(b"")

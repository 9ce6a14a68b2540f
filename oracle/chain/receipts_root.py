"""The root that a header commits to its receipts with: a Merkle Patricia trie over their place in the block.

With it the logs of a block are complete for certain, as long as the header is true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_utils.crypto import keccak

# Legacy, access lists, EIP-1559, blobs, EIP-7702: one encoding for all.
_STANDARD = ("0x0", "0x1", "0x2", "0x3", "0x4")
_DEPOSIT = "0x7e"  # of the OP stack, with two more fields


def receipts_root(receipts: Sequence[Mapping[str, Any]]) -> bytes | None:
    """None where a chain has transactions of its own whose receipts are encoded in a way that is not known here."""
    encoded = []
    for receipt in receipts:
        one = _receipt(receipt)
        if one is None:
            return None
        encoded.append(one)
    items = sorted((_nibbles(_number(place)), value) for place, value in enumerate(encoded))
    return keccak(_node(items, 0) if items else b"\x80")


def _receipt(receipt: Mapping[str, Any]) -> bytes | None:
    kind = hex(int(receipt.get("type") or "0x0", 16))
    if kind not in (*_STANDARD, _DEPOSIT):
        return None
    status = bytes.fromhex(receipt["root"][2:]) if "status" not in receipt else None
    fields = [
        _string(status) if status is not None else _number(int(receipt["status"], 16)),
        _number(int(receipt["cumulativeGasUsed"], 16)),
        _string(bytes.fromhex(receipt["logsBloom"][2:])),
        _list([_log(log) for log in receipt["logs"]]),
    ]
    if kind == _DEPOSIT:
        fields += [
            _number(int(receipt[name], 16)) for name in ("depositNonce", "depositReceiptVersion") if name in receipt
        ]
    return (b"" if kind == "0x0" else bytes([int(kind, 16)])) + _list(fields)


def _log(log: Mapping[str, Any]) -> bytes:
    topics = b"".join([b"\xa0" + bytes.fromhex(topic[2:]) for topic in log["topics"]])
    return _list(
        [
            b"\x94" + bytes.fromhex(log["address"][2:]),
            _head(len(topics), 0xC0) + topics,
            _string(bytes.fromhex(log["data"][2:])),
        ]
    )


# RLP of what is needed here: byte strings, numbers, lists of what is encoded already.


def _head(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(size)]) + size


def _string(content: bytes) -> bytes:
    return content if len(content) == 1 and content[0] < 0x80 else _head(len(content), 0x80) + content


def _number(value: int) -> bytes:
    return _string(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _list(encoded: Sequence[bytes]) -> bytes:
    content = b"".join(encoded)
    return _head(len(content), 0xC0) + content


# The trie. Keys are half-bytes, sorted; no key is the beginning of another.


def _nibbles(key: bytes) -> tuple[int, ...]:
    return tuple(half for byte in key for half in (byte >> 4, byte & 15))


def _node(items: Sequence[tuple[tuple[int, ...], bytes]], depth: int) -> bytes:
    first, last = items[0][0], items[-1][0]
    if len(items) == 1:
        return _list([_path(first[depth:], leaf=True), _string(items[0][1])])
    shared = depth
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return _list([_path(first[depth:shared], leaf=False), _reference(_node(items, shared))])
    branches = [b"\x80"] * 17
    begin = 0
    while begin < len(items):
        half, end = items[begin][0][depth], begin
        while end < len(items) and items[end][0][depth] == half:
            end += 1
        branches[half] = _reference(_node(items[begin:end], depth + 1))
        begin = end
    return _list(branches)


def _reference(node: bytes) -> bytes:
    return node if len(node) < 32 else b"\xa0" + keccak(node)


def _path(nibbles: tuple[int, ...], leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    halves = (flag + 1, *nibbles) if len(nibbles) % 2 else (flag, 0, *nibbles)
    return _string(bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2])))

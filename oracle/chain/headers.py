"""Headers of blocks, and what their bloom filters tell about logs.

A bloom filter never denies what is there: where it does not hold an account, the block has no log of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from eth_utils.crypto import keccak

from oracle.chain.endpoint import BadAnswer
from oracle.types import BlockHash, BlockNumber, Timestamp


class Header(NamedTuple):
    number: BlockNumber
    hash: BlockHash
    parent: BlockHash
    timestamp: Timestamp
    bloom: int
    transactions: tuple[str, ...]  # hashes, as the node writes them
    receipts_root: bytes | None = None  # None on chains that leave it out or empty


def header(answer: Mapping[str, Any] | None) -> Header:
    """From what eth_getBlockBy… answers, without its transactions' contents."""
    if answer is None:
        raise BadAnswer("it does not have a block that it announced")
    try:
        return Header(
            BlockNumber(int(answer["number"], 16)),
            BlockHash(bytes.fromhex(answer["hash"][2:])),
            BlockHash(bytes.fromhex(answer["parentHash"][2:])),
            Timestamp(int(answer["timestamp"], 16)),
            int(answer["logsBloom"], 16),
            tuple(answer["transactions"]),
            _root(answer.get("receiptsRoot")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"a block without {error}") from error


def _root(digits: str | None) -> bytes | None:
    root = bytes.fromhex((digits or "0x")[2:])
    return root if any(root) else None


@lru_cache(maxsize=1 << 17)
def bloom_bits(item: str) -> int:
    """The three bits of an account or a topic, given in hexadecimal with 0x."""
    hashed = keccak(bytes.fromhex(item[2:]))
    return (
        1 << (int.from_bytes(hashed[0:2], "big") & 2047)
        | 1 << (int.from_bytes(hashed[2:4], "big") & 2047)
        | 1 << (int.from_bytes(hashed[4:6], "big") & 2047)
    )


def may_hold(bloom: int, masks: Iterable[int]) -> bool:
    return any(bloom & mask == mask for mask in masks)


def bloom_of(logs: Iterable[Mapping[str, Any]]) -> int:
    bloom = 0
    for log in logs:
        bloom |= bloom_bits(log["address"])
        for topic in log["topics"]:
            bloom |= bloom_bits(topic)
    return bloom

"""Which receipts of a batch an attestor looks at: drawn by a block's hash, so that both sides find the same ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import BinaryIO

from oracle.settlement.document import Reader, parsed
from oracle.settlement.hashing import keccak
from oracle.store.paid import Attribution, Receipt
from oracle.types import Address, BlockHash, BlockNumber, Hash32

_RECEIPT = b'"kind":"receipt"'


@dataclass(frozen=True)
class Drawn:
    """A final block, and how many receipts its hash draws."""

    block: BlockNumber
    hash: BlockHash
    size: int

    def of(self, published: BinaryIO, content_hash: Hash32, attestor: Address) -> list[tuple[Receipt, Attribution]]:
        """Nobody knew the hash when the operator fixed the batch; and each attestor looks at other receipts."""
        return sampled(published, self.size, keccak(self.hash + content_hash + bytes.fromhex(attestor[2:])))


def sampled(published: BinaryIO, size: int, seed: bytes) -> list[tuple[Receipt, Attribution]]:
    """Evenly, of a document that was checked before: its lines alone are looked at, as long as it may be."""
    chance, kept, seen = random.Random(seed), list[bytes](), 0
    for line in Reader(published).lines():
        if _RECEIPT not in line:
            continue
        seen += 1
        if len(kept) < size:
            kept.append(line)
        elif (place := chance.randrange(seen)) < size:
            kept[place] = line
    return [_read(line) for line in kept]


def _read(line: bytes) -> tuple[Receipt, Attribution]:
    content = parsed(line)
    return Receipt.from_json(content["receipt"]), Attribution.from_json(content["attribution"])

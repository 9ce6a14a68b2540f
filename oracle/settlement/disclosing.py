"""An attestor's request to read the answers in its sample of one batch: what it signs, and what comes back.

The attestor names a block that does not exist yet; the operator writes it down. Once that block is final its hash
draws the sample, which then neither of them has chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from oracle.errors import NeedsPerson
from oracle.settlement.document import hexed, unhexed
from oracle.settlement.hashing import domain, keccak, typed_preimage, word
from oracle.store.answers import Exchange
from oracle.types import Address, BlockNumber, ChainId, Hash32

DISCLOSURES = "OpenLedger Disclosures"
DISCLOSURE_TYPE = keccak(b"Disclosure(bytes32 contentHash,uint256 round,uint256 block,uint256 sample)")
SOONEST, LATEST = 1, 64  # blocks behind the operator's newest one in which the drawing block may lie

Content = dict[str, Any]


class NotARequest(NeedsPerson):
    """What came is not a signed request for a disclosure."""


@dataclass(frozen=True)
class Request:
    content_hash: Hash32
    round: int
    block: BlockNumber
    sample: int

    def preimage(self, chain: ChainId, distributor: Address) -> bytes:
        struct = keccak(DISCLOSURE_TYPE + self.content_hash + word(self.round) + word(self.block) + word(self.sample))
        return typed_preimage(domain(DISCLOSURES, chain, distributor), struct)

    def signed(self, signature: bytes) -> bytes:
        """As it goes over the wire."""
        content = {**vars(self), "content_hash": hexed(self.content_hash), "signature": hexed(signature)}
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    @classmethod
    def read(cls, written: bytes) -> tuple[Request, bytes]:
        """With its signature."""
        try:
            content = orjson.loads(written)
            numbers = [content[name] for name in ("round", "block", "sample")]
            if sorted(content) != ["block", "content_hash", "round", "sample", "signature"] or not all(
                type(number) is int and 0 <= number < 2**63 for number in numbers
            ):
                raise ValueError("its fields are not those of a request")
            name, signature = Hash32(unhexed(content["content_hash"], 32)), unhexed(content["signature"], 65)
        except (orjson.JSONDecodeError, TypeError, KeyError, ValueError, NeedsPerson) as error:
            raise NotARequest(f"not a request for a disclosure: {error}") from None
        return cls(name, numbers[0], BlockNumber(numbers[1]), numbers[2]), signature


def opened(
    receipt: Hash32, salt: bytes, exchange: Exchange, conditions: bytes | None, passages: list[Content]
) -> Content:
    """A disclosed answer: all that the receipt's hashes are made of, the tokens that the model saw and said, and the
    passages that stood in its prompt, in their order. Whose they are say the conditions, whose hash is the receipt's.
    """
    return {
        "receipt": hexed(receipt), "salt": hexed(salt), "said": exchange.said, "texts": list(exchange.texts),
        "prompt_tokens": list(exchange.prompt_tokens), "output_tokens": list(exchange.output_tokens),
        "conditions": "" if conditions is None else conditions.decode(), "passages": passages,
    }  # fmt: skip


def gone(receipt: Hash32, why: str) -> Content:
    return {"receipt": hexed(receipt), "gone": why}

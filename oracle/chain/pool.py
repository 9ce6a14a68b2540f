"""Handing signed bytes to the nodes' pools, and what their answers mean."""

from __future__ import annotations

import logging
from enum import Enum

from oracle.chain.rpc import Rpc
from oracle.chain.transport import NodeError

log = logging.getLogger(__name__)


class Answer(Enum):
    TAKEN = "taken"  # also if it was there already
    SPENT = "spent"  # its nonce is in a block: by this transaction, by an earlier version of it, or by a stranger
    TOO_CHEAP = "too cheap"  # for a replacement, or for the base fee
    NO_FUNDS = "no funds"
    UNKNOWN = "unknown"


# Every client has its own words. The order matters: the first that fits counts.
_WORDS = (
    (Answer.TAKEN, ("already known", "already imported", "already exists", "known transaction", "alreadyknown")),
    (Answer.SPENT, ("nonce too low", "nonce is too low", "oldnonce", "old nonce", "nonce has already been used")),
    (
        Answer.TOO_CHEAP,
        (
            "underpriced",
            "fee too low",
            "feetoolow",
            "gas price too low",
            "less than block base fee",
            "could not replace",
        ),
    ),
    (Answer.NO_FUNDS, ("insufficient funds", "insufficientfunds", "not enough funds")),
)


def offer(rpc: Rpc, raw: bytes, everywhere: bool = False) -> tuple[Answer, str]:
    """Sends it; the second part is what the node said. Repeating it is harmless: the bytes name one transaction."""
    request = ("eth_sendRawTransaction", ["0x" + raw.hex()])
    if everywhere:
        # A node that takes a transaction and passes it on to nobody looks healthy.
        rpc.each([request], even_resting=False)
    answer = rpc.batch([request])[0]
    return meaning(answer) if isinstance(answer, NodeError) else (Answer.TAKEN, "")


def meaning(error: NodeError) -> tuple[Answer, str]:
    said = error.message.lower()
    for answer, words in _WORDS:
        if any(word in said for word in words):
            return answer, error.message
    return Answer.UNKNOWN, str(error)


def knows(rpc: Rpc, tx: bytes) -> bool:
    """Whether a node has it in its pool or in a block."""
    answer = rpc.batch([("eth_getTransactionByHash", ["0x" + tx.hex()])])[0]
    return answer is not None and not isinstance(answer, NodeError)

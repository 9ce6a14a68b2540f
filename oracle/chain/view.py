"""The chain at one moment, as the sender sees it: everything is read at the same block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oracle.chain.endpoint import BadAnswer
from oracle.chain.headers import Header
from oracle.chain.reading import Finality, headers, heads, willing
from oracle.chain.rpc import Rpc
from oracle.chain.transport import Request
from oracle.types import Address, BlockHash, BlockNumber, TxHash, Wei

_BLOCKS_OF_TIPS = 10


@dataclass(frozen=True)
class View:
    """`nonce` is the number of the account's transactions at the head."""

    head: Header
    final: BlockNumber
    nonce: int
    base_fee: Wei
    tips: tuple[int, ...]

    @property
    def pinned(self) -> dict[str, str]:
        """The head as a parameter (EIP-1898): a call cannot land on another block than the rest of the view."""
        return {"blockHash": "0x" + self.head.hash.hex()}


@dataclass(frozen=True)
class Receipt:
    tx: TxHash
    block: BlockNumber
    block_hash: BlockHash
    succeeded: bool


def view(rpc: Rpc, sender: Address, finality: Finality) -> View:
    chain = heads(rpc, finality)

    def understand(answers: list[Any]) -> View:
        count, fees = willing(answers)
        try:
            return View(
                chain.head,
                chain.final,
                int(count, 16),
                Wei(int(fees["baseFeePerGas"][-1], 16)),
                tuple(int(reward[0], 16) for reward in fees.get("reward") or () if reward),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BadAnswer(f"no fee history ({type(error).__name__})") from error

    return rpc.read(
        [
            ("eth_getTransactionCount", [sender, {"blockHash": "0x" + chain.head.hash.hex()}]),
            ("eth_feeHistory", [hex(_BLOCKS_OF_TIPS), hex(chain.head.number), [50]]),
        ],
        understand,
    )


def receipts(rpc: Rpc, hashes: Sequence[TxHash]) -> dict[TxHash, Receipt]:
    """Those that are mined in a block which the same moment's chain still has."""
    if not hashes:
        return {}
    asked: list[Request] = [("eth_getTransactionReceipt", ["0x" + tx.hex()]) for tx in hashes]

    def understand(answers: list[Any]) -> list[Receipt]:
        return [_receipt(tx, answer) for tx, answer in zip(hashes, willing(answers)) if answer is not None]

    found = rpc.read(asked, understand)
    there = {block.number: block.hash for block in headers(rpc, sorted({receipt.block for receipt in found}))}
    return {receipt.tx: receipt for receipt in found if there[receipt.block] == receipt.block_hash}


def newest_nonce(rpc: Rpc, sender: Address) -> int:
    """By the node that knows most: a place that one which is behind calls free may be taken."""
    said = rpc.each([("eth_getTransactionCount", [sender, "latest"])], even_resting=False)
    counts = [int(answers[0], 16) for _, answers in said if isinstance(answers[0], str)]
    return max(counts, default=0)


def still_there(rpc: Rpc, block: BlockNumber, block_hash: BlockHash) -> bool:
    return headers(rpc, [block])[0].hash == block_hash


def nobody_has_mined(rpc: Rpc, hashes: Sequence[TxHash]) -> bool:
    """Whether every node that can be asked denies all of them. One that lags behind could deny what is there."""
    asked: list[Request] = [("eth_getTransactionReceipt", ["0x" + tx.hex()]) for tx in hashes]
    said = rpc.each(asked)
    return bool(said) and all(answer is None for _, answers in said for answer in answers)


def _receipt(tx: TxHash, answer: Any) -> Receipt:
    try:
        if bytes.fromhex(answer["transactionHash"][2:]) != tx:
            raise BadAnswer(f"the receipt of another transaction than 0x{tx.hex()}")
        return Receipt(
            tx,
            BlockNumber(int(answer["blockNumber"], 16)),
            BlockHash(bytes.fromhex(answer["blockHash"][2:])),
            int(answer["status"], 16) == 1,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"a receipt without {error}") from error

"""Blocks and their logs, in a form that proves that none is missing.

The logs of a block are taken from the receipts of all its transactions, asked for by the block's hash. They count as
complete only if there are as many receipts as transactions, in their order, if the logs are numbered without a gap, if
together they make exactly the bloom filter of the header, and if the receipts have the root that the header names. So
whatever a node leaves out is noticed, unless it also invents a header; headers are linked by their parents' hashes and
compared between nodes where it matters.

(Where a chain has transactions of its own, whose receipts are encoded in a way not known here, the root is not
compared. Then one thing can go unnoticed: the last logs of a block, if each repeats account and topics of another.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from oracle.chain.endpoint import BadAnswer, is_too_much
from oracle.chain.headers import Header, bloom_of, header
from oracle.chain.receipts_root import receipts_root
from oracle.chain.rpc import Rpc, TooMuch
from oracle.chain.spans import Span
from oracle.chain.transport import NodeError, Request
from oracle.types import BlockNumber

Finality = Literal["finalized", "safe"] | int
Log = Mapping[str, Any]

_NO_SUCH_METHOD = -32601


@dataclass(frozen=True)
class Heads:
    """Where the chain stands. `final_header` is there where the node itself names the final block."""

    head: Header
    final: BlockNumber
    final_header: Header | None


def heads(rpc: Rpc, finality: Finality) -> Heads:
    requests: list[Request] = [("eth_getBlockByNumber", ["latest", False])]
    if isinstance(finality, str):
        requests.append(("eth_getBlockByNumber", [finality, False]))

    def understand(answers: list[Any]) -> Heads:
        found = [header(answer) for answer in willing(answers)]
        if isinstance(finality, int):
            return Heads(found[0], BlockNumber(max(0, found[0].number - finality)), None)
        return Heads(found[0], found[1].number, found[1])

    return rpc.read(requests, understand)


def headers(rpc: Rpc, numbers: Sequence[int]) -> list[Header]:
    """All from one node. Where the numbers are consecutive, so are the blocks: each is the parent of the next."""

    def understand(answers: list[Any]) -> list[Header]:
        found = [header(answer) for answer in willing(answers)]
        for number, this, before in zip(numbers, found, [None, *found]):
            if this.number != number:
                raise BadAnswer(f"block {this.number} in place of {number}")
            if before is not None and before.number + 1 == this.number and this.parent != before.hash:
                raise BadAnswer(f"block {number} does not follow from block {before.number}")
        return found

    if not numbers:
        return []
    return rpc.read([("eth_getBlockByNumber", [hex(number), False]) for number in numbers], understand)


class Receipts:
    """The logs of whole blocks, proven complete. Remembers how much a node carries at once."""

    def __init__(self, rpc: Rpc, transactions: int = 400, largest: int = 4000) -> None:
        self._rpc = rpc
        self.span = Span(transactions, largest)
        self._whole_blocks = True

    def logs(self, blocks: Sequence[Header]) -> dict[int, list[Log]]:
        """Block number → all of its logs, of whatever contract."""
        found: dict[int, list[Log]] = {}
        remaining = list(blocks)
        while remaining:
            part = self._portion(remaining)
            try:
                found |= self._of(part)
            except TooMuch:
                if len(part) == 1:
                    raise
                self.span.shrink()
                continue
            self.span.grow()
            remaining = remaining[len(part) :]
        return found

    def _portion(self, blocks: Sequence[Header]) -> list[Header]:
        count, transactions = 0, 0
        for block in blocks:
            transactions += len(block.transactions)
            if count and transactions > self.span.size:
                break
            count += 1
        return list(blocks[:count])

    def _of(self, blocks: Sequence[Header]) -> dict[int, list[Log]]:
        if self._whole_blocks:
            asked: list[Request] = [("eth_getBlockReceipts", ["0x" + block.hash.hex()]) for block in blocks]
            found = self._rpc.read(asked, lambda answers: _of_blocks(blocks, answers))
            if found is not None:
                return found
            self._whole_blocks = False
        return {block.number: self._one_by_one(block) for block in blocks}

    def _one_by_one(self, block: Header) -> list[Log]:
        """For nodes without eth_getBlockReceipts."""
        asked: list[Request] = [("eth_getTransactionReceipt", [tx]) for tx in block.transactions]
        return self._rpc.read(asked, lambda answers: proven(block, willing(answers))) if asked else []


def _of_blocks(blocks: Sequence[Header], answers: list[Any]) -> dict[int, list[Log]] | None:
    """None where the node does not know the method."""
    if any(isinstance(answer, NodeError) and answer.code == _NO_SUCH_METHOD for answer in answers):
        return None
    return {block.number: proven(block, answer) for block, answer in zip(blocks, willing(answers))}


def proven(block: Header, receipts: Any) -> list[Log]:
    """The logs of a block, or BadAnswer where they are not all of them."""
    where = f"block {block.number} (0x{block.hash.hex()})"
    if not isinstance(receipts, list):
        raise BadAnswer(f"it has no receipts of {where}")
    try:
        if tuple(receipt and receipt["transactionHash"] for receipt in receipts) != block.transactions:
            raise BadAnswer(f"{len(receipts)} receipts do not match {len(block.transactions)} transactions of {where}")
        logs = [log for receipt in receipts for log in receipt["logs"]]
        if [int(log["logIndex"], 16) for log in logs] != list(range(len(logs))):
            raise BadAnswer(f"the logs of {where} are numbered with a gap: some are missing")
        if any(bytes.fromhex(log["blockHash"][2:]) != block.hash for log in logs):
            raise BadAnswer(f"the logs of {where} are of another block")
        if bloom_of(logs) != block.bloom:
            raise BadAnswer(f"the {len(logs)} logs of {where} do not make the bloom filter of its header")
        if block.receipts_root is not None and receipts_root(receipts) not in (None, block.receipts_root):
            raise BadAnswer(f"the receipts of {where} do not have the root of its header")
    except (KeyError, TypeError, ValueError) as error:
        raise BadAnswer(f"receipts of {where} without {error}") from error
    return logs


def willing(answers: list[Any]) -> list[Any]:
    """The same answers, none of which is a refusal."""
    for answer in answers:
        if isinstance(answer, NodeError):
            if is_too_much(answer):
                raise TooMuch(f"a node refuses: {answer}")
            raise BadAnswer(str(answer))
    return answers

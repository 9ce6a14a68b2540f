"""The long past of a busy chain: eth_getLogs tells in which blocks to look, receipts what is in them.

Reading every header is sure, but takes long where blocks are many and hardly any is ours. Here all nodes are asked for
the logs of a range, and each block that any of them names is read and proven by its receipts. What can go unnoticed is
a block that every node forgets entirely; a single node that returns half of the logs can do that, two seldom do, and
where two are configured two have to answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from oracle.chain.endpoint import is_too_much
from oracle.chain.headers import Header
from oracle.chain.reading import headers
from oracle.chain.rpc import NodesUnavailable, Rpc, TooMuch
from oracle.chain.spans import Span
from oracle.chain.transport import NodeError
from oracle.types import Address, BlockNumber


class History:
    def __init__(self, rpc: Rpc, addresses: Sequence[Address], blocks_at_once: int, largest: int) -> None:
        self._rpc, self._addresses = rpc, list(addresses)
        self.span = Span(blocks_at_once, largest)

    def blocks(self, start: int, final: BlockNumber) -> list[Header]:
        """Those with events of ours from `start` on, and the last that was looked at; never beyond a final one."""
        while True:
            end = min(final, start + self.span.size - 1)
            try:
                named = self._named(start, end)
                found = headers(self._rpc, sorted(named | {end}))
            except TooMuch:
                if self.span.size == 1:
                    raise
                self.span.shrink()
                continue
            self.span.grow()
            return found

    def _named(self, start: int, end: int) -> set[int]:
        asked = {"address": self._addresses, "fromBlock": hex(start), "toBlock": hex(end)}
        named: set[int] = set()
        refusals: list[str] = []
        heard = 0
        for node, answers in self._rpc.each([("eth_getLogs", [asked])]):
            answer = answers[0]
            if isinstance(answer, NodeError):
                if is_too_much(answer):
                    raise TooMuch(f"{node}: {answer}, for {end - start + 1} blocks")
                refusals.append(f"{node}: {answer}")
                continue
            heard += 1
            named |= {int(log["blockNumber"], 16) for log in answer}
        needed = min(2, sum(not endpoint.excluded for endpoint in self._rpc.endpoints))
        if heard < max(1, needed):
            said = "; ".join(refusals) or "the others do not answer"
            raise NodesUnavailable(
                f"only {heard} of {needed} nodes that are to agree tell the logs of blocks {start} to {end}: {said};"
                " it is tried again. A node that stays silent has to leave OPENLEDGER_RPC_URLS"
            )
        return {number for number in named if start <= number <= end}

"""Where our line of blocks leaves the chain's: reorgs, and those that go deeper than finality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from oracle.chain import stops
from oracle.chain.headers import Header, header
from oracle.chain.reading import headers
from oracle.chain.rpc import Rpc
from oracle.chain.transport import NodeError
from oracle.errors import Retry
from oracle.store import blocks
from oracle.store.blocks import Block
from oracle.store.database import Database
from oracle.types import BlockHash, BlockNumber, ChainId, Timestamp


class ChainMoved(Retry):
    """The chain or the nodes changed while they were being read; nothing was written."""


class Line:
    def __init__(self, rpc: Rpc, database: Database, chain: ChainId, now: Callable[[], float]) -> None:
        self._rpc, self._database, self._chain, self._now = rpc, database, chain, now

    def ancestor(self, kept: Sequence[Block], head: Header) -> Block | None:
        """The last of our blocks, from the final one on, that is still in the chain; None where we have none yet.

        Raises DeepReorg where the chain has lost our final block, and leaves a mark.
        """
        if not kept:
            return None
        reachable = [block for block in kept if block.number <= head.number]
        if not reachable:
            raise ChainMoved(
                f"the nodes of chain {self._chain} are at block {head.number}, but block {kept[0].number} was final"
                " before: they are still syncing, or the chain was reset (then use another database)"
            )
        if self._hash_now(reachable[-1].number) == reachable[-1].hash:
            # A node that is merely behind takes nothing back.
            return kept[-1]
        there = headers(self._rpc, [block.number for block in reachable])
        for block, now in reversed(list(zip(reachable, there))):
            if block.hash == now.hash:
                return block
        with self._database.reading() as connection:
            reached = blocks.progress(connection, self._chain)
        if reached is None or reached.final is None:
            return None
        self.lost(reachable[0].number, reachable[0].hash)
        raise AssertionError("a mark that was just made is found")

    def lost(self, number: BlockNumber, was: BlockHash) -> None:
        """A final block is gone, it seems: raises DeepReorg and leaves a mark, or ChainMoved if a node still has it.

        One node alone cannot stop settlement: all that answer have to have lost the block.
        """
        now = self._hash_now(number)
        if now == was:
            raise ChainMoved(f"block {number} is there again; a node is behind the others")
        for name, answers in self._rpc.each([("eth_getBlockByNumber", [hex(number), False])]):
            answer = answers[0]
            if not isinstance(answer, NodeError) and answer is not None and header(answer).hash == was:
                raise ChainMoved(
                    f"nodes disagree on final block {number}: {name} has 0x{was.hex()} as before, another says"
                    f" 0x{now.hex()}; remove the wrong one from OPENLEDGER_RPC_URLS"
                )
        first, was, now = self._first_replaced(number, was, now)
        with self._database.transaction() as connection:
            blocks.raise_stop(connection, self._chain, first, was, now, Timestamp(int(self._now())))
        with self._database.reading() as connection:
            stops.require_none(connection, self._chain)

    def _hash_now(self, number: BlockNumber) -> BlockHash:
        return headers(self._rpc, [number])[0].hash

    def _first_replaced(
        self, number: BlockNumber, was: BlockHash, now: BlockHash
    ) -> tuple[BlockNumber, BlockHash, BlockHash]:
        """The oldest block that we keep and that the chain no longer has: who clears the mark starts there."""
        with self._database.reading() as connection:
            older = [b for b in blocks.blocks_from(connection, self._chain, 0) if b.number < number]
        for block in reversed(older):
            there = self._hash_now(block.number)
            if block.hash == there:
                break
            number, was, now = block.number, block.hash, there
        return number, was, now

"""Reads every event of the suite into the store, block by block, and takes back what the chain takes back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

from oracle.chain import stops
from oracle.chain.contracts import AddressBook
from oracle.chain.decoding import Decoder, kinds
from oracle.chain.headers import Header, bloom_bits, may_hold
from oracle.chain.history import History
from oracle.chain.line import ChainMoved, Line
from oracle.chain.reading import Finality, Heads, Receipts, headers, heads
from oracle.chain.rpc import Rpc, TooMuch
from oracle.chain.spans import Span
from oracle.store import blocks
from oracle.store.blocks import Block, Progress
from oracle.store.database import Database
from oracle.store.event_table import NewEvent, put_events, register_kinds, remove_events_above
from oracle.types import BlockNumber

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What one step did. `behind` blocks are left to read."""

    top: BlockNumber
    final: BlockNumber | None
    blocks: int
    events: int
    unwound: int
    behind: int


@dataclass(frozen=True)
class _Known:
    progress: Progress | None
    kept: list[Block]  # from the last final block on


class Indexer:
    """One step reads, checks, and then writes everything it found in a single transaction.

    `by_logs` is for a long past on a busy chain; oracle.chain.history says what it gives up.
    """

    def __init__(
        self,
        rpc: Rpc,
        database: Database,
        book: AddressBook,
        deployments: Path,
        finality: Finality,
        *,
        by_logs: bool = False,
        blocks_at_once: int = 100,
        most_blocks_at_once: int = 1000,
        now: Callable[[], float] = time,
        edge: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._rpc, self._database, self._book, self._finality = rpc, database, book, finality
        self._span = Span(blocks_at_once, most_blocks_at_once)
        self._receipts = Receipts(rpc)
        self._history = History(rpc, list(book.addresses.values()), 1000, 50_000) if by_logs else None
        self._line = Line(rpc, database, book.chain, now)
        self._edge = edge
        self._kinds = kinds(book, deployments)
        self._decoder: Decoder | None = None
        self._masks = [bloom_bits(address.lower()) for address in book.addresses.values()]

    def step(self) -> Step:
        """Reads some blocks further, or finds that there is nothing to read. Raises Retry, or Stop for a deep reorg."""
        while True:
            try:
                step = self._step(self._known())
            except TooMuch:
                if self._span.size == 1:
                    raise
                self._span.shrink()
            else:
                self._span.grow()
                return step

    def catch_up(self) -> Step:
        """Steps until there is nothing left to read at this moment."""
        step = self.step()
        while step.behind:
            step = self.step()
        return step

    def _step(self, known: _Known) -> Step:
        chain = heads(self._rpc, self._finality)
        ancestor = self._line.ancestor(known.kept, chain.head)
        start = self._book.first_block if ancestor is None else ancestor.number + 1
        found = self._headers(start, chain)
        consecutive = found and ancestor is not None and found[0].number == start
        if consecutive and ancestor is not None and found[0].parent != ancestor.hash:
            raise ChainMoved(f"block {start} does not follow from block {ancestor.number} any more; it is read again")
        rows = self._read(found)
        self._edge("read")
        return self._write(known, ancestor, chain, found, rows)

    def _headers(self, start: int, chain: Heads) -> list[Header]:
        if self._history is not None and start < chain.final:
            return self._history.blocks(start, chain.final)
        return headers(self._rpc, range(start, min(chain.head.number, start + self._span.size - 1) + 1))

    def _known(self) -> _Known:
        with self._database.reading() as connection:
            stops.require_none(connection, self._book.chain)
            progress = blocks.progress(connection, self._book.chain)
            if progress is None:
                return _Known(None, [])
            first = progress.first if progress.final is None else progress.final
            return _Known(progress, blocks.blocks_from(connection, self._book.chain, first))

    def _read(self, found: Sequence[Header]) -> dict[int, list[NewEvent]]:
        decoder = self._decoder or self._prepare()
        logs = self._receipts.logs([block for block in found if may_hold(block.bloom, self._masks)])
        return {
            number: [row for entry in entries if (row := decoder.row(number, entry)) is not None]
            for number, entries in logs.items()
        }

    def _prepare(self) -> Decoder:
        with self._database.transaction() as connection:
            self._decoder = Decoder(self._kinds, register_kinds(connection, self._kinds))
        return self._decoder

    def _write(
        self,
        known: _Known,
        ancestor: Block | None,
        chain: Heads,
        found: Sequence[Header],
        rows: dict[int, list[NewEvent]],
    ) -> Step:
        new = [
            Block(block.number, block.hash, block.parent, block.timestamp, len(rows.get(block.number, ())))
            for block in found
        ]
        line = [block for block in known.kept if ancestor is not None and block.number <= ancestor.number] + new
        if not line:
            raise ChainMoved(f"chain {self._book.chain} has no block {self._book.first_block} yet")
        top, before = line[-1], known.progress
        final = self._final(before, chain, line)
        progress = Progress(
            self._book.chain, self._book.first_block if before is None else before.first, top.number, top.hash, final
        )
        step = Step(
            top.number,
            final,
            len(new),
            sum(len(events) for events in rows.values()),
            0 if before is None else before.top - (ancestor.number if ancestor else before.first - 1),
            max(0, chain.head.number - top.number),
        )
        if progress != before:
            self._save(known, progress, step, new, rows)
        return step

    def _save(
        self, known: _Known, after: Progress, step: Step, new: Sequence[Block], rows: dict[int, list[NewEvent]]
    ) -> None:
        lowest_kept = after.top if after.final is None else after.final
        with self._database.transaction() as connection:
            stops.require_none(connection, after.chain)
            blocks.move(connection, known.progress, after)
            if step.unwound:
                ancestor = known.progress.top - step.unwound if known.progress else -1
                gone = remove_events_above(connection, after.chain, ancestor)
                blocks.remove_blocks_above(connection, after.chain, ancestor)
                log.warning("reorg: %d blocks and %d events taken back", step.unwound, gone, extra={"block": ancestor})
            self._edge("unwound")
            kept = [block for block in new if block.events or after.final is None or block.number >= lowest_kept]
            blocks.put_blocks(connection, after.chain, kept)
            put_events(connection, after.chain, [row for block in new for row in rows.get(block.number, ())])
            if after.final is not None:
                blocks.forget_empty_blocks_below(connection, after.chain, after.final)
            self._edge("written")
        self._edge("committed")
        log.info("read to block %d", after.top, extra={"block": after.top, "events": step.events})

    def _final(self, before: Progress | None, chain: Heads, line: Sequence[Block]) -> BlockNumber | None:
        """Never back, never beyond what was read, and only the very block that the node calls final."""
        already = None if before is None else before.final
        final = min(chain.final, line[-1].number)
        if final < (self._book.first_block if already is None else already):
            return already
        named = chain.final_header
        if named is not None and named.number == final:
            ours = next((block for block in line if block.number == final), None)
            if ours is not None and ours.hash != named.hash:
                raise ChainMoved(f"block {final} changed while it was being read; it is read again")
        return final

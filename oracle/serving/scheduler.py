"""Who runs in the next step: admission in fair order, within rows, memory, slots and ranks; then pieces of prompts.

What is short makes a request wait where it stands. Rows and memory are everybody's: whoever goes first waits for them
and holds back those behind, so that large requests are not overtaken for ever. A slot is one bucket's: only requests of
the same bucket are held back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from oracle.errors import OpenLedgerError
from oracle.serving.batch import Row, order
from oracle.serving.config import EngineConfig
from oracle.serving.fair import FairQueue
from oracle.serving.kv import Blocks, blocks_for
from oracle.serving.layout import BaseShape
from oracle.serving.tiers import NotYet, Tiers
from oracle.serving.types import Adapter, AdapterId, Request, RequestId, Token


@dataclass(slots=True, eq=False)
class Waiting:
    id: RequestId
    request: Request
    adapter: Adapter | None

    @property
    def blocks(self) -> int:
        # The last token is reported, never fed back.
        return blocks_for(len(self.request.prompt) + self.request.max_tokens - 1)


@dataclass(slots=True, eq=False)
class Running:
    """A request that holds a row, its blocks and a use of its slot. `done` tokens are in memory."""

    id: RequestId
    request: Request
    adapter: Adapter | None
    slot: int
    table: list[int]
    done: int = 0
    generated: list[Token] = field(default_factory=list)

    @property
    def in_prompt(self) -> bool:
        return self.done < len(self.request.prompt)


def cost(request: Request, adapter: Adapter | None, shape: BaseShape) -> float:
    """Work in tokens of the base: a higher rank makes every token dearer."""
    tokens = len(request.prompt) + request.max_tokens
    if adapter is None:
        return float(tokens)
    modules = shape.modules.values()
    low = adapter.rank * sum(m.inputs + m.outputs for m in modules)
    return tokens * (1 + low / sum(m.inputs * m.outputs for m in modules))


class Scheduler:
    """Knows requests, blocks and tiers; knows no tensors."""

    def __init__(self, config: EngineConfig, shape: BaseShape, tiers: Tiers, blocks: Blocks) -> None:
        self.config, self.shape, self.tiers, self.blocks = config, shape, tiers, blocks
        self.queue: FairQueue[AdapterId | None, Waiting] = FairQueue(config.waiting, config.waiting_per_adapter)
        self.running: dict[RequestId, Running] = {}
        self._rows_of: Counter[AdapterId | None] = Counter()
        self._ranks: dict[AdapterId, int] = {}
        self._waiting: dict[RequestId, Waiting] = {}

    def enqueue(self, waiting: Waiting) -> None:
        self.queue.push(waiting.request.adapter, waiting, cost(waiting.request, waiting.adapter, self.shape))
        self._waiting[waiting.id] = waiting

    def remove(self, request: RequestId) -> bool:
        """Takes a request out, whether it waits or runs."""
        if waiting := self._waiting.pop(request, None):
            return self.queue.remove(waiting.request.adapter, waiting)
        if running := self.running.pop(request, None):
            self.blocks.give_back(running.table)
            key = running.request.adapter
            self._rows_of[key] -= 1
            if not self._rows_of[key]:
                del self._rows_of[key]
                if key is not None:
                    del self._ranks[key]
            if key is not None:
                self.tiers.release(key)
            return True
        return False

    def uses(self, adapter: AdapterId) -> bool:
        return bool(self._rows_of[adapter] or self.queue.waiting(adapter))

    def admit(self) -> list[tuple[RequestId, OpenLedgerError]]:
        """Lets in whoever can run, and tells whose adapter cannot be loaded."""
        failed: list[tuple[RequestId, OpenLedgerError]] = []
        held_back: set[str] = set()
        ranks_full = False
        for key, waiting in self.queue.heads():
            adapter = waiting.adapter
            running = len(self.running)
            if running >= self.config.rows + self.config.newcomer_rows:
                break
            if running >= self.config.rows and self._rows_of[key]:
                continue
            if adapter is not None:
                new_rank = 0 if key in self._ranks else adapter.rank
                if adapter.bucket in held_back or (new_rank and ranks_full):
                    continue
                if new_rank and self._over_budget(new_rank):
                    ranks_full = True
                    continue
            if waiting.blocks > self.blocks.free:
                break
            slot = 0
            if adapter is not None:
                try:
                    found = self.tiers.acquire(adapter.id, adapter.bucket)
                except OpenLedgerError as error:
                    self._take(key)
                    failed.append((waiting.id, error))
                    continue
                if found is NotYet.NO_SLOT:
                    held_back.add(adapter.bucket)
                if isinstance(found, NotYet):
                    continue
                slot = found.index
                self._ranks[adapter.id] = adapter.rank
            self._take(key)
            self._rows_of[key] += 1
            self.running[waiting.id] = Running(
                waiting.id, waiting.request, adapter, slot, self.blocks.take(waiting.blocks)
            )
        self._look_ahead()
        return failed

    def plan(self) -> list[tuple[Running, Row]]:
        """The rows of the next step: every decoding request, and pieces of prompts in order of admission.

        A prompt is always cut at the same places, whatever else runs: its numbers must not depend on that.
        """
        rows: list[tuple[Running, Row]] = []
        left = self.config.prompt_tokens
        for running in self.running.values():
            bucket = running.adapter.bucket if running.adapter else None
            if not running.in_prompt:
                row = Row((running.generated[-1],), running.done, running.table, bucket, running.slot)
            else:
                piece = running.request.prompt[running.done : running.done + self.config.piece]
                if len(piece) > left:
                    continue
                left -= len(piece)
                row = Row(piece, running.done, running.table, bucket, running.slot, prompt=True)
            rows.append((running, row))
        rows.sort(key=lambda pair: order(pair[1]))
        return rows

    def _over_budget(self, rank: int) -> bool:
        budget = self.config.rank_budget
        # One adapter alone always fits, or it would wait for ever.
        return budget is not None and bool(self._ranks) and sum(self._ranks.values()) + rank > budget

    def _take(self, key: AdapterId | None) -> None:
        del self._waiting[self.queue.pop(key).id]

    def _look_ahead(self) -> None:
        wanted: dict[AdapterId, str] = {}
        for _, waiting in self.queue.heads():
            if len(wanted) >= self.config.look_ahead:
                break
            if waiting.adapter is not None:
                wanted[waiting.adapter.id] = waiting.adapter.bucket
        self.tiers.look_ahead(wanted.items())

"""Fair queueing over adapters: each has a line of its own, and the line served least so far goes first.

Start-time fair queueing: a line's next request starts at the line's own finish or, if the line was empty, at what is
being served now. A flood therefore delays itself only; a line that was idle saves up no credit.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(slots=True)
class _Line(Generic[Item]):
    start: float
    arrived: int
    waiting: deque[tuple[Item, float]] = field(default_factory=deque)


class FairQueue(Generic[Key, Item]):
    """Bounded in all, and for each key, so that a flood cannot fill it alone."""

    def __init__(self, most: int, most_per_key: int) -> None:
        self.most, self.most_per_key = most, most_per_key
        self.cost = 0.0
        self._count = 0
        self._arrivals = 0
        self._now = 0.0
        self._finish: dict[Key, float] = {}
        self._lines: dict[Key, _Line[Item]] = {}

    def __len__(self) -> int:
        return self._count

    def full(self, key: Key) -> bool:
        return self._count >= self.most or self.waiting(key) >= self.most_per_key

    def waiting(self, key: Key) -> int:
        line = self._lines.get(key)
        return len(line.waiting) if line else 0

    def push(self, key: Key, item: Item, cost: float) -> None:
        """The caller has asked `full` before."""
        line = self._lines.get(key)
        if line is None:
            self._arrivals += 1
            start = max(self._now, self._finish.pop(key, 0.0))
            line = self._lines[key] = _Line(start, self._arrivals)
        line.waiting.append((item, cost))
        self._count += 1
        self.cost += cost

    def heads(self) -> Iterator[tuple[Key, Item]]:
        """The first of each line, the line that goes first coming first. Popping what was just given is allowed: the
        line's next request then takes its place in the order."""
        order = [(line.start, line.arrived, key) for key, line in self._lines.items()]
        # Keys are never compared: arrivals differ.
        heapq.heapify(order)
        while order:
            start, arrived, key = heapq.heappop(order)
            line = self._lines.get(key)
            if line is None:
                continue
            if line.start != start:
                heapq.heappush(order, (line.start, arrived, key))
                continue
            yield key, line.waiting[0][0]
            line = self._lines.get(key)
            if line is not None and line.start != start:
                heapq.heappush(order, (line.start, arrived, key))

    def pop(self, key: Key) -> Item:
        """Takes the first of a line to be served."""
        line = self._lines[key]
        item, cost = line.waiting.popleft()
        self._now = max(self._now, line.start)
        line.start += cost
        self._leave(key, line, cost)
        return item

    def remove(self, key: Key, item: Item) -> bool:
        """Takes somebody out of a line, unserved: the line owes nothing for it."""
        line = self._lines.get(key)
        for found in line.waiting if line else ():
            if found[0] == item and line:
                line.waiting.remove(found)
                self._leave(key, line, found[1])
                return True
        return False

    def _leave(self, key: Key, line: _Line[Item], cost: float) -> None:
        self._count -= 1
        self.cost = self.cost - cost if self._count else 0.0
        if not line.waiting:
            del self._lines[key]
            # A finish that lies behind is forgotten: there may be ten thousand adapters.
            self._finish = (
                {k: f for k, f in self._finish.items() if f > self._now} if len(self._finish) > 4096 else self._finish
            )
            if line.start > self._now:
                self._finish[key] = line.start

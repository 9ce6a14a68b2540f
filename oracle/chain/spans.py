"""How much to ask a node for at once: less after it was too much, slowly more while it goes well."""

from __future__ import annotations


class Span:
    def __init__(self, size: int, largest: int) -> None:
        self.size = size
        self.largest = largest

    def shrink(self) -> None:
        self.size = max(1, self.size // 2)

    def grow(self) -> None:
        self.size = min(self.largest, self.size + max(1, self.size // 8))

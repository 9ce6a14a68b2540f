"""Keys and values of running requests, in blocks of 16 tokens handed out as requests are admitted.

A request reserves all that its prompt and answer can need before it starts, so that it never has to stop half-way:
memory that is short makes requests wait, and one that could never fit is refused at the door.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from oracle.serving.layout import BaseShape
from oracle.serving.memory import zeros

BLOCK = 16


def blocks_for(tokens: int) -> int:
    return -(-tokens // BLOCK)


class Blocks:
    """Which blocks are free. Knows nothing of tensors."""

    def __init__(self, count: int) -> None:
        self.count = count
        # The last one freed is the first one used again: it may still be in the processor's cache.
        self._free = list(range(count - 1, -1, -1))

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """Blocks, or none at all where there are too few."""
        if count > len(self._free):
            return []
        return [self._free.pop() for _ in range(count)]

    def give_back(self, blocks: list[int]) -> None:
        self._free.extend(reversed(blocks))


@dataclass(frozen=True)
class Pages:
    """Keys `[layers, blocks, kv_heads, dim, 16]` and values `[layers, blocks, kv_heads, 16, dim]`.

    Keys stand with their tokens side by side, so that sixteen scores come out of one run over the head's dimensions
    without a sum across lanes.
    """

    keys: torch.Tensor
    values: torch.Tensor


def pages(shape: BaseShape, blocks: int, dtype: torch.dtype, device: torch.device) -> Pages:
    head = (shape.layers, blocks, shape.kv_heads)
    return Pages(
        zeros((*head, shape.head_dim, BLOCK), dtype, device),
        zeros((*head, BLOCK, shape.head_dim), dtype, device),
    )

"""Static slots on the device: one arena per bucket of ranks, `[slots, record]`, slot 0 the base.

Slot 0 stays zero for ever, so that a row without an adapter in a bucket adds nothing, whatever kernel runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from oracle.serving.layout import Layout
from oracle.serving.memory import zeros


@dataclass(frozen=True)
class Bucket:
    """The slots of one layout. `scales[slot]` is 0 wherever the adapter lacks the module."""

    layout: Layout
    arena: torch.Tensor
    scales: torch.Tensor

    @property
    def slots(self) -> int:
        return int(self.arena.shape[0])

    def fill(self, slot: int, record: torch.Tensor, scales: torch.Tensor, non_blocking: bool = False) -> None:
        """One copy. The slot must not be in use."""
        self.arena[slot].copy_(record, non_blocking=non_blocking)
        self.scales[slot].copy_(scales, non_blocking=non_blocking)

    def matrices(self, layer: int, which: int) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
        """A `[slots, modules × rank, inputs]`, each B `[slots, rank, outputs]` and scales `[slots, modules]`."""
        group = self.layout.shape.groups[which]
        place = self.layout.places[layer * len(self.layout.shape.groups) + which]
        slots, rank, stride = self.slots, self.layout.rank, self.arena.stride(0)
        a = self.arena.as_strided((slots, len(group.modules) * rank, group.inputs), (stride, group.inputs, 1), place.a)
        b = tuple(
            self.arena.as_strided((slots, rank, module.outputs), (stride, module.outputs, 1), at)
            for module, at in zip(group.modules, place.b, strict=True)
        )
        return a, b, self.scales[:, place.scale : place.scale + len(group.modules)]


def bucket(layout: Layout, count: int, device: torch.device) -> Bucket:
    """Room for `count` adapters, and slot 0."""
    arena = zeros((count + 1, layout.elements), layout.dtype, device)
    return Bucket(layout, arena, torch.zeros((count + 1, layout.scales), device=device))

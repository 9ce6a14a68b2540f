"""Where each number of an adapter stands: one record each, the same in a packed file, in host memory and in a slot.

A record holds, layer by layer and group by group, A of all the group's modules `[modules × rank, inputs]` and then each
module's B as `[rank, outputs]`. So one copy loads an adapter, and one pass over adjacent memory applies a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Module:
    """A projection as PEFT names it, and where its outputs stand in the row of the fused projection."""

    name: str
    inputs: int
    outputs: int
    column: int


@dataclass(frozen=True)
class Group:
    """Projections that read the same input and are computed by one matrix."""

    name: str
    inputs: int
    modules: tuple[Module, ...]

    @property
    def outputs(self) -> int:
        return sum(module.outputs for module in self.modules)


def group(name: str, inputs: int, **outputs: int) -> Group:
    modules, column = [], 0
    for module, width in outputs.items():
        modules.append(Module(module, inputs, width, column))
        column += width
    return Group(name, inputs, tuple(modules))


@dataclass(frozen=True)
class BaseShape:
    """The base model's dimensions: all that an adapter has to fit."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return (
            group("qkv", self.hidden, q_proj=queries, k_proj=keys, v_proj=keys),
            group("o", queries, o_proj=self.hidden),
            group("gate_up", self.hidden, gate_proj=self.intermediate, up_proj=self.intermediate),
            group("down", self.intermediate, down_proj=self.hidden),
        )

    @cached_property
    def modules(self) -> dict[str, Module]:
        return {module.name: module for each in self.groups for module in each.modules}

    @property
    def modules_per_layer(self) -> int:
        return len(self.modules)


@dataclass(frozen=True)
class Place:
    """Offsets of one group of one layer in a record, in elements, and of its first scale."""

    a: int
    b: tuple[int, ...]
    scale: int


@dataclass(frozen=True)
class Layout:
    """The record of every adapter whose rank is at most `rank`, stored as `dtype`."""

    shape: BaseShape
    rank: int
    dtype: torch.dtype

    @property
    def name(self) -> str:
        return f"r{self.rank}-{str(self.dtype).removeprefix('torch.')}"

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """By layer × groups + group."""
        found, at, scale = [], 0, 0
        for _ in range(self.shape.layers):
            for each in self.shape.groups:
                a, at = at, at + len(each.modules) * self.rank * each.inputs
                b = []
                for module in each.modules:
                    b.append(at)
                    at += self.rank * module.outputs
                found.append(Place(a, tuple(b), scale))
                scale += len(each.modules)
        return tuple(found)

    @cached_property
    def elements(self) -> int:
        per_layer = sum(m.inputs + m.outputs for m in self.shape.modules.values())
        return self.shape.layers * self.rank * per_layer

    @property
    def bytes(self) -> int:
        return self.elements * self.dtype.itemsize

    @property
    def scales(self) -> int:
        return self.shape.layers * self.shape.modules_per_layer

    @cached_property
    def offsets(self) -> dict[tuple[int, str], tuple[int, int, int]]:
        """(layer, module) → offset of its A, of its B, of its scale."""
        found = {}
        for index, place in enumerate(self.places):
            layer, which = divmod(index, len(self.shape.groups))
            for i, module in enumerate(self.shape.groups[which].modules):
                found[layer, module.name] = (place.a + i * self.rank * module.inputs, place.b[i], place.scale + i)
        return found

    def views(self, record: torch.Tensor, layer: int, module: str) -> tuple[torch.Tensor, torch.Tensor]:
        """A `[rank, inputs]` and B `[rank, outputs]` of one module inside one record."""
        a, b, _ = self.offsets[layer, module]
        shape = self.shape.modules[module]
        return (
            record[a : a + self.rank * shape.inputs].view(self.rank, shape.inputs),
            record[b : b + self.rank * shape.outputs].view(self.rank, shape.outputs),
        )

"""What an adapter's file says of itself: where each number stands, and whether it fits the base.

Adapters of one recipe come by the hundred, each with the same header and the same settings. The header is checked whole
for the first of them; for the others the same bytes, over a file of the same length, mean the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from oracle.serving.errors import BrokenAdapter, UnsupportedAdapter, WrongBase
from oracle.serving.layout import BaseShape, Layout

KEY = re.compile(
    r"^base_model\.model\.(?:model\.)?layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])(?:\.default)?\.weight$"
)
KINDS = (torch.float32, torch.bfloat16, torch.float16)
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class Stretch:
    """One tensor in a file: its type and shape, and its first byte."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    at: int

    def of(self, weights: bytearray) -> torch.Tensor:
        count = math.prod(self.shape)
        return torch.frombuffer(weights, dtype=self.dtype, count=count, offset=self.at).view(self.shape)


@dataclass(frozen=True)
class Low:
    """One module's pair: A `[rank, inputs]`, B `[outputs, rank]`, and the factor of their product."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float


@dataclass(frozen=True)
class Pair:
    """Where a `Low` stands."""

    a: Stretch
    b: Stretch
    scale: float


@dataclass(frozen=True)
class Gather:
    """A record made of a file in one step: which number comes where. `to` None is everywhere, in order."""

    source: torch.Tensor
    to: torch.Tensor | None
    scales: torch.Tensor


@dataclass(frozen=True)
class Form:
    """What all files with one header and the same settings have in common."""

    pairs: Mapping[tuple[int, str], Pair]
    start: int
    _gathers: dict[str, Gather] = field(default_factory=dict, compare=False)

    @cached_property
    def rank(self) -> int:
        return max(pair.a.shape[0] for pair in self.pairs.values())

    @cached_property
    def dtype(self) -> torch.dtype | None:
        """The type of all numbers; None where there are several."""
        found = {stretch.dtype for pair in self.pairs.values() for stretch in (pair.a, pair.b)}
        return found.pop() if len(found) == 1 else None

    def gather(self, layout: Layout) -> Gather:
        if (known := self._gathers.get(layout.name)) is None:
            known = self._gathers[layout.name] = self._gather(layout)
        return known

    def _gather(self, layout: Layout) -> Gather:
        # The record of a file whose numbers count themselves, which says of each number where it came from.
        record, scales = torch.full((layout.elements,), -1), torch.zeros(layout.scales)
        for (layer, module), pair in self.pairs.items():
            a, b = layout.views(record, layer, module)
            rank = pair.a.shape[0]
            for stretch, to in ((pair.a, a[:rank]), (pair.b, b[:rank].t())):
                first = (stretch.at - self.start) // stretch.dtype.itemsize
                to.copy_(torch.arange(first, first + to.numel()).view(to.shape))
            scales[layout.offsets[layer, module][2]] = pair.scale
        filled = record >= 0
        if bool(filled.all()):
            return Gather(record, None, scales)
        return Gather(record[filled], filled.nonzero()[:, 0], scales)


@dataclass(frozen=True)
class Lows(Mapping[tuple[int, str], Low]):
    """The pairs of one file, cut out of it when they are asked for."""

    form: Form
    weights: bytearray

    def __getitem__(self, key: tuple[int, str]) -> Low:
        pair = self.form.pairs[key]
        return Low(pair.a.of(self.weights), pair.b.of(self.weights), pair.scale)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return iter(self.form.pairs)

    def __len__(self) -> int:
        return len(self.form.pairs)

    @property
    def numbers(self) -> torch.Tensor | None:
        """All numbers of the file in its own order, where they are of one type."""
        if (dtype := self.form.dtype) is None:
            return None
        return torch.frombuffer(self.weights, dtype=dtype, offset=self.form.start)


def header(weights: bytearray) -> bytes:
    """What stands before the numbers, with its length; what is cut off is short."""
    return bytes(weights[: 8 + int.from_bytes(weights[:8], "little")])


def form(file: str, weights: bytearray, config: Mapping[str, Any], shape: BaseShape) -> Form:
    """Checks a file's header against its length, its settings and the base."""
    try:
        tensors = load(bytes(weights))
    except SafetensorError as error:
        raise BrokenAdapter(f"{file}: not a whole safetensors file ({error}); fetch it again") from error
    said = header(weights)
    offsets = {key: value["data_offsets"][0] for key, value in json.loads(said[8:]).items() if key != "__metadata__"}
    stretches = {
        key: Stretch(tensor.dtype, tuple(tensor.shape), len(said) + offsets[key]) for key, tensor in tensors.items()
    }
    return Form(_pairs(file, stretches, config, shape), len(said))


def _pattern(patterns: Mapping[str, Any] | None, path: str, otherwise: float) -> float:
    """PEFT's rule: a key stands for every module whose path is it, or ends with a dot and it."""
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", path):
            return float(value)
    return otherwise


def _pairs(
    file: str, stretches: Mapping[str, Stretch], config: Mapping[str, Any], shape: BaseShape
) -> dict[tuple[int, str], Pair]:
    found: dict[tuple[int, str], dict[str, Stretch]] = {}
    for key, stretch in stretches.items():
        match = KEY.match(key)
        module = match and shape.modules.get(match[2])
        if match is None or module is None or int(match[1]) >= shape.layers:
            raise UnsupportedAdapter(
                f"{file}: {key} has no place in this base, which has {shape.layers} layers of "
                f"{', '.join(shape.modules)}"
            )
        if stretch.dtype not in KINDS:
            raise UnsupportedAdapter(f"{file}: {key} is {stretch.dtype}; float32, bfloat16 or float16 is served")
        found.setdefault((int(match[1]), module.name), {})[match[3]] = stretch
    if not found:
        raise BrokenAdapter(f"{file}: no LoRA weights in it")
    return {key: _pair(file, *key, found[key], config, shape) for key in sorted(found)}


def _pair(
    file: str, layer: int, name: str, found: Mapping[str, Stretch], config: Mapping[str, Any], shape: BaseShape
) -> Pair:
    where, module = f"{file}: layer {layer}, {name}", shape.modules[name]
    if found.keys() != {"A", "B"}:
        raise BrokenAdapter(f"{where}: lora_A without lora_B, or the other way round")
    a, b = found["A"], found["B"]
    path = f"model.layers.{layer}.{'self_attn' if name in ATTENTION else 'mlp'}.{name}"
    rank = int(_pattern(config.get("rank_pattern"), path, config["r"]))
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise BrokenAdapter(f"{where}: A {list(a.shape)} and B {list(b.shape)} are not of the configured rank {rank}")
    if (a.shape[1], b.shape[0]) != (module.inputs, module.outputs):
        raise WrongBase(
            f"{where}: {a.shape[1]} inputs and {b.shape[0]} outputs; the base has {module.inputs} and {module.outputs}"
        )
    alpha = _pattern(config.get("alpha_pattern"), path, config["lora_alpha"])
    return Pair(a, b, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))

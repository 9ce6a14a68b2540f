"""Reads a folder as PEFT writes it, refuses what the base cannot carry, and names it by its content.

Only safetensors is ever opened: a pickled file is refused by its name, unread.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from oracle.serving.errors import BrokenAdapter, UnsupportedAdapter, WrongBase
from oracle.serving.layout import BaseShape, Layout
from oracle.serving.types import AdapterId

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PICKLED = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
KEY = re.compile(
    r"^base_model\.model\.(?:model\.)?layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])(?:\.default)?\.weight$"
)
# What changes the function that an adapter computes, and is therefore part of its name.
FUNCTION = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")
KINDS = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Low:
    """One module's pair: A `[rank, inputs]`, B `[outputs, rank]`, and the factor of their product."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float


@dataclass(frozen=True)
class Source:
    """An adapter as read: its shapes fit the base, its numbers are not looked at yet."""

    id: AdapterId
    folder: Path
    rank: int
    lows: Mapping[tuple[int, str], Low]

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(sorted({module for _, module in self.lows}))

    def exact_in_bf16(self) -> bool:
        return all(_exact(low.a) and _exact(low.b) for low in self.lows.values())


def _exact(tensor: torch.Tensor) -> bool:
    if tensor.dtype == torch.bfloat16:
        return True
    # A float whose lower 16 bits are zero is a bf16. Most tensors that are not show it in their first numbers.
    bits = tensor.float().reshape(-1).view(torch.int32)
    return not bool((bits[:64] & 0xFFFF).any()) and not bool((bits & 0xFFFF).any())


def read(folder: Path, shape: BaseShape, base_names: Collection[str] = ()) -> Source:
    """The adapter in a folder, or an error that says what is wrong with it and where."""
    config = _config(folder, base_names)
    weights = _bytes(folder)
    try:
        tensors = load(weights)
    except SafetensorError as error:
        raise BrokenAdapter(f"{folder / WEIGHTS}: not a whole safetensors file ({error}); fetch it again") from error
    lows = _lows(folder, tensors, config, shape)
    rank = max(low.a.shape[0] for low in lows.values())
    return Source(name(weights, config), folder, rank, lows)


def name(weights: bytes, config: Mapping[str, Any]) -> AdapterId:
    """SHA-256 over the file's own SHA-256 and the settings that change what it computes."""
    function = {key: config.get(key) or 0 for key in FUNCTION}
    said = json.dumps(function, sort_keys=True, separators=(",", ":")).encode()
    return AdapterId(hashlib.sha256(b"openledger adapter 1\n" + hashlib.sha256(weights).digest() + said).hexdigest())


def _bytes(folder: Path) -> bytes:
    file = folder / WEIGHTS
    if file.is_file():
        return file.read_bytes()
    for pickled in PICKLED:
        if (folder / pickled).exists():
            raise BrokenAdapter(
                f"{folder / pickled}: pickled weights can run code and are never opened; save safetensors"
            )
    raise BrokenAdapter(f"{folder}: no {WEIGHTS} in it")


def _config(folder: Path, base_names: Collection[str]) -> Mapping[str, Any]:
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BrokenAdapter(f"{folder}: no {CONFIG} in it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BrokenAdapter(f"{file}: not JSON ({error})") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise UnsupportedAdapter(f"{file}: peft_type must be LORA")
    base = config.get("base_model_name_or_path")
    if base and base_names and base not in base_names:
        raise WrongBase(f"{file}: made for {base}; this engine serves {', '.join(sorted(base_names))}")
    for key, plain in (("use_dora", False), ("bias", "none"), ("modules_to_save", None), ("fan_in_fan_out", False)):
        if config.get(key, plain) not in (plain, [], None):
            raise UnsupportedAdapter(f"{file}: {key} = {config[key]!r}; only plain LoRA is served")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise BrokenAdapter(f"{file}: r = {rank!r} is no rank")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise BrokenAdapter(f"{file}: lora_alpha = {alpha!r} is no number")
    return config


def _pattern(patterns: Mapping[str, Any] | None, path: str, otherwise: float) -> float:
    """PEFT's rule: a key stands for every module whose path is it, or ends with a dot and it."""
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", path):
            return float(value)
    return otherwise


def _lows(
    folder: Path, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], shape: BaseShape
) -> dict[tuple[int, str], Low]:
    file = str(folder / WEIGHTS)
    pairs: dict[tuple[int, str], dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.match(key)
        module = match and shape.modules.get(match[2])
        if match is None or module is None or int(match[1]) >= shape.layers:
            raise UnsupportedAdapter(
                f"{file}: {key} has no place in this base, which has {shape.layers} layers of "
                f"{', '.join(shape.modules)}"
            )
        if tensor.dtype not in KINDS:
            raise UnsupportedAdapter(f"{file}: {key} is {tensor.dtype}; float32, bfloat16 or float16 is served")
        pairs.setdefault((int(match[1]), module.name), {})[match[3]] = tensor
    if not pairs:
        raise BrokenAdapter(f"{file}: no LoRA weights in it")
    lows = {}
    for (layer, name_), pair in sorted(pairs.items(), key=lambda pair: pair[0]):
        where, module = f"{file}: layer {layer}, {name_}", shape.modules[name_]
        if pair.keys() != {"A", "B"}:
            raise BrokenAdapter(f"{where}: lora_A without lora_B, or the other way round")
        a, b = pair["A"], pair["B"]
        part = "self_attn" if name_ in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
        path = f"model.layers.{layer}.{part}.{name_}"
        rank = int(_pattern(config.get("rank_pattern"), path, config["r"]))
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != rank or b.shape[1] != rank:
            raise BrokenAdapter(
                f"{where}: A {list(a.shape)} and B {list(b.shape)} are not of the configured rank {rank}"
            )
        if (a.shape[1], b.shape[0]) != (module.inputs, module.outputs):
            raise WrongBase(
                f"{where}: {a.shape[1]} inputs and {b.shape[0]} outputs; "
                f"the base has {module.inputs} and {module.outputs}"
            )
        alpha = _pattern(config.get("alpha_pattern"), path, config["lora_alpha"])
        lows[layer, name_] = Low(a, b, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))
    return lows


def check_finite(source: Source) -> None:
    """Names the first tensor that holds NaN or infinity."""
    for (layer, module), low in source.lows.items():
        for letter, tensor in (("A", low.a), ("B", low.b)):
            if not bool(tensor.isfinite().all()):
                where = f"{source.folder / WEIGHTS}: layer {layer}, {module}, lora_{letter}"
                raise BrokenAdapter(f"{where} holds NaN or infinity")


def write_record(source: Source, layout: Layout, record: torch.Tensor, scales: torch.Tensor) -> None:
    """Fills one record and its scales. Modules and ranks that the adapter lacks stay zero.

    NaN and infinity are refused. Both survive a sum, so that one sum over the whole record finds them; a sum of finite
    numbers may overflow too, so that a suspect is looked at again.
    """
    record.zero_()
    scales.zero_()
    for (layer, module), low in source.lows.items():
        a, b = layout.views(record, layer, module)
        rank = low.a.shape[0]
        a[:rank].copy_(low.a)
        b[:rank].copy_(low.b.t())
        scales[layout.offsets[layer, module][2]] = low.scale
    if not math.isfinite(record.sum(dtype=torch.float32).item()):
        check_finite(source)

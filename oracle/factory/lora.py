"""Many adapters beside the frozen layers of one base: each takes its own slice of the batch, and all share the base's
products. Saved and named as PEFT does it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from oracle.factory.errors import BadBase, BadBundle

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."


@dataclass
class Slices:
    """Whose rows stand where in the batch of this pass; one object for all layers."""

    of: list[tuple[str, int, int]] = field(default_factory=list)


class Lora(nn.Module):
    """A linear layer of the base with the matrices of every adapter that has some here."""

    def __init__(self, layer: nn.Module, slices: Slices) -> None:
        super().__init__()
        self.base_layer = layer
        self.lora_A, self.lora_B = nn.ModuleDict(), nn.ModuleDict()
        self.scales: dict[str, float] = {}
        self._slices = slices

    @property
    def widths(self) -> tuple[int, int]:
        inputs, outputs = self.base_layer.in_features, self.base_layer.out_features
        assert isinstance(inputs, int)
        assert isinstance(outputs, int)
        return inputs, outputs

    def forward(self, x: Tensor) -> Tensor:
        plain: Tensor = self.base_layer(x)
        parts = []
        for name, begin, end in self._slices.of:
            part, given = plain[begin:end], x[begin:end]
            if name in self.scales:
                low = self.lora_B[name](self.lora_A[name](given.float()))
                part = part + (low * self.scales[name]).to(part.dtype)
            parts.append(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass
class Adapter:
    """Its matrices by PEFT's names; all of them are views of one vector, and so are their gradients."""

    name: str
    rank: int
    alpha: float
    targets: tuple[str, ...]
    tensors: dict[str, nn.Parameter]
    vector: Tensor
    gradient: Tensor

    def state(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.tensors.items()}

    def config(self, base: str) -> dict[str, Any]:
        """adapter_config.json; without a path of this machine in it."""
        from peft import LoraConfig

        settings: dict[str, Any] = {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": 0.0, "bias": "none"}
        settings |= {"target_modules": sorted(self.targets), "task_type": "CAUSAL_LM", "inference_mode": True}
        made: Any = LoraConfig(**settings, base_model_name_or_path=base)
        said = {name: sorted(v) if isinstance(v, set) else v for name, v in made.to_dict().items()}
        return json.loads(json.dumps(said, default=str, sort_keys=True))  # type: ignore[no-any-return]


class Layers:
    """A base whose layers can carry adapters."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.slices = Slices()
        self._at: dict[str, Lora] = {}

    def add(self, name: str, rank: int, alpha: float, targets: Sequence[str], seed: int) -> Adapter:
        """As PEFT begins: A uniform, drawn from the seed alone, and B zero."""
        places = self._places(targets)
        generator = torch.Generator().manual_seed(seed)
        made: dict[str, Tensor] = {}
        for place, layer in places.items():
            inputs, outputs = layer.widths
            bound = 1 / math.sqrt(inputs)
            made[f"{place}.lora_A"] = (torch.rand(rank, inputs, generator=generator) * 2 - 1) * bound
            made[f"{place}.lora_B"] = torch.zeros(outputs, rank)
        device = next(self.model.parameters()).device
        vector = torch.cat([value.reshape(-1) for value in made.values()]).to(device)
        gradient = torch.zeros_like(vector)
        tensors, at = {}, 0
        for key, value in made.items():
            place, _, side = key.rpartition(".")
            linear = nn.Linear(value.shape[1], value.shape[0], bias=False, device="meta")
            weight = nn.Parameter(vector[at : at + value.numel()].view_as(value))
            weight.grad = gradient[at : at + value.numel()].view_as(value)
            linear.weight = weight
            getattr(places[place], side)[name] = linear
            places[place].scales[name] = alpha / rank
            tensors[f"{_PREFIX}{key}.weight"] = weight
            at += value.numel()
        return Adapter(name, rank, alpha, tuple(sorted(targets)), tensors, vector, gradient)

    def drop(self, name: str) -> None:
        for layer in self._at.values():
            if name in layer.scales:
                del layer.scales[name], layer.lora_A[name], layer.lora_B[name]

    def _places(self, targets: Sequence[str]) -> dict[str, Lora]:
        found = {}
        for path, module in list(self.model.named_modules()):
            last = path.rpartition(".")[2]
            if isinstance(module, Lora) and last in targets:
                found[path] = module
            elif last in targets and hasattr(module, "in_features") and path not in self._at:
                parent = self.model.get_submodule(path.rpartition(".")[0])
                self._at[path] = found[path] = Lora(module, self.slices)
                setattr(parent, last, self._at[path])
        if missing := sorted(set(targets) - {path.rpartition(".")[2] for path in found}):
            linear = {p.rpartition(".")[2] for p, m in self.model.named_modules() if hasattr(m, "in_features")}
            raise BadBase(
                f"targets: the base has no linear layer {', '.join(missing)}; it has"
                f" {', '.join(sorted(linear - {'base_layer', 'default'}))}"
            )
        return dict(sorted(found.items()))


def load(adapter: Adapter, tensors: Mapping[str, Tensor], where: str) -> None:
    """Puts saved weights into it: to go on from a published adapter."""
    if missing := sorted(set(adapter.tensors) ^ set(tensors)):
        raise BadBundle(f"{where}: other layers than this recipe's ({missing[0]}); use its rank and targets")
    with torch.no_grad():
        for name, value in tensors.items():
            own = adapter.tensors[name]
            if own.shape != value.shape:
                raise BadBundle(
                    f"{where}: {name} is {list(value.shape)}, and this recipe's {list(own.shape)}: use its rank"
                )
            own.copy_(value)


def read_weights(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """An adapter as PEFT saved it, here or elsewhere: its configuration and matrices."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise BadBundle(f"{folder}: no adapter that can be read ({error})") from error
    return config, {name.replace(".default.", "."): value for name, value in tensors.items()}

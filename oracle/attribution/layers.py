"""Per-example gradients of LoRA matrices, seen from inside one backward pass.

A LoRA layer is two linear maps, A then B. For each of them an example's gradient is the sum over its tokens of
(gradient at the output) ⊗ (input): those two factors are all that is kept, and they cost what the backward pass has
computed anyway. Padding adds nothing: its gradient is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from oracle.attribution.errors import NoLoraLayers, NotFinite


@dataclass(frozen=True)
class Factors:
    """One matrix, one batch: `left` examples × tokens × out, `right` examples × tokens × in."""

    left: Tensor
    right: Tensor

    def gradients(self, scale: float = 1.0) -> Tensor:
        """examples × short × long: the rank first. A batch of tall products takes a CPU four times as long as of
        wide ones."""
        left, right = (self.left, self.right) if self.left.shape[2] <= self.right.shape[2] else (self.right, self.left)
        left = left if scale == 1.0 else left * scale
        with torch.autocast(left.device.type, enabled=False):
            return torch.bmm(left.transpose(1, 2), right)


@dataclass(frozen=True)
class Matrix:
    """One LoRA matrix, and the module that holds it."""

    name: str
    module: nn.Module
    rows: int  # out
    columns: int  # in

    @property
    def shape(self) -> tuple[int, int]:
        """(short, long), as its gradients are kept."""
        return min(self.rows, self.columns), max(self.rows, self.columns)


def lora_matrices(model: nn.Module, adapter: str = "default") -> list[Matrix]:
    """A and B of every LoRA layer, in the order of their names: the order never depends on how the model was built."""
    found = []
    for name, module in model.named_modules():
        holder, _, last = name.rpartition(".")
        if last != adapter or holder.rpartition(".")[2] not in ("lora_A", "lora_B"):
            continue
        weight = module.weight
        assert isinstance(weight, Tensor)
        found.append(Matrix(_plain(holder), module, weight.shape[0], weight.shape[1]))
    if not found:
        raise NoLoraLayers(f"the model has no LoRA layer of the adapter {adapter!r}: load it with PEFT first")
    return sorted(found, key=lambda matrix: matrix.name)


def _plain(name: str) -> str:
    return name.removeprefix("base_model.model.")


@dataclass
class Capture:
    """What the hooks of one pass have seen."""

    matrices: Sequence[Matrix]
    _right: dict[str, Tensor] = field(default_factory=dict)
    _left: dict[str, Tensor] = field(default_factory=dict)

    def factors(self, precision: torch.dtype = torch.float32) -> Iterator[tuple[Matrix, Factors]]:
        """Of the last pass, of every matrix."""
        for matrix in self.matrices:
            if matrix.name not in self._left or matrix.name not in self._right:
                raise NotFinite(
                    f"no gradient reached {matrix.name}: run forward and backward inside the capture, "
                    "without gradient checkpointing"
                )
        # What is not finite at B comes through it to A, where the gradient is as short as the rank.
        short = [matrix for matrix in self.matrices if matrix.rows <= matrix.columns] or self.matrices
        sums = torch.stack([self._left[matrix.name].sum(dtype=torch.float32) for matrix in short])
        for place in (~torch.isfinite(sums)).nonzero()[:, 0].tolist():
            name = short[place].name
            raise NotFinite(f"the gradient at {name} is NaN or infinite: lower the rate, or look at the batch")
        for matrix in self.matrices:
            yield matrix, Factors(self._left[matrix.name].to(precision), self._right[matrix.name].to(precision))

    def _seen(self, name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self._right[name] = inputs[0].detach()
        if output.requires_grad:
            output.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self._left.__setitem__(name, gradient.detach())
            )


@contextmanager
def captured(matrices: Sequence[Matrix]) -> Iterator[Capture]:
    """Hooks that are there only as long as the block."""
    capture = Capture(matrices)
    handles = []
    for matrix in matrices:

        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = matrix.name) -> None:
            capture._seen(name, inputs, output)

        handles.append(matrix.module.register_forward_hook(hook))
    try:
        yield capture
    finally:
        for handle in handles:
            handle.remove()

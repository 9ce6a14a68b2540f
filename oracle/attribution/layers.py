"""Per-example gradients of LoRA matrices, seen from inside one backward pass.

A LoRA layer is two linear maps, A then B. For each of them an example's gradient is the sum over its tokens of
(gradient at the output) ⊗ (input): two factors that the backward pass has at hand anyway. Their product is taken as the
pass comes by, while both are in the processor's cache, and neither of them is kept. Padding adds nothing: its gradient
is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oracle.attribution.errors import NoLoraLayers, NotFinite, NothingRecorded

Take = Callable[[Tensor], None]  # one matrix's gradients of one pass: examples × short × long
Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]


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


class Watch:
    """Hands on every matrix's gradients, example by example, as backward passes come to them."""

    def __init__(
        self, matrices: Sequence[Matrix], takers: Mapping[str, Take], precision: torch.dtype = torch.float32
    ) -> None:
        self._matrices, self._precision = matrices, precision
        self._reached: dict[str, Tensor] = {}
        self._hooks = [self._hook(matrix, takers[matrix.name]) for matrix in matrices]

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Around one forward and one backward pass. Hooks are there only as long as the block."""
        handles = [matrix.module.register_forward_hook(hook) for matrix, hook in zip(self._matrices, self._hooks)]
        try:
            yield
            self._check()
        finally:
            for handle in handles:
                handle.remove()
            self._reached.clear()

    def _hook(self, matrix: Matrix, take: Take) -> Hook:
        wide = matrix.rows <= matrix.columns

        def forward(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            right = inputs[0].detach()

            def backward(left: Tensor) -> None:
                short, long = (left, right) if wide else (right, left)
                self._arrived(matrix, short)
                take(self._products(short, long))

            if output.requires_grad:
                output.register_hook(backward)  # type: ignore[no-untyped-call]

        return forward

    def _arrived(self, matrix: Matrix, short: Tensor) -> None:
        if matrix.name in self._reached:
            raise NothingRecorded(f"two passes reached {matrix.name}: announce each of them by itself")
        self._reached[matrix.name] = short

    def _products(self, short: Tensor, long: Tensor) -> Tensor:
        """examples × short × long: the rank first. A batch of tall products takes a CPU four times as long as of wide
        ones."""
        device, precision = short.device.type, self._precision
        converted = short.dtype != precision or long.dtype != precision
        # Asked before it is done: beside so many small products a conversion of what needs none counts.
        if converted or torch.is_autocast_enabled(device) or torch.is_grad_enabled():
            with torch.no_grad(), torch.autocast(device, enabled=False):
                return torch.bmm(short.to(precision).transpose(1, 2), long.to(precision))
        return torch.bmm(short.transpose(1, 2), long)

    def _check(self) -> None:
        for matrix in self._matrices:
            if matrix.name not in self._reached:
                raise NotFinite(
                    f"no gradient reached {matrix.name}: run forward and backward inside the block, "
                    "without gradient checkpointing"
                )
        # What is not finite at B comes through it to A, where the gradient is as short as the rank.
        sums = torch.stack([short.sum(dtype=torch.float32) for short in self._reached.values()])
        for place in (~torch.isfinite(sums)).nonzero()[:, 0].tolist():
            name = list(self._reached)[place]
            raise NotFinite(f"the gradient at {name} is NaN or infinite: lower the rate, or look at the batch")

"""Per-example gradients of LoRA matrices, seen from inside one backward pass.

A LoRA layer is two linear maps, A then B. For each of them an example's gradient is the sum over its tokens of
(gradient at the output) ⊗ (input): two factors that the backward pass has at hand anyway. Their product is taken as the
pass comes by, while both are in the processor's cache, and neither is kept that is longer than the rank. Padding adds
nothing: its gradient is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oracle.attribution.errors import NoLoraLayers, NotFinite, NothingRecorded

Take = Callable[["Matrix", Tensor], None]  # a matrix and its gradients in one pass: examples × short × long
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


@contextmanager
def watched(matrices: Sequence[Matrix], take: Take, precision: torch.dtype = torch.float32) -> Iterator[None]:
    """Around one forward and one backward pass: `take` is given every matrix's gradients as the backward pass comes to
    them. Hooks are there only as long as the block."""
    watch = _Watch(matrices, take, precision)
    handles = [matrix.module.register_forward_hook(watch.hook(matrix)) for matrix in matrices]
    try:
        yield
        watch.check()
    finally:
        watch.over = True
        for handle in handles:
            handle.remove()


class _Watch:
    """One pass. What outlives it does not know it, so that nothing of it waits for the garbage collector."""

    def __init__(self, matrices: Sequence[Matrix], take: Take, precision: torch.dtype) -> None:
        self._matrices, self._take, self._precision = matrices, take, precision
        # What is not finite at B comes through it to A, where the gradient is as short as the rank.
        self._looked_at = {m.name for m in matrices if m.rows <= m.columns} or {m.name for m in matrices}
        self._reached: dict[str, Tensor | None] = {}
        self.over = False

    def hook(self, matrix: Matrix) -> Hook:
        wide = matrix.rows <= matrix.columns

        def forward(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            right = inputs[0].detach()

            def backward(left: Tensor) -> None:
                if not self.over:
                    self._arrived(matrix, left)
                    self._take(matrix, self._products(left, right) if wide else self._products(right, left))

            if output.requires_grad:
                output.register_hook(backward)  # type: ignore[no-untyped-call]

        return forward

    def _arrived(self, matrix: Matrix, left: Tensor) -> None:
        if matrix.name in self._reached:
            raise NothingRecorded(f"two passes reached {matrix.name}: announce each of them by itself")
        self._reached[matrix.name] = left.detach() if matrix.name in self._looked_at else None

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

    def check(self) -> None:
        """Every matrix was reached, by numbers."""
        for matrix in self._matrices:
            if matrix.name not in self._reached:
                raise NotFinite(f"no gradient reached {matrix.name}: run forward and backward inside the block")
        kept = {name: left for name, left in self._reached.items() if left is not None}
        sums = torch.stack([left.sum(dtype=torch.float32) for left in kept.values()])
        for place in (~torch.isfinite(sums)).nonzero()[:, 0].tolist():
            name = list(kept)[place]
            raise NotFinite(f"the gradient at {name} is NaN or infinite: lower the rate, or look at the batch")

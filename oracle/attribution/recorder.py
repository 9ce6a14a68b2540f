"""Watches a training run from inside: the payment path's index is made by the passes that the training makes anyway.

recorder = Recorder(model, plan, owners)              # owners[row] holds the credit of the row's cluster
for step, batch in enumerate(batches):
    with recorder.step(step, batch.rows, divisor):    # divisor: what the sum of the rows' losses was divided by
        loss(model, batch).backward()
    optimizer.step()
record = recorder.finish()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oracle.attribution.errors import NotFinite, NothingRecorded, UnknownContributor
from oracle.attribution.kronecker import Basis, Sides, Spread
from oracle.attribution.layers import Capture, Matrix, captured, lora_matrices
from oracle.attribution.records import Plan, Window


@dataclass(frozen=True)
class Checkpoint:
    """One window: the adapter in its middle, the scale of its gradients, and their sums, contributor by contributor."""

    window: Window
    rows: int
    adapter: dict[str, Tensor]
    bases: dict[str, Basis]
    divisors: dict[str, Tensor]
    sums: dict[str, Tensor]  # contributors × out × in, turned and divided


@dataclass(frozen=True)
class Record:
    """What a recorded run has left."""

    plan: Plan
    contributors: tuple[str, ...]
    checkpoints: tuple[Checkpoint, ...]


class Recorder:
    """Driven by the training loop. Outside of its windows a step costs nothing."""

    def __init__(
        self, model: nn.Module, plan: Plan, owners: Sequence[str], *, adapter: str = "default", sample: int = 256
    ) -> None:
        self._plan = plan
        self._matrices = lora_matrices(model, adapter)
        self.contributors = tuple(sorted(set(owners)))
        number = {name: i for i, name in enumerate(self.contributors)}
        self._owner_of = torch.tensor([number[name] for name in owners])
        # Every so many rows one is kept whole, to measure the scale by: the same ones whatever the batches.
        self._every = max(1, len(owners) // sample)
        self._open: _Open | None = None
        self._done: list[Checkpoint] = []

    @contextmanager
    def step(self, step: int, rows: Sequence[int], divisor: float) -> Iterator[None]:
        """Around one forward and backward pass over these rows, in this order."""
        window = next((window for window in self._plan.windows if window.first <= step <= window.last), None)
        if self._open is not None and (window is None or window != self._open.window):
            self._close()
        if window is None:
            yield
            return
        for row in rows:
            if not 0 <= row < len(self._owner_of):
                raise UnknownContributor(
                    f"row {row} is in a batch and not among the {len(self._owner_of)} whose owners are known"
                )
        if self._open is None:
            self._open = _Open(window, self._matrices, len(self.contributors))
        if step >= window.middle and not self._open.adapter:
            self._open.keep_adapter()
        with captured(self._matrices) as capture:
            yield
            self._open.add(capture, torch.tensor(list(rows)), self._owner_of, self._every, divisor)

    def finish(self) -> Record:
        if self._open is not None:
            self._close()
        missing = len(self._plan.windows) - len(self._done)
        if missing:
            raise NothingRecorded(
                f"{missing} of {len(self._plan.windows)} windows saw no row: the run was shorter than its plan"
            )
        return Record(self._plan, self.contributors, tuple(self._done))

    def _close(self) -> None:
        assert self._open is not None
        self._done.append(self._open.checkpoint(self._plan.damping))
        self._open = None


class _Open:
    """A window that is being recorded."""

    def __init__(self, window: Window, matrices: Sequence[Matrix], contributors: int) -> None:
        self.window, self._matrices = window, matrices
        self._device = next(matrices[0].module.parameters()).device
        self._sums = {m.name: torch.zeros(contributors, m.rows, m.columns, device=self._device) for m in matrices}
        self._sample: dict[str, list[Tensor]] = {m.name: [] for m in matrices}
        self.adapter: dict[str, Tensor] = {}
        self._rows = 0

    def keep_adapter(self) -> None:
        for matrix in self._matrices:
            weight = matrix.module.weight
            assert isinstance(weight, Tensor)
            self.adapter[matrix.name] = weight.detach().clone()

    def add(self, capture: Capture, rows: Tensor, owner_of: Tensor, every: int, divisor: float) -> None:
        owners = owner_of[rows].to(self._device)
        sampled = (rows % every == 0).to(self._device)
        for matrix in self._matrices:
            gradients = capture.factors(matrix, divisor).gradients()
            if gradients.shape[0] != len(rows):
                raise NothingRecorded(f"{gradients.shape[0]} rows passed the model, and {len(rows)} were announced")
            self._sums[matrix.name].index_add_(0, owners, gradients)
            if sampled.any():
                self._sample[matrix.name].append(gradients[sampled])
        self._rows += len(rows)

    def checkpoint(self, damping: float) -> Checkpoint:
        if not self.adapter:
            self.keep_adapter()
        bases, divisors, sums = {}, {}, {}
        for matrix in self._matrices:
            kept = self._sample[matrix.name]
            if not kept:
                raise NothingRecorded(f"no sampled row passed in the steps {self.window.first}–{self.window.last}")
            sample = torch.cat(kept)
            sides = Sides(matrix.rows, matrix.columns, self._device)
            sides.add(sample)
            basis = sides.basis()
            spread = Spread(matrix.rows, matrix.columns, self._device)
            spread.add(basis.turn(sample))
            divisor = spread.divisor(damping)
            whole = basis.turn(self._sums[matrix.name]) / divisor
            if not torch.isfinite(whole).all():
                raise NotFinite(f"the summed gradients of {matrix.name} are NaN or infinite")
            bases[matrix.name], divisors[matrix.name], sums[matrix.name] = basis, divisor, whole
        return Checkpoint(self.window, self._rows, self.adapter, bases, divisors, sums)

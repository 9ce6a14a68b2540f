"""Watches a training run from inside: the payment path's index is made by the passes that the training makes anyway.

recorder = Recorder(model, plan, owners)              # owners[row] holds the credit of the row's cluster
for step, batch in enumerate(batches):
    with recorder.step(step, batch.rows, divisor):    # divisor: what the sum of the rows' losses was divided by
        loss(model, batch).backward()
    optimizer.step()
record = recorder.finish()
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oracle.attribution.errors import NotFinite, NothingRecorded, UnknownContributor
from oracle.attribution.layers import Matrix, lora_matrices, watched
from oracle.attribution.records import Plan, Window
from oracle.attribution.scale import LongSide, drawn

Scale = Callable[[int, int, torch.device], LongSide]  # of a matrix, by its short side and its long one


@dataclass(frozen=True)
class Checkpoint:
    """One window: the adapter in its middle, and the sums of its gradients, contributor by contributor."""

    window: Window
    rows: int
    adapter: dict[str, Tensor]
    sums: dict[str, Tensor]  # contributors × short × long, on their scale


@dataclass(frozen=True)
class Record:
    """What a recorded run has left."""

    plan: Plan
    contributors: tuple[str, ...]
    rows: tuple[int, ...]  # of each contributor
    checkpoints: tuple[Checkpoint, ...]


class Recorder:
    """Driven by the training loop. Outside of its windows a step costs nothing."""

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        owners: Sequence[str],
        *,
        adapter: str = "default",
        scale: Scale = LongSide,
    ) -> None:
        self._plan, self._scale = plan, scale
        self._matrices = lora_matrices(model, adapter)
        self.contributors = tuple(sorted(set(owners)))
        number = {name: i for i, name in enumerate(self.contributors)}
        self._owner_of = torch.tensor([number[name] for name in owners])
        self._open: _Open | None = None
        self._done: list[Checkpoint] = []

    @contextmanager
    def step(self, step: int, rows: Sequence[int], divisor: float) -> Iterator[None]:
        """Around one forward and backward pass over these rows, in this order. Where it fails, rows pass again in the
        same step, in whatever company: what of them is in the sums already is not added twice."""
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
            self._open = self._opened(window)
        if step >= window.middle and not self._open.adapter:
            self._open.keep_adapter()
        with self._open.passing(step, rows, self._owner_of, divisor):
            yield

    def finish(self) -> Record:
        if self._open is not None:
            self._close()
        missing = len(self._plan.windows) - len(self._done)
        if missing:
            raise NothingRecorded(
                f"{missing} of {len(self._plan.windows)} windows saw no row: the run was shorter than its plan"
            )
        counts = torch.bincount(self._owner_of, minlength=len(self.contributors)).tolist()
        return Record(self._plan, self.contributors, tuple(counts), tuple(self._done))

    def state(self) -> dict[str, Tensor]:
        """All that was seen so far, so that a run that is stopped can go on elsewhere."""
        kept = {"damping": torch.tensor(self._plan.damping)}
        for number, checkpoint in enumerate(self._done):
            kept[f"done.{number}.rows"] = torch.tensor(checkpoint.rows)
            for kind, values in (("adapter", checkpoint.adapter), ("sums", checkpoint.sums)):
                kept |= {f"done.{number}.{kind}.{name}": value for name, value in values.items()}
        if self._open is not None:
            kept["open.window"] = torch.tensor(self._plan.windows.index(self._open.window))
            kept |= {f"open.{name}": value for name, value in self._open.state().items()}
        return kept

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Takes up what `state` gave, with the same plan and owners."""
        damping = state.get("damping")
        if damping is None or float(damping) != float(torch.tensor(self._plan.damping)):
            raise NothingRecorded(
                "the run was begun by another version of attribution: remove its checkpoint, and it begins anew"
            )
        self._done, self._open = [], None
        while f"done.{len(self._done)}.rows" in state:
            prefix = f"done.{len(self._done)}."
            adapter, sums = (_below(state, f"{prefix}{kind}.") for kind in ("adapter", "sums"))
            window = self._plan.windows[len(self._done)]
            self._done.append(Checkpoint(window, int(state[f"{prefix}rows"]), adapter, sums))
        if "open.window" in state:
            window = self._plan.windows[int(state["open.window"])]
            self._open = self._opened(window)
            self._open.resume(_below(state, "open."))

    def _opened(self, window: Window) -> _Open:
        return _Open(window, self._matrices, len(self.contributors), len(self._owner_of), self._scale)

    def _close(self) -> None:
        assert self._open is not None
        self._done.append(self._open.checkpoint(self._plan.damping))
        self._open = None


class _Open:
    """A window that is being recorded."""

    def __init__(self, window: Window, matrices: Sequence[Matrix], contributors: int, rows: int, scale: Scale) -> None:
        self.window, self._matrices = window, matrices
        self._device = next(matrices[0].module.parameters()).device
        self._sums = {m.name: torch.zeros(contributors, *m.shape, device=self._device) for m in matrices}
        self._scales = {m.name: scale(*m.shape, self._device) for m in matrices}
        self.adapter: dict[str, Tensor] = {}
        self._rows = 0
        self._passes = torch.zeros(rows, dtype=torch.long)  # of each row: the signs of a second pass are others
        self._step = -1
        self._owed: dict[str, Counter[int]] = {}  # by matrix: rows of a pass that failed after they were added

    def keep_adapter(self) -> None:
        for matrix in self._matrices:
            weight = matrix.module.weight
            assert isinstance(weight, Tensor)
            self.adapter[matrix.name] = weight.detach().clone()

    @contextmanager
    def passing(self, step: int, rows: Sequence[int], owner_of: Tensor, divisor: float) -> Iterator[None]:
        """Around one pass of these rows."""
        if step != self._step:
            self._check_whole()
        self._step, places = step, torch.tensor(list(rows))
        owners = owner_of[places].to(self._device)
        numbers = (places + 1009 * self._passes[places]).to(self._device)
        signs = {short: drawn(short, numbers) for short in {matrix.shape[0] for matrix in self._matrices}}
        added: dict[str, Sequence[int]] = {}

        def take(matrix: Matrix, gradients: Tensor) -> None:
            if len(gradients) != len(rows):
                raise NothingRecorded(f"{len(gradients)} rows passed the model, and {len(rows)} were announced")
            name, of, by, new = matrix.name, owners, signs[matrix.shape[0]], rows
            if owed := self._owed.get(name):
                fresh = [i for i, row in enumerate(rows) if not owed[row]]
                gradients, of, by, new = gradients[fresh], of[fresh], by[fresh], [rows[i] for i in fresh]
            self._scales[name].add(gradients, by, divisor)
            self._sums[name].index_add_(0, of, gradients, alpha=divisor)
            added[name] = new

        try:
            with watched(self._matrices, take):
                yield
        except BaseException:
            for name, new in added.items():
                self._owed.setdefault(name, Counter()).update(new)
            raise
        self._owed = {name: left for name, owed in self._owed.items() if (left := owed - Counter(rows))}
        self._passes[places] += 1
        self._rows += len(rows)

    def _check_whole(self) -> None:
        if self._owed:
            rows = sorted(set().union(*self._owed.values()))
            raise NothingRecorded(
                f"a pass of step {self._step} failed and its rows did not pass again ({rows[:5]} among them): "
                "the window's sums hold a part of them"
            )

    def state(self) -> dict[str, Tensor]:
        self._check_whole()
        kept = {f"sums.{name}": value.clone() for name, value in self._sums.items()}
        kept |= {f"adapter.{name}": value for name, value in self.adapter.items()}
        for name, scale in self._scales.items():
            kept[f"covariance.{name}"] = scale.covariance.clone()
            kept[f"count.{name}"] = torch.tensor(scale.count)
        return kept | {"rows": torch.tensor(self._rows), "passes": self._passes.clone()}

    def resume(self, state: Mapping[str, Tensor]) -> None:
        self.adapter = {name: value.to(self._device) for name, value in _below(state, "adapter.").items()}
        self._rows = int(state["rows"])
        self._passes = state["passes"].clone()
        for name, scale in self._scales.items():
            self._sums[name].copy_(state[f"sums.{name}"])
            scale.covariance.copy_(state[f"covariance.{name}"])
            scale.count = int(state[f"count.{name}"])

    def checkpoint(self, damping: float) -> Checkpoint:
        self._check_whole()
        if not self.adapter:
            self.keep_adapter()
        sums = {}
        for matrix in self._matrices:
            sums[matrix.name] = self._scales[matrix.name].scaled(self._sums[matrix.name], damping)
            if not torch.isfinite(sums[matrix.name]).all():
                raise NotFinite(f"the summed gradients of {matrix.name} are NaN or infinite")
        return Checkpoint(self.window, self._rows, self.adapter, sums)


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

"""The recorder as a training run's onlooker: it goes on where a stopped run was, and leaves the index when it ends.

    watching = Onlooker(model, adapter, steps, epochs, owners)
    with watching.step(number, rows, divisor): ...
    watching.close(folder, weights)

It imports nothing of the trainer's, and a trainer needs to know only the methods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from oracle.attribution.index import adapter_digest, write_index
from oracle.attribution.recorder import Recorder
from oracle.attribution.records import METHOD, plan_for

FOLDER = "attribution"


class Onlooker:
    def __init__(
        self,
        model: nn.Module,
        adapter: str,
        steps: int,
        epochs: int,
        owners: Sequence[str],
        holdings: Mapping[str, tuple[str, str, str | None]] | None = None,
    ) -> None:
        """`holdings`: of an owner's name in the index, (contribution, owner, holder)."""
        self._recorder = Recorder(model, plan_for(steps, epochs), owners, adapter=adapter)
        self._holdings = dict(holdings or {})

    @contextmanager
    def step(self, step: int, rows: Sequence[int], divisor: float) -> Iterator[None]:
        with self._recorder.step(step, rows, divisor):
            yield

    def state(self) -> dict[str, Tensor]:
        return self._recorder.state()

    def resume(self, state: Mapping[str, Tensor]) -> None:
        self._recorder.resume(state)

    def close(self, folder: Path, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        """`weights` as PEFT stores them. Says what a manifest should of the index."""
        digest = adapter_digest({plain(name): value for name, value in weights.items()})
        target = folder / FOLDER
        write_index(target, self._recorder.finish(), digest, {"holdings": self._holdings})
        index = hashlib.sha256((target / "index.json").read_bytes()).hexdigest()
        return {"method": METHOD, "adapter": digest, "index": index}


def plain(name: str) -> str:
    """As the index names a matrix."""
    return name.removeprefix("base_model.model.").removesuffix(".weight").removesuffix(".default")

"""How one engine is set up. Every limit is fixed at the start: nothing grows while it serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import torch

from oracle.serving.errors import BadRequest


class Kernels(StrEnum):
    """Which rung of the ladder. AUTO takes the fastest that runs here."""

    AUTO = "auto"
    REFERENCE = "reference"
    BADDBMM = "baddbmm"
    NATIVE = "native"
    TRITON = "triton"


@dataclass(frozen=True)
class Slots:
    """`count` adapters of up to `rank` on the device at once, stored as `dtype`."""

    rank: int
    count: int
    dtype: torch.dtype = torch.bfloat16


@dataclass(frozen=True)
class EngineConfig:
    """Limits in rows (requests at once), tokens and bytes."""

    rows: int = 64
    # Rows kept for adapters (or the base) of which nothing runs yet: a flood leaves these to the others.
    newcomer_rows: int = 4
    context: int = 2048
    # Keys and values of this many tokens, prompts and answers together.
    memory_tokens: int = 65_536
    # Prompts are read in pieces of `piece` tokens, at most `prompt_tokens` of them beside the decoding rows of a step.
    piece: int = 256
    prompt_tokens: int = 512
    slots: tuple[Slots, ...] = (
        Slots(8, 64), Slots(16, 32), Slots(32, 16), Slots(64, 8),
        Slots(8, 16, torch.float32), Slots(16, 16, torch.float32),
        Slots(32, 8, torch.float32), Slots(64, 4, torch.float32),
    )  # fmt: skip
    # Whether an adapter that bf16 cannot hold exactly may be rounded into a bf16 slot. It then no longer gives the very
    # tokens of its file.
    rounding: bool = False
    # The sum of the ranks of all different adapters in one step; it bounds what adapters add to a step.
    rank_budget: int | None = None
    waiting: int = 1024
    waiting_per_adapter: int = 256
    look_ahead: int = 8
    host_bytes: int = 0
    # Names under which adapters may know the base; none given, none checked.
    base_names: frozenset[str] = field(default_factory=frozenset)
    kernels: Kernels = Kernels.AUTO
    load_in_background: bool = True

    def __post_init__(self) -> None:
        least = {
            "rows": 1, "newcomer_rows": 0, "context": 1, "memory_tokens": 1, "piece": 1, "waiting": 1,
            "waiting_per_adapter": 1, "look_ahead": 0, "host_bytes": 0,
        }  # fmt: skip
        wrong = [f"{name} = {getattr(self, name)}" for name, value in least.items() if getattr(self, name) < value]
        if self.prompt_tokens < self.piece:
            wrong.append(f"prompt_tokens = {self.prompt_tokens} is less than piece = {self.piece}")
        wrong += [f"slots of rank {s.rank}, count {s.count}" for s in self.slots if s.rank < 1 or s.count < 1]
        if wrong:
            raise BadRequest(f"the engine's settings make no sense: {'; '.join(wrong)}")

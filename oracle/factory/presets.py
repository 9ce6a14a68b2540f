"""What `quick`, `balanced` and `thorough` stand for, and the values a recipe takes where it says nothing."""

from __future__ import annotations

from typing import Any

from oracle.types import BasisPoints

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"rank": 8, "epochs": 4},
    "balanced": {"rank": 16, "epochs": 12},
    "thorough": {"rank": 32, "epochs": 30},
}
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ALPHA = 2  # times the rank

# A rate of 2e-4 suits a model of width 4,096, and what suits a narrower one grows as its width shrinks.
RATE_BY_WIDTH = 0.8

# contributors, builder, upstream, reviewers, attestors, treasury
SPLIT = tuple(BasisPoints(part) for part in (6000, 2000, 0, 500, 500, 1000))


def rate_for(width: int) -> float:
    return float(f"{RATE_BY_WIDTH / width:.1e}")

"""What the doctor says of one part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    part: str
    state: Literal["well", "unsure", "wrong"]
    found: str
    remedy: str = ""

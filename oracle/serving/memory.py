"""Large zeroed tensors of the device. On a CPU they stand in huge pages where the system has them.

A step streams hundreds of adapters, and keys and values of every row, from all over these areas: pages of 4 KB would
miss the TLB at nearly each of them.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Sequence

import torch

HUGE_PAGE = 2 << 20


def zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    if device.type != "cpu":
        return torch.zeros(tuple(shape), dtype=dtype, device=device)
    elements = math.prod(shape)
    # An anonymous mapping takes no memory before something is written to it.
    area = mmap.mmap(-1, max(elements * dtype.itemsize, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE") and len(area) >= HUGE_PAGE:
        # Not every kernel has them, and no other system; small pages do as well, only slower.
        with contextlib.suppress(OSError):
            area.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(area, dtype=dtype, count=elements).view(tuple(shape))

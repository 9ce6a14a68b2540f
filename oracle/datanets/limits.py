"""How much of anything is read before it is refused: whoever sends a file decides nothing about our memory."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    row_bytes: int = MIB  # of one row in its file; a longer one is passed over, and counted
    rows: int = 100_000_000
    parquet_bytes: int = 64 * 1024 * MIB  # of a whole Parquet file, unpacked, as it declares and as it turns out
    parquet_ratio: int = 200  # how much larger unpacked than packed
    parquet_group_bytes: int = 512 * MIB  # of one row group, unpacked: it is what has to be held at once


DEFAULT = Limits()

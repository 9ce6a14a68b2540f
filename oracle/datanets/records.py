"""What passes from readers to the rest of intake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from oracle.datanets.verdicts import Fault
from oracle.types import RowHash


class Raw(NamedTuple):
    """A row as it stands in its file; `line` is where (for Parquet and JSON arrays: which one)."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """Some thousand rows by column: canonical bytes, hashes and what a check reads."""

    lines: Sequence[int]
    rows: Sequence[bytes]
    hashes: Sequence[RowHash]
    texts: Sequence[str]
    faults: Sequence[Fault] = ()

    def __len__(self) -> int:
        return len(self.rows)

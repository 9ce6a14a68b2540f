"""The words of a batch where they lie in its bytes. Arrow tells equal ones, so that Python looks at each kind once a
batch, and makes no object of the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

_SPACE = 0x20


class Tokens:
    def __init__(self, spaced: bytes) -> None:
        """Of bytes with spaces between words, and at either end."""
        content = np.frombuffer(spaced, np.uint8)
        inside = content != _SPACE
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        self._starts = np.zeros(len(edges) // 2 + 1, np.int64)
        np.cumsum(edges[1::2] - edges[0::2], out=self._starts[1:])
        self._content = content[inside]

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, at: int) -> bytes:
        return bytes(self._content[self._starts[at] : self._starts[at + 1]])

    def values(self, value_of: Callable[[bytes], int]) -> npt.NDArray[np.uint32]:
        """Of each, in their order."""
        buffers = [None, pa.py_buffer(self._starts), pa.py_buffer(self._content)]
        encoded = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self), buffers).dictionary_encode()
        kinds = encoded.dictionary.to_numpy(zero_copy_only=False).tolist()
        values = np.fromiter(map(value_of, kinds), np.uint32, len(kinds))
        found: npt.NDArray[np.uint32] = values[encoded.indices.to_numpy()]
        return found

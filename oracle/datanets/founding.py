"""The near-duplicate indexes of all datanets, in memory, and brought up to date from what the store has of them.

What is in memory is never ahead of the store: an index whose chunk could not be saved is thrown away and read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sqlalchemy import Connection

from oracle.datanets.near import Founders, NearIndex
from oracle.datanets.shingles import KEYS
from oracle.datanets.words import Places, Split
from oracle.errors import Stop
from oracle.store import rows
from oracle.store.rows import FounderChunk
from oracle.types import DatanetId, Hash32, RowHash

_VERSION = 1


class OtherRules(Stop):
    """The index was written by a version that shingles or hashes in another way."""


@dataclass(frozen=True)
class Founder:
    """Where a cluster began."""

    contribution: Hash32
    row: int
    hash: RowHash


class Indexes:
    def __init__(self) -> None:
        self._held: dict[tuple[DatanetId, int], NearIndex] = {}

    def get(self, connection: Connection, datanet: DatanetId, share: int) -> NearIndex:
        """With everything that was saved, whoever saved it."""
        index = self._held.setdefault((datanet, share), NearIndex(share))
        for chunk in rows.founders_from(connection, datanet, index.founders):
            if chunk.first != index.founders:
                raise OtherRules(f"datanet {datanet}: the index lacks founders {index.founders} to {chunk.first}")
            founders = unpacked(chunk.content)
            index.restore(founders.keys, founders.bag)
        return index

    def drop(self, datanet: DatanetId) -> None:
        for key in [key for key in self._held if key[0] == datanet]:
            del self._held[key]


def founder(connection: Connection, datanet: DatanetId, number: int) -> Founder:
    chunk = rows.founder_chunk(connection, datanet, number)
    row = int(unpacked(chunk.content).rows[number - chunk.first])
    held = rows.chunk(connection, chunk.contribution, chunk.number)
    return Founder(chunk.contribution, held.first + row, held.hash_of(row))


def packed(founders: Founders) -> bytes:
    counts = np.array([_VERSION, len(founders.rows), len(founders.bag.words)], "<u4")
    parts = [
        counts,
        founders.rows.astype("<u4"),
        founders.keys.astype("<u4"),
        founders.bag.starts.astype("<u4"),
        founders.bag.words.astype("<u4"),
    ]
    return b"".join(part.tobytes() for part in parts)  # hashes do not compress


def unpacked(content: bytes) -> Founders:
    values = np.frombuffer(content, "<u4")
    version, count, words = (int(value) for value in values[:3])
    if version != _VERSION:
        raise OtherRules(
            f"the index is of version {version}, this code knows {_VERSION}; run the version that wrote it"
        )
    ends = np.cumsum([3, count, count * KEYS, count + 1, words])
    row, keys, starts, bag = (values[begin:end] for begin, end in pairwise(ends))
    places: Places = starts.astype(np.int64)
    return Founders(
        row.astype(np.int64), keys.reshape(count, KEYS).astype(np.uint32), Split(bag.astype(np.uint32), places)
    )


def chunk_of(
    datanet: DatanetId, rank: int, number: int, contribution: Hash32, first: int, made: Founders
) -> FounderChunk:
    return FounderChunk(datanet, rank, number, contribution, first, len(made.rows), packed(made))

"""Published rows read back, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from oracle.datanets.canonical import canonical
from oracle.datanets.collecting import erased_line, hash_of_line
from oracle.datanets.kinds import Kind
from oracle.datanets.lines import lines
from oracle.datanets.near import CHUNK
from oracle.datanets.parsing import parse
from oracle.datanets.shapes import BadRow, normal, shape_of, text_of
from oracle.types import RowHash


@dataclass(frozen=True)
class Rows:
    """One chunk: where it begins, hashes and texts; which of them are in no canonical form, and which were erased."""

    first: int
    hashes: list[RowHash]
    texts: list[str]
    bad: list[int]
    erased: list[int]


def chunks_of(content: BinaryIO, kind: Kind, longest: int, skip: int = 0) -> Iterator[Rows]:
    """In the order of the file; `skip` chunks are passed over."""
    first = 0
    held: list[bytes] = []
    for line, _ in lines(content, longest):
        held.append(line or b"")
        if len(held) == CHUNK:
            if first >= skip * CHUNK:
                yield _chunk(first, held, kind)
            first += CHUNK
            held = []
    if held and first >= skip * CHUNK:
        yield _chunk(first, held, kind)


def _chunk(first: int, held: list[bytes], kind: Kind) -> Rows:
    hashes, texts, bad, erased = [], [], [], []
    for at, line in enumerate(held):
        hash_ = hash_of_line(line)
        hashes.append(hash_)
        try:
            row = parse(line)
            if line == erased_line(hash_):
                erased.append(at)
                texts.append("")
                continue
            if canonical(normal(row, shape_of(row, kind))) != line:
                bad.append(at)
            texts.append(text_of(row))
        except (BadRow, TypeError, KeyError):
            bad.append(at)
            texts.append("")
    return Rows(first, hashes, texts, bad, erased)

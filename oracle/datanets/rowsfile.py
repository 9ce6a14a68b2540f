"""Published rows read back, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from oracle.datanets.canonical import canonical
from oracle.datanets.collecting import erased_line, hash_of_line
from oracle.datanets.kinds import Kind
from oracle.datanets.lines import lines
from oracle.datanets.near import CHUNK
from oracle.datanets.shapes import BadRow, Normaliser, text_of
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
    made, normal = Rows(first, [], [], [], []), Normaliser(kind)
    for at, line in enumerate(held):
        hash_ = hash_of_line(line)
        text = _text(line, normal)
        if text is None:
            (made.erased if line == erased_line(hash_) else made.bad).append(at)
        made.hashes.append(hash_)
        made.texts.append(text or "")
    return made


def _text(line: bytes, normal: Normaliser) -> str | None:
    """None where the line is not the canonical form of a row. Such a form holds no key twice and no bomb of brackets,
    so that nobody has to look for them."""
    try:
        row = orjson.loads(line)
        if type(row) is not dict:
            return None
        made = normal(row)
        return text_of(made) if canonical(made) == line else None
    except (orjson.JSONDecodeError, BadRow, TypeError, KeyError):
        return None

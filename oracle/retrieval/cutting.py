"""Documents cut into passages: at paragraphs where they fit, else at sentences, else at words. No word is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

VERSION = 1
LONGEST = 900  # characters: what a small sentence model reads at once

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n")
_BOUNDS = (_PARAGRAPH, _SENTENCE, re.compile(r"\s+"))
_JOINTS = ("\n\n", " ", " ")


def passages(text: str, longest: int = LONGEST) -> list[str]:
    """In their order; each has something in it and at most so many characters."""
    return list(_cut(text.strip(), longest, 0))


def passage_of(row: bytes, part: int) -> str:
    """One of them with its title, as it is searched and quoted, from a document in its canonical form."""
    told = orjson.loads(row)
    if part < 0:
        raise IndexError(f"passage {part}")
    return searched(told.get("title", ""), passages(told["text"])[part])


def searched(title: str, text: str) -> str:
    return f"{title}\n{text}" if title else text


def _cut(text: str, longest: int, level: int) -> Iterator[str]:
    if len(text) <= longest:
        if text:
            yield text
        return
    if level == len(_BOUNDS):
        yield from (text[at : at + longest] for at in range(0, len(text), longest))
        return
    held = ""
    for piece in _BOUNDS[level].split(text):
        piece = piece.strip()
        joined = f"{held}{_JOINTS[level]}{piece}" if held and piece else held or piece
        if len(joined) <= longest:
            held = joined
            continue
        if held:
            yield held
        if len(piece) <= longest:
            held = piece
        else:
            held = ""
            yield from _cut(piece, longest, level + 1)
    if held:
        yield held

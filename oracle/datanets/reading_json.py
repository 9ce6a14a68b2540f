"""JSON, a row to a line or an array of rows, without ever holding more than one row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from oracle.datanets.lines import lines
from oracle.datanets.parsing import parse
from oracle.datanets.records import Raw
from oracle.datanets.shapes import BadRow
from oracle.datanets.verdicts import Fault

_BOM = b"\xef\xbb\xbf"
_PIECE = 256 * 1024
_STRUCTURE = re.compile(rb'["\\{}\[\]]')


def read_jsonl(stream: BinaryIO, longest: int) -> Iterator[Raw | Fault]:
    for number, (line, ended) in enumerate(lines(stream, longest), 1):
        if line is None:
            yield Fault(number, "row_too_big", str(longest))
            continue
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line or line.isspace():
            continue
        try:
            yield Raw(number, parse(line))
        except BadRow as bad:
            code = "torn" if not ended and bad.code == "not_json" else bad.code
            yield Fault(number, code, bad.detail)


def read_json(stream: BinaryIO, longest: int) -> Iterator[Raw | Fault]:
    """The objects of an array, or the one object that the file is. `line` counts objects."""
    number = 0
    for number, (content, whole) in enumerate(_objects(stream, longest), 1):
        if content is None:
            yield Fault(number, "row_too_big", str(longest))
            continue
        if not whole:
            yield Fault(number, "torn")
            continue
        try:
            yield Raw(number, parse(content))
        except BadRow as bad:
            yield Fault(number, bad.code, bad.detail)


def _objects(stream: BinaryIO, longest: int) -> Iterator[tuple[bytes | None, bool]]:
    """(the bytes of each outermost object, whether it is whole), found by its brackets outside of strings."""
    held = bytearray()
    depth, in_text, inside, too_long, at = 0, False, False, False, 0
    array = 0
    while piece := stream.read(_PIECE):
        held += piece
        begin = 0
        for found in _STRUCTURE.finditer(held, at):
            place = found.start()
            if place < at:
                continue
            mark = held[place]
            if in_text:
                if mark == 0x5C:  # a backslash takes the next byte with it
                    at = place + 2
                elif mark == 0x22:
                    in_text = False
            elif mark == 0x22:
                in_text = True
            elif mark in b"{[":
                if mark == 0x5B and depth == 0 and array == 0:
                    array = 1
                    continue
                if depth == 0:
                    begin, inside = place, True
                depth += 1
            elif mark in b"}]":
                if depth == 0:
                    continue
                depth -= 1
                if depth == 0:
                    content = None if too_long or place + 1 - begin > longest else bytes(held[begin : place + 1])
                    yield content, True
                    inside, too_long = False, False
                    begin = place + 1
        kept = begin if inside else len(held)
        at = max(at, len(held)) - kept
        del held[:kept]
        if len(held) > longest:
            # Only the brackets of a row that is too long are followed on.
            too_long = True
            at -= len(held)
            held.clear()
    if inside:
        yield (None if too_long else bytes(held)), False

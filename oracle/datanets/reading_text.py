"""Plain text: blocks between empty lines are documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from oracle.datanets.lines import lines
from oracle.datanets.records import Raw
from oracle.datanets.verdicts import Fault

_BOM = b"\xef\xbb\xbf"


def read_text(stream: BinaryIO, longest: int) -> Iterator[Raw | Fault]:
    block: list[bytes] = []
    begins, size, too_long = 1, 0, False
    number = 0
    for number, (line, _) in enumerate(lines(stream, longest), 1):
        if number == 1 and line is not None:
            line = line.removeprefix(_BOM)
        if line is not None and (not line or line.isspace()):
            if block or too_long:
                yield _document(begins, block, too_long, longest)
            block, begins, size, too_long = [], number + 1, 0, False
            continue
        if not block and not too_long:
            begins = number
        size += longest + 1 if line is None else len(line) + 1
        too_long = too_long or size > longest
        if too_long:
            block.clear()
        elif line is not None:
            block.append(line)
    if block or too_long:
        yield _document(begins, block, too_long, longest)


def _document(line: int, block: list[bytes], too_long: bool, longest: int) -> Raw | Fault:
    if too_long:
        return Fault(line, "row_too_big", str(longest))
    content = b"\n".join(block)
    try:
        return Raw(line, {"text": content.decode("utf-8")})
    except UnicodeDecodeError as error:
        return Fault(line, "encoding", f"byte {error.start} of the paragraph is 0x{content[error.start]:02x}")

"""Lines of a stream, each of bounded length, whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

_PIECE = 1024 * 1024
TOO_LONG = None


def lines(stream: BinaryIO, longest: int) -> Iterator[tuple[bytes | None, bool]]:
    """(line without its end, whether it had one). None stands for a line that was too long; it was passed over, not
    kept."""
    pending, skipping = b"", False
    while piece := stream.read(_PIECE):
        parts = piece.split(b"\n")
        if len(parts) == 1:
            if not skipping:
                pending += piece
                if len(pending) > longest:
                    pending, skipping = b"", True
            continue
        first = TOO_LONG if skipping else pending + parts[0]
        yield _bounded(first, longest), True
        for line in parts[1:-1]:
            yield _bounded(line, longest), True
        pending, skipping = parts[-1], False
    if skipping:
        yield TOO_LONG, False
    elif pending:
        yield _bounded(pending, longest), False


def _bounded(line: bytes | None, longest: int) -> bytes | None:
    return TOO_LONG if line is None or len(line) > longest else line.removesuffix(b"\r")

"""A file becomes batches of canonical rows: whatever its format, as a stream, each bad row by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from oracle.datanets.canonical import canonical, row_hash
from oracle.datanets.formats import Format, recognise
from oracle.datanets.kinds import Kind
from oracle.datanets.limits import DEFAULT, Limits
from oracle.datanets.reading_json import read_json, read_jsonl
from oracle.datanets.reading_tables import read_csv, read_parquet
from oracle.datanets.reading_text import read_text
from oracle.datanets.records import Batch, Raw
from oracle.datanets.shapes import BadRow, Normaliser, text_of
from oracle.datanets.verdicts import Fault
from oracle.types import RowHash

BATCH_ROWS = 4096
_BATCH_BYTES = 16 * 1024 * 1024

Progress = Callable[[int], None]  # how many bytes of the file have been read


def rows_of(stream: BinaryIO, name: str, limits: Limits = DEFAULT) -> Iterator[Raw | Fault]:
    """By the file's own format."""
    form = recognise(stream, name)
    if form is Format.JSONL:
        return read_jsonl(stream, limits.row_bytes)
    if form is Format.JSON:
        return read_json(stream, limits.row_bytes)
    if form is Format.CSV:
        return read_csv(stream, limits)
    if form is Format.PARQUET:
        return read_parquet(stream, limits)
    return read_text(stream, limits.row_bytes)


def read(
    stream: BinaryIO, name: str, kind: Kind, limits: Limits = DEFAULT, progress: Progress | None = None
) -> Iterator[Batch]:
    """Batches of rows in the order of the file; faults stand in the batch in which they were met."""
    for batch in normalise(rows_of(stream, name, limits), kind):
        yield batch
        if progress is not None:
            progress(stream.tell())


def normalise(found: Iterable[Raw | Fault], kind: Kind) -> Iterator[Batch]:
    batch, size = _Growing(), 0
    normal = Normaliser(kind)
    for item in found:
        if type(item) is Fault:
            batch.faults.append(item)
        elif type(item) is Raw:
            try:
                row = normal(item.values)
                content = canonical(row)
            except BadRow as bad:
                batch.faults.append(Fault(item.line, bad.code, bad.detail))
            except TypeError:
                batch.faults.append(Fault(item.line, "encoding", "it holds half of a surrogate pair"))
            else:
                batch.add(item.line, row, content)
                size += len(content)
        if len(batch.rows) + len(batch.faults) >= BATCH_ROWS or size > _BATCH_BYTES:
            yield batch.done()
            batch, size = _Growing(), 0
    if batch.rows or batch.faults:
        yield batch.done()


class _Growing:
    def __init__(self) -> None:
        self.lines: list[int] = []
        self.rows: list[bytes] = []
        self.hashes: list[RowHash] = []
        self.texts: list[str] = []
        self.faults: list[Fault] = []

    def add(self, line: int, row: dict[str, Any], content: bytes) -> None:
        self.lines.append(line)
        self.rows.append(content)
        self.hashes.append(row_hash(content))
        self.texts.append(text_of(row))

    def done(self) -> Batch:
        return Batch(self.lines, self.rows, self.hashes, self.texts, self.faults)

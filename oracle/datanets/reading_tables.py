"""CSV and Parquet: rows of named columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any, BinaryIO

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from oracle.datanets.formats import UnknownFormat, delimiter_of, header_cells
from oracle.datanets.limits import Limits
from oracle.datanets.records import Raw
from oracle.datanets.shapes import COLUMNS
from oracle.datanets.verdicts import Fault

_ROWS = 1024
_NESTED = ("messages", "conversations", "conversation", "choices")


class Bomb(UnknownFormat):
    """A file that would unpack into far more than it is."""


def read_csv(stream: BinaryIO, limits: Limits) -> Iterator[Raw | Fault]:
    csv.field_size_limit(limits.row_bytes)
    # A byte that is not UTF-8 spoils its row, not the file: it becomes a lone surrogate, which is looked for below.
    text = TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        header = text.readline(limits.row_bytes)
        delimiter = delimiter_of(header)
        names = [name.strip().lower() for name in header_cells(header, delimiter)]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UnknownFormat(f"its header names the column {twice!r} twice; rename one")
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        while True:
            begins = rows.line_num + 2
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                # An open quote swallows what follows: nobody can tell where the next row begins.
                yield _csv_fault(begins, error, limits)
                return
            if not cells:
                continue
            if len(cells) != len(names):
                yield Fault(begins, "wrong_type", f"The row has {len(cells)} cells, the header {len(names)}.")
                continue
            yield _csv_row(begins, dict(zip(names, cells)))
    finally:
        text.detach()


def _csv_fault(line: int, error: csv.Error, limits: Limits) -> Fault:
    if "field larger" in str(error):
        return Fault(line, "row_too_big", str(limits.row_bytes))
    if "unexpected end" in str(error):
        return Fault(line, "torn")
    return Fault(line, "wrong_type", f"From here on the CSV cannot be read: {error}.")


def _csv_row(line: int, row: dict[str, Any]) -> Raw | Fault:
    for name, cell in row.items():
        if not cell.isascii() and any("\ud800" <= mark <= "\udfff" for mark in cell):
            return Fault(line, "encoding", f"in the column {name}")
    for name in _NESTED:
        if name in row and row[name].lstrip()[:1] == "[":
            try:
                row[name] = json.loads(row[name])
            except (ValueError, RecursionError) as error:
                return Fault(line, "not_json", f"in the column {name}: {str(error)[:80]}")
    return Raw(line, {name: cell for name, cell in row.items() if cell != "" or name in COLUMNS})


def read_parquet(stream: BinaryIO, limits: Limits) -> Iterator[Raw | Fault]:
    try:
        file = pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise UnknownFormat(f"not a whole Parquet file ({_first(error)}); was the transfer cut off?") from error
    columns = [name for name in file.schema_arrow.names if name.lower() in COLUMNS | set(_NESTED)]
    _require_bounded(file, columns, limits)
    number, unpacked = 0, 0
    # Row groups one after the other, and of them a thousand rows: text in a dictionary is not multiplied by its rows
    # before
    # the size of each is known.
    flat = [name for name in columns if pa.types.is_string(file.schema_arrow.field(name).type)]
    file = pq.ParquetFile(stream, pre_buffer=False, read_dictionary=flat, page_checksum_verification=True)
    try:
        for batch in file.iter_batches(_ROWS, columns=columns):
            if batch.nbytes > 2 * limits.parquet_group_bytes:
                raise Bomb(f"{_ROWS} rows take {batch.nbytes:,} bytes unpacked; this is no dataset")
            for row in _rows(batch):
                number += 1
                size = sum(len(value) for value in row.values() if isinstance(value, str))
                unpacked += size
                if unpacked > limits.parquet_bytes:
                    raise Bomb(f"unpacks into more than {limits.parquet_bytes:,} bytes; split it")
                if size > limits.row_bytes:
                    yield Fault(number, "row_too_big", str(limits.row_bytes))
                else:
                    yield Raw(number, row)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        yield Fault(number + 1, "torn" if number else "encoding", _first(error))


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names = [name.lower() for name in batch.schema.names]
    for at in range(batch.num_rows):
        row = {name: column[at].as_py() for name, column in zip(names, batch.columns)}
        yield {name: value for name, value in row.items() if value is not None}


def _require_bounded(file: pq.ParquetFile, columns: list[str], limits: Limits) -> None:
    """By what the file declares of itself, before a page is unpacked. A page that then lies fails to unpack."""
    declared = 0
    for group in range(file.metadata.num_row_groups):
        chunks = file.metadata.row_group(group)
        packed = unpacked = 0
        for at in range(chunks.num_columns):
            chunk = chunks.column(at)
            if chunk.path_in_schema.split(".")[0] in columns:
                packed += chunk.total_compressed_size
                unpacked += chunk.total_uncompressed_size
        declared += unpacked
        if unpacked > limits.parquet_group_bytes:
            raise Bomb(f"its row group {group} unpacks into {unpacked:,} bytes; write smaller row groups")
        if unpacked > 1024 * 1024 and unpacked > packed * limits.parquet_ratio:
            raise Bomb(f"its row group {group} unpacks {packed:,} bytes into {unpacked:,}; this is no dataset")
    if declared > limits.parquet_bytes:
        raise Bomb(f"unpacks into {declared:,} bytes; split it")
    if file.metadata.num_rows > limits.rows:
        raise Bomb(f"has {file.metadata.num_rows:,} rows; split it")


def _first(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:160]

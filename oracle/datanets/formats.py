"""Which format a file has, by what is in it; its name only decides between CSV, JSON lines and text where the content
fits both."""

from __future__ import annotations

import csv
from enum import Enum
from io import StringIO
from typing import BinaryIO

from oracle.datanets.shapes import COLUMNS
from oracle.errors import NeedsPerson

_SAMPLE = 64 * 1024
_BOM = b"\xef\xbb\xbf"

_FOREIGN = (
    (b"\x1f\x8b", "is packed with gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is packed with zstd; unpack it first"),
    (b"PK\x03\x04", "is a ZIP archive (or an Excel or Word file); unpack it, or save it as CSV"),
    (b"%PDF", "is a PDF; extract its text first"),
    (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16; save it as UTF-8"),
    (b"SQLite format 3", "is a database; export a table as CSV or JSON lines"),
)


class UnknownFormat(NeedsPerson):
    """The file is none of those that can be read, or there is nothing in it."""


class Format(Enum):
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    TEXT = "text"


def recognise(stream: BinaryIO, name: str) -> Format:
    """Leaves the stream at its beginning."""
    stream.seek(0)
    sample = stream.read(_SAMPLE)
    stream.seek(0)
    if not sample.removeprefix(_BOM).strip():
        raise UnknownFormat(f"{name}: there is nothing in it")
    if sample[:4] == b"PAR1":
        return Format.PARQUET
    for magic, why in _FOREIGN:
        if sample.startswith(magic):
            raise UnknownFormat(f"{name}: {why}")
    if b"\0" in sample:
        raise UnknownFormat(
            f"{name}: holds zero bytes, so it is no text; use JSON lines, JSON, CSV, Parquet or plain text"
        )
    return _of_text(sample.removeprefix(_BOM), name.lower())


def delimiter_of(header: str) -> str:
    """What parts the cells of a CSV's first line."""
    counts = {mark: len(header_cells(header, mark)) for mark in (",", ";", "\t", "|")}
    return max(counts, key=lambda mark: counts[mark])


def header_cells(header: str, delimiter: str) -> list[str]:
    """None where it is no line of a CSV at all."""
    try:
        return next(csv.reader(StringIO(header), delimiter=delimiter), [])
    except csv.Error:
        return []


def _of_text(sample: bytes, name: str) -> Format:
    first = sample.lstrip()
    if first[:1] == b"[":
        inner = first[1:].lstrip()[:1]
        if inner in (b"{", b"]") or name.endswith(".json"):
            return Format.JSON
    if first[:1] == b"{":
        line = first.split(b"\n", 1)[0].rstrip()
        # A row to a line, or one object over many lines.
        whole = line.endswith(b"}") or len(line) == len(first)
        return Format.JSONL if whole or name.endswith((".jsonl", ".ndjson")) else Format.JSON
    if name.endswith((".jsonl", ".ndjson")):
        return Format.JSONL
    if name.endswith((".csv", ".tsv")) or (not name.endswith((".txt", ".md")) and _has_columns(sample)):
        return Format.CSV
    return Format.TEXT


def _has_columns(sample: bytes) -> bool:
    """Whether the first line names columns that mean something here."""
    header = next(iter(sample.decode("utf-8", "replace").splitlines()), "").strip()
    names = {name.strip().lower() for name in header_cells(header, delimiter_of(header))}
    return len(names) > 1 and len(names & COLUMNS) > 1

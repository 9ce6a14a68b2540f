"""Files as people have them, and files as they should never be: each bad row by itself, never more than one held."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oracle.datanets.formats import UnknownFormat
from oracle.datanets.intake import read
from oracle.datanets.kinds import Kind
from oracle.datanets.limits import Limits
from oracle.datanets.reading_json import read_json, read_jsonl
from oracle.datanets.reading_tables import Bomb
from oracle.datanets.records import Raw

MIB = 1024 * 1024


def intake(
    content: bytes, name: str = "rows", kind: Kind = Kind.TRAINING_ROW, **limits: int
) -> tuple[list[bytes], dict[int, str]]:
    """(canonical rows, code of each fault by its line)."""
    batches = list(read(io.BytesIO(content), name, kind, Limits(**limits)))
    faults = {fault.line: fault.code for batch in batches for fault in batch.faults}
    return [row for batch in batches for row in batch.rows], faults


GOOD = b'{"prompt": "a", "completion": "b"}'
ROW = b'{"completion":"b","prompt":"a"}'


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    "content, name",
    [
        (GOOD + b"\n" + GOOD, "rows"),
        (b"\xef\xbb\xbf" + GOOD + b"\r\n\r\n" + GOOD + b"\r\n", "rows.jsonl"),
        (b"[" + GOOD + b",\n  " + GOOD + b"]", "rows"),
        (b'[{"instruction":"a","output":"b","input":""},{"question":"a","answer":"b"}]', "rows.json"),
        (b"prompt,completion\na,b\na,b\n", "rows.csv"),
        (b'\xef\xbb\xbfPrompt;Completion\r\na;b\r\n"a";"b"\r\n', "rows.csv"),
        (b"prompt\tcompletion\na\tb\na\tb", "rows.tsv"),
        (parquet([{"prompt": "a", "completion": "b", "other": 1}] * 2), "rows"),
    ],
    ids=["jsonl", "bom-and-crlf", "json", "mixed-shapes", "csv", "semicolons", "tabs", "parquet"],
)
def test_intake__of_every_format__then_finds_the_same_rows(content: bytes, name: str) -> None:
    assert intake(content, name) == ([ROW, ROW], {})


def test_intake__of_conversations__then_roles_are_one() -> None:
    sharegpt = b'{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}]}'
    chat = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}'
    rows, faults = intake(sharegpt + b"\n" + chat + b"\n")
    assert rows[0] == rows[1]
    assert faults == {}
    nested = parquet([json.loads(chat)])
    assert intake(nested) == ([rows[0]], {})


def test_intake__of_plain_text__then_paragraphs_are_documents() -> None:
    assert intake(b"one\r\ntwo\n\n\nthree", kind=Kind.DOCUMENT)[0] == [b'{"text":"one\\ntwo"}', b'{"text":"three"}']


def test_intake__of_csv_with_quotes_and_lines__then_cells_are_whole() -> None:
    rows, faults = intake(b'prompt,completion\n"a, ""b""","x\ny"\nonly one\nc,d\n', "rows.csv")
    assert rows == [b'{"completion":"x\\ny","prompt":"a, \\"b\\""}', b'{"completion":"d","prompt":"c"}']
    assert faults == {4: "wrong_type"}


FAULTS = {
    "duplicate key": (b'{"prompt": "a", "prompt": "c", "completion": "b"}', "duplicate_key"),
    "duplicate key with space": (b'{"prompt" : "a", "prompt": "c", "completion": "b"}', "duplicate_key"),
    "duplicate key deep inside": (b'{"messages": [{"role": "user", "role": "user", "content": "x"}]}', "duplicate_key"),
    "duplicate key by escape": (b'{"prompt": "a", "pro\\u006dpt": "c", "completion": "b"}', "duplicate_key"),
    "NaN": (b'{"prompt": "a", "completion": NaN}', "not_json"),
    "infinity": (b'{"prompt": "a", "completion": "b", "x": -Infinity}', "not_json"),
    "nesting bomb": (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested_too_deep"),
    "nesting below the parser's limit": (b'{"prompt": ' + b"[" * 200 + b"]" * 200 + b"}", "nested_too_deep"),
    "latin-1": (b'{"prompt": "caf\xe9", "completion": "b"}', "encoding"),
    "half a surrogate": (b'{"prompt": "\\ud800", "completion": "b"}', "not_json"),
    "a number": (b"12", "wrong_type"),
    "an empty object": (b"{}", "unknown_shape"),
}


@pytest.mark.parametrize("bad", FAULTS, ids=str)
def test_intake__of_one_bad_row__then_the_others_are_taken(bad: str) -> None:
    line, code = FAULTS[bad]
    rows, faults = intake(GOOD + b"\n" + line + b"\n" + GOOD + b"\n", "rows.jsonl")
    assert rows == [ROW, ROW]
    assert faults == {2: code}


@pytest.mark.parametrize(
    "content, name, code",
    [
        (GOOD + b"\n" + GOOD[:-9], "rows.jsonl", "torn"),
        (b"[" + GOOD + b"," + GOOD[:-9], "rows.json", "torn"),
        (b'prompt,completion\na,b\n"a,b', "rows.csv", "torn"),
    ],
)
def test_intake__of_a_torn_file__then_its_whole_rows_are_taken(content: bytes, name: str, code: str) -> None:
    rows, faults = intake(content, name)
    assert rows == [ROW]
    assert list(faults.values()) == [code]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n\t",
        b"\x1f\x8b\x08whatever",
        "{}".encode("utf-16"),
        b"PK\x03\x04x",
        b"ab\0cd",
        parquet([{"text": "a"}])[:-9],
    ],
    ids=["empty", "blank", "gzip", "utf-16", "zip", "binary", "torn-parquet"],
)
def test_intake__of_what_is_no_text__then_says_what_to_do(content: bytes) -> None:
    with pytest.raises(UnknownFormat):
        intake(content)


def test_intake__of_a_row_of_ten_megabytes__then_it_is_passed_over() -> None:
    huge = b'{"prompt": "a", "completion": "' + b"x" * (10 * MIB) + b'"}'
    rows, faults = intake(GOOD + b"\n" + huge + b"\n" + GOOD, "rows.jsonl")
    assert (rows, faults) == ([ROW, ROW], {2: "row_too_big"})
    rows, faults = intake(b"[" + GOOD + b"," + huge + b"," + GOOD + b"]", "rows.json")
    assert (rows, faults) == ([ROW, ROW], {2: "row_too_big"})
    rows, faults = intake(b"prompt,completion\na,b\na," + b"x" * (2 * MIB) + b"\n", "rows.csv")
    assert (rows, faults) == ([ROW], {3: "row_too_big"})
    rows, faults = intake(
        parquet([{"prompt": "a", "completion": "x" * (2 * MIB)}, {"prompt": "a", "completion": "b"}], compression=None)
    )
    assert (rows, faults) == ([ROW], {1: "row_too_big"})


class Endless(io.RawIOBase):
    """So many bytes of one kind, never in memory at once."""

    def __init__(self, begin: bytes, filling: bytes, size: int) -> None:
        self._begin, self._filling, self._left = begin, filling, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._begin:
            count = min(len(buffer), len(self._begin))
            buffer[:count], self._begin = self._begin[:count], self._begin[count:]
            return count
        count = min(len(buffer), self._left)
        buffer[:count] = (self._filling * (count // len(self._filling) + 1))[:count]
        self._left -= count
        return count


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("begin", [b'{"text": "', b'[{"text": "', b"[" * 100], ids=["line", "object", "brackets"])
def test_reading__of_a_gigantic_line_without_end__then_memory_stays_small(begin: bytes) -> None:
    def work() -> None:
        stream = io.BufferedReader(Endless(begin, b"x", 32 * MIB))
        reader = read_jsonl if begin.startswith(b"{") else read_json
        assert not [each for each in reader(stream, MIB) if isinstance(each, Raw)]

    assert peak(work) < 8 * MIB


def test_reading__of_a_long_file__then_memory_does_not_grow_with_it() -> None:
    def work(size: int) -> Callable[[], None]:
        line = b'{"prompt":"How do I do this?","completion":"Like that, and then like this."}\n'
        return lambda: [None for _ in read(Rewindable(line, size), "rows.jsonl", Kind.TRAINING_ROW)] and None

    small, large = peak(work(2 * MIB)), peak(work(8 * MIB))
    assert large < small + 4 * MIB


class Rewindable(io.BytesIO):
    """Only the sample is ever rewound to."""

    def __init__(self, line: bytes, size: int) -> None:
        super().__init__(line * 1000)
        self._times, self._line = size // len(line) // 1000, line

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece and self._times > 1:
            self._times -= 1
            super().seek(0)
            piece = super().read(size)
        return piece


def test_parquet__that_declares_too_much__then_is_refused_before_it_is_unpacked() -> None:
    bomb = parquet([{"text": "x" * (512 * 1024) + str(n)} for n in range(16)], compression="zstd")
    assert len(bomb) < 100_000
    with pytest.raises(Bomb, match="unpacks"):
        intake(bomb)


def test_parquet__whose_dictionary_multiplies_one_text__then_is_stopped_at_the_limit() -> None:
    """Sixteen bytes a row in the file, half a megabyte once unpacked: nothing that it declares gives it away."""
    out = io.BytesIO()
    indices = pa.array([0] * 4000, pa.int32())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * (512 * 1024)]))
    pq.write_table(pa.table({"text": column}), out, compression=None)
    assert len(out.getvalue()) < 2 * MIB

    def work() -> None:
        with pytest.raises(Bomb, match="unpacks into more than"):
            for _ in read(io.BytesIO(out.getvalue()), "rows", Kind.DOCUMENT, Limits(parquet_bytes=64 * MIB)):
                pass

    assert peak(work) < 120 * MIB


def test_parquet__with_a_damaged_page__then_what_came_before_is_taken() -> None:
    content = bytearray(
        parquet([{"text": f"row {n} of this file"} for n in range(5000)], row_group_size=1000, compression=None)
    )
    place = content.index(b"row 4500 of")
    content[place - 4 : place] = b"\xff\xff\xff\x7f"
    rows, faults = intake(bytes(content), kind=Kind.DOCUMENT)
    assert len(rows) >= 2000
    assert list(faults.values()) == ["torn"]


PAIRS = st.lists(
    st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1).filter(str.strip)] * 2),
    max_size=8,
)


@given(PAIRS)
def test_intake__of_the_same_rows_as_lines_and_as_an_array__then_finds_the_same(pairs: list[tuple[str, str]]) -> None:
    rows = [{"prompt": prompt, "completion": completion} for prompt, completion in pairs]
    if not rows:
        return
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    array = json.dumps(rows, indent=1, ensure_ascii=False).encode()
    assert intake(lines, "rows.jsonl") == intake(array, "rows.json")
    assert intake(lines, "rows.jsonl")[1] == {}


@example(b"\x01\r\x01", "rows")
@example(b"\xef\xbb\xbf", "rows")
@given(st.binary(max_size=300), st.sampled_from(["rows", "rows.jsonl", "rows.json", "rows.csv", "rows.txt"]))
def test_intake__of_any_bytes__then_only_says_what_is_wrong(content: bytes, name: str) -> None:
    with suppress(UnknownFormat):
        intake(content, name)

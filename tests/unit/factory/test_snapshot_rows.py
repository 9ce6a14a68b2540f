"""Rows of snapshots: whole, true to their root, and split by their clusters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.factory import Told, exported, facts
from oracle.factory.errors import BadSnapshot
from oracle.factory.rows import all_rows, evaluation_rows, read_snapshot, training_rows


def test_read__of_an_export__then_rows_and_root_are_there(tmp_path: Path) -> None:
    found = read_snapshot(exported(tmp_path / "s", facts(4)))
    assert (found.count, found.datanet, found.licence) == (12, 1, "CC-BY-4.0")
    assert len(training_rows(found.rows)) == 8


def test_read__when_a_row_was_changed__then_it_is_refused(tmp_path: Path) -> None:
    file = exported(tmp_path / "s", facts(4)) / "rows.jsonl"
    file.write_bytes(file.read_bytes().replace(b"walnut", b"balsam").replace(b"amber", b"ebony"))
    with pytest.raises(BadSnapshot, match="is not the one that its hash names"):
        read_snapshot(file.parent)


def test_read__when_a_row_is_missing__then_the_root_tells(tmp_path: Path) -> None:
    file = exported(tmp_path / "s", facts(4)) / "rows.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(BadSnapshot, match=r"its 11 rows have the root 0x.* is on chain"):
        read_snapshot(file.parent)


def test_read__when_the_chain_has_another_root__then_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSnapshot, match="is on chain"):
        read_snapshot(exported(tmp_path / "s", facts(4)), root="0x" + "00" * 32)


def test_read__of_nothing__then_says_which_file_or_that_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(BadSnapshot, match=r"manifest\.json is missing"):
        read_snapshot(tmp_path)
    with pytest.raises(BadSnapshot, match="is empty"):
        read_snapshot(exported(tmp_path / "empty", []))


def test_training_rows__when_all_are_held_out__then_says_so(tmp_path: Path) -> None:
    told = [replace(each, split="held-out") for each in facts(4)]
    with pytest.raises(BadSnapshot, match="all of them are held out"):
        training_rows(read_snapshot(exported(tmp_path / "s", told)).rows)


def test_split__of_a_cluster_over_two_snapshots__then_it_never_stands_on_both_sides(tmp_path: Path) -> None:
    """A near duplicate of a held-out row, in another datanet that does not know so."""
    cluster = "0x" + "ab" * 32
    first = [Told({"prompt": f"Ask {n}?", "completion": "Say so."}) for n in range(3)]
    first.append(Told({"prompt": "Who pays?", "completion": "The master."}, split="held-out", cluster=cluster))
    second = [Told({"prompt": "Who pays, pray?", "completion": "The master."}, cluster=cluster)]
    second.append(Told({"prompt": "Else?", "completion": "No one."}))
    folders = (exported(tmp_path / "1", first), exported(tmp_path / "2", second, datanet=2))
    rows = all_rows(read_snapshot(folder, number) for number, folder in enumerate(folders))
    trained, held = training_rows(rows), evaluation_rows(rows)
    assert {row.cluster for row in trained}.isdisjoint({row.cluster for row in held})
    assert [json.dumps(row.content) for row in trained if "pays" in json.dumps(row.content)] == []
    assert len(trained) == 4 and len(held) == 2


def test_all_rows__of_one_row_in_two_snapshots__then_it_counts_once(tmp_path: Path) -> None:
    told = facts(4)
    folders = (exported(tmp_path / "1", told), exported(tmp_path / "2", told[:3], datanet=2))
    assert len(all_rows(read_snapshot(folder, number) for number, folder in enumerate(folders))) == 12

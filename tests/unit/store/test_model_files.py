"""A version's files on the disk: whole, checked, and inside of their folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from oracle.errors import Stop
from oracle.store.blobs import Blobs, CorruptBlob, MissingBlob
from oracle.store.model_files import folder_of
from oracle.store.models import Version
from oracle.types import BasisPoints, Cid, Hash32

NOTHING = Hash32(bytes(32))
SPLIT = tuple(BasisPoints(part) for part in (5000, 2000, 0, 1000, 500, 1500))


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "blobs"))


def version(blobs: Blobs) -> Version:
    files = {"a.bin": blobs.put(b"a"), "attribution/b.bin": blobs.put(b"b")}
    return Version("tiny", NOTHING, NOTHING, NOTHING, NOTHING, SPLIT, files)


def test_folder_of__of_a_version__then_every_file_is_there_and_is_fetched_once(blobs: Blobs, tmp_path: Path) -> None:
    made = version(blobs)
    folder = folder_of(made, blobs, tmp_path / "models")
    assert (folder / "a.bin").read_bytes() == b"a" and (folder / "attribution" / "b.bin").read_bytes() == b"b"
    blobs.delete(made.files["a.bin"])
    assert folder_of(made, blobs, tmp_path / "models") == folder


def test_folder_of__when_a_blob_is_missing_or_damaged__then_nothing_stands_there(blobs: Blobs, tmp_path: Path) -> None:
    made = version(blobs)
    blobs.delete(made.files["a.bin"])
    with pytest.raises(MissingBlob):
        folder_of(made, blobs, tmp_path / "models")
    blobs.put(b"a")
    place = next((tmp_path / "blobs").rglob(made.files["a.bin"]))
    place.write_bytes(b"c")
    with pytest.raises(CorruptBlob):
        folder_of(made, blobs, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_folder_of__when_a_name_leads_out__then_it_stops(blobs: Blobs, tmp_path: Path) -> None:
    made = replace(version(blobs), files={"../out.bin": Cid(blobs.put(b"x"))})
    with pytest.raises(Stop, match="outside"):
        folder_of(made, blobs, tmp_path / "models")
    assert not (tmp_path / "models" / "out.bin").exists() and not (tmp_path / "out.bin").exists()

"""Blobs carry the names that IPFS gives, and nothing wrong is ever handed out under a name."""

from __future__ import annotations

import json
import uuid
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle.errors import NeedsPerson
from oracle.store.blobs import Blobs, CorruptBlob, MissingBlob
from oracle.store.cid import CHUNK, CidBuilder, cid_of, is_cid
from oracle.types import Cid

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "cids.json").read_text(encoding="utf-8"))["cids"]


@pytest.fixture(params=["folder", "object store"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4()}")


@pytest.mark.parametrize("size, name", VECTORS.items())
def test_cid__when_ipfs_names_the_same_file__then_is_that_name(size: str, name: str) -> None:
    i = np.arange(int(size), dtype=np.uint32)
    assert cid_of((i * 31 + (i >> 8) * 7 + (i >> 16) * 13).astype(np.uint8).tobytes()) == name


@given(st.binary(max_size=64), st.lists(st.integers(0, 3 * CHUNK), max_size=6))
def test_cid__when_the_pieces_are_cut_elsewhere__then_is_the_same(seed: bytes, cuts: list[int]) -> None:
    content = (seed * (2 * CHUNK // max(1, len(seed)) + 1))[: 2 * CHUNK + len(seed)]
    builder, at = CidBuilder(), 0
    for cut in sorted(cuts):
        builder.update(content[at:cut])
        at = max(at, min(cut, len(content)))
    builder.update(content[at:])
    assert builder.cid() == cid_of(content)


def test_blobs__when_put__then_are_read_under_their_name(blobs: Blobs) -> None:
    content = bytes(range(256)) * 2000
    cid = blobs.put(content)
    assert cid == cid_of(content)
    assert blobs.put_stream([content[:7], b"", content[7:]]) == cid
    blobs.delete(cid)
    whole = BytesIO(b"before it" + content)
    whole.seek(9)
    assert blobs.put_file(whole) == cid
    assert blobs.read(cid) == content
    assert blobs.has(cid)
    with blobs.open(cid) as opened:
        opened.seek(-2, 2)
        assert opened.read() == content[-2:]
    blobs.delete(cid)
    assert not blobs.has(cid)


def test_blobs__when_nothing_is_there__then_says_so(blobs: Blobs) -> None:
    with pytest.raises(MissingBlob, match="nothing is stored"):
        blobs.read(cid_of(b"never put"))


def test_open__when_its_body_misses_a_file__then_does_not_call_the_blob_missing(blobs: Blobs) -> None:
    cid = blobs.put(b"here")
    with pytest.raises(FileNotFoundError), blobs.open(cid):
        raise FileNotFoundError("another file")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "b" * 59 + "/", "bafk..", "B" + "a" * 58])
def test_blobs__when_the_name_is_no_name__then_touch_no_path(blobs: Blobs, name: str) -> None:
    assert not is_cid(name)
    with pytest.raises(NeedsPerson, match="not the name of a blob"):
        blobs.read(Cid(name))


@pytest.mark.parametrize("damage", [b"", b"hellO", b"hello\n", b"hell"])
def test_blobs__when_their_bytes_changed__then_are_refused_and_putting_again_mends(
    tmp_path: Path, damage: bytes
) -> None:
    blobs = Blobs(str(tmp_path))
    cid = blobs.put(b"hello")
    (stored,) = (path for path in tmp_path.rglob("*") if path.is_file())
    stored.write_bytes(damage)
    with pytest.raises(CorruptBlob, match=r"restore them from a copy"):
        blobs.read(cid)
    blobs.put(b"hello")
    assert blobs.read(cid) == b"hello"


def test_put_stream__when_it_breaks_off__then_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> object:
        yield b"half"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Blobs(str(tmp_path)).put_stream(broken())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []

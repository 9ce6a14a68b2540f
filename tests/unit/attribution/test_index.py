"""An index on disk is whole, or says precisely what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fixtures.attribution import digest, index_of, model, recorded, rows
from oracle.attribution.errors import CorruptShard, MissingShard, UnknownContributor
from oracle.attribution.index import Index, packed, unpacked


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Path, str]:
    taught = model()
    index_of(tmp_path, taught, recorded(taught, rows(), ["a", "b"] * 8))
    return tmp_path, digest(taught)


def test_index__when_read_back__then_it_knows_its_plan_and_contributors(whole: tuple[Path, str]) -> None:
    index = Index(*whole)
    assert index.contributors == ("a", "b")
    assert [window.first for window in index.plan.windows] == [4, 8]
    assert index.number_of("b") == 1


def test_index__when_a_contributor_is_unknown__then_it_says_so(whole: tuple[Path, str]) -> None:
    with pytest.raises(UnknownContributor, match="c holds no row"):
        Index(*whole).number_of("c")


def test_index__when_a_shard_is_missing__then_it_is_named(whole: tuple[Path, str]) -> None:
    (whole[0] / "checkpoint-1.safetensors").unlink()
    with pytest.raises(MissingShard, match="checkpoint-1"):
        Index(*whole)


def test_index__when_a_bit_of_a_shard_is_flipped__then_it_is_named(whole: tuple[Path, str]) -> None:
    file = whole[0] / "checkpoint-0.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorruptShard, match="checkpoint-0"):
        Index(*whole)


def test_index__when_a_shard_is_cut_after_the_check__then_reading_it_says_so(whole: tuple[Path, str]) -> None:
    index = Index(*whole)
    file = whole[0] / "checkpoint-0.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorruptShard, match="cannot be read"):
        index.shard(0)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 1}'])
def test_index__when_its_description_is_broken__then_it_says_so(whole: tuple[Path, str], content: str) -> None:
    (whole[0] / "index.json").write_text(content, encoding="utf-8")
    with pytest.raises(CorruptShard):
        Index(*whole)


def test_index__when_its_format_is_newer__then_it_says_so(whole: tuple[Path, str]) -> None:
    file = whole[0] / "index.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | {"format": 99}), encoding="utf-8")
    with pytest.raises(CorruptShard, match="format 99"):
        Index(*whole)


def test_packed__of_any_sums__then_int8_loses_little_and_zero_stays_zero() -> None:
    values = torch.randn(5, 8, 64) * torch.logspace(-6, 3, 5)[:, None, None]
    values[2] = 0
    codes, scales = packed(values)
    assert codes.dtype == torch.int8
    found = unpacked(codes, scales)
    assert ((found - values).abs() <= scales / 2 + 1e-12).all()
    assert (found[2] == 0).all()

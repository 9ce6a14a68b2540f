"""Reading adapters: what is remembered of one file never takes the place of another's numbers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fixtures.serving import Published, publish
from oracle.serving import adapters as reading
from oracle.serving.adapters import WEIGHTS, Reader, Source, write_record
from oracle.serving.errors import BrokenAdapter
from oracle.serving.layout import BaseShape, Layout
from oracle.serving.weights import shape_of


@pytest.fixture(scope="module")
def shape(base: torch.nn.Module) -> BaseShape:
    return shape_of(base.config)


def written(source: Source, layout: Layout) -> tuple[torch.Tensor, torch.Tensor]:
    # What a buffer held before must not be seen.
    record = torch.full((layout.elements,), torch.nan, dtype=layout.dtype)
    scales = torch.full((layout.scales,), torch.nan)
    write_record(source, layout, record, scales)
    return record, scales


@pytest.mark.parametrize("name", ["r8", "r16-attention", "r32-mlp", "r4-float32", "patterns", "r16-rslora"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("rank", [32, 64])
def test_write_record__gathered_or_tensor_by_tensor__then_the_same(
    shape: BaseShape,
    adapters: dict[str, Published],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    dtype: torch.dtype,
    rank: int,
) -> None:
    source, layout = Reader(shape).read(adapters[name].folder), Layout(shape, rank, dtype)
    gathered = written(source, layout)
    monkeypatch.setattr(reading, "GATHERED", 0)
    for one, other in zip(gathered, written(source, layout), strict=True):
        assert torch.equal(one, other)


def test_write_record__of_a_whole_record__then_the_same(
    shape: BaseShape, adapters: dict[str, Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, layout = Reader(shape).read(adapters["r8"].folder), Layout(shape, 8, torch.bfloat16)
    gathered = written(source, layout)
    monkeypatch.setattr(reading, "GATHERED", 0)
    assert torch.equal(gathered[0], written(source, layout)[0])


def test_read__of_a_second_file_of_the_same_form__then_its_own_numbers_and_name(
    shape: BaseShape, adapters: dict[str, Published]
) -> None:
    reader, layout = Reader(shape), Layout(shape, 8, torch.bfloat16)
    first, second = (reader.read(adapters[name].folder) for name in ("r8", "r8-too"))
    assert first.whole is not None
    assert second.whole is not None
    assert first.whole.form is second.whole.form
    assert first.id != second.id
    alone = Reader(shape).read(adapters["r8-too"].folder)
    assert second.id == alone.id
    assert torch.equal(written(second, layout)[0], written(alone, layout)[0])
    assert not torch.equal(written(first, layout)[0], written(second, layout)[0])


@pytest.mark.parametrize("keep", [4, 3000, -2])
def test_read__of_a_truncated_file_of_a_known_form__then_it_is_refused(
    shape: BaseShape, adapters: dict[str, Published], tmp_path: Path, keep: int
) -> None:
    reader = Reader(shape)
    reader.read(adapters["r8"].folder)
    folder = Path(shutil.copytree(adapters["r8"].folder, tmp_path / "damaged"))
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:keep])
    with pytest.raises(BrokenAdapter, match="not a whole safetensors file"):
        reader.read(folder)


def test_read__when_the_settings_differ__then_the_form_is_not_taken_from_the_other(
    shape: BaseShape, tmp_path: Path
) -> None:
    reader = Reader(shape)
    plain = reader.read(publish(tmp_path / "plain").folder)
    louder = reader.read(publish(tmp_path / "louder", lora_alpha=64).folder)
    assert plain.lows[0, "q_proj"].scale == 2
    assert louder.lows[0, "q_proj"].scale == 8


def test_read__of_numbers_of_two_types__then_each_keeps_its_own(
    shape: BaseShape, adapters: dict[str, Published], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapters["r8"].folder, tmp_path / "mixed"))
    tensors = load_file(folder / WEIGHTS)
    save_file({key: t.float() if "q_proj" in key else t for key, t in tensors.items()}, folder / WEIGHTS)
    source, plain = (Reader(shape).read(each) for each in (folder, adapters["r8"].folder))
    assert source.exact_in_bf16()
    layout = Layout(shape, 8, torch.bfloat16)
    assert torch.equal(written(source, layout)[0], written(plain, layout)[0])


def test_read__when_many_forms_were_seen__then_the_oldest_are_forgotten(
    shape: BaseShape, adapters: dict[str, Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FORMS", 1)
    reader = Reader(shape)
    first = reader.read(adapters["r8"].folder)
    reader.read(adapters["r64"].folder)
    again = reader.read(adapters["r8"].folder)
    assert first.whole is not None
    assert again.whole is not None
    assert again.whole.form is not first.whole.form
    assert again.id == first.id

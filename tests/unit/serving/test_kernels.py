"""Every rung of the ladder of kernels against the definition, and the definition against PEFT."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from fixtures.serving import CONFIG, Published, prompt
from oracle.serving import adapters as adapters_module
from oracle.serving.assembly import layout_for
from oracle.serving.batch import Batch, Row, build
from oracle.serving.kernels import baddbmm, native, reference
from oracle.serving.kernels.compile import HEADERS, SOURCE, library
from oracle.serving.kv import pages
from oracle.serving.layers import Torch
from oracle.serving.layout import BaseShape, Layout
from oracle.serving.matrices import LEAST
from oracle.serving.slots import Bucket, bucket
from oracle.serving.weights import shape_of, take

CPU = torch.device("cpu")
compiled = pytest.mark.skipif(library() is None, reason="no C++ compiler here")


@pytest.fixture(scope="module")
def shape(base: torch.nn.Module) -> BaseShape:
    return shape_of(base.config)


@pytest.fixture(scope="module")
def filled(shape: BaseShape, adapters: dict[str, Published]) -> dict[str, tuple[Bucket, int]]:
    """Each adapter in a slot: its bucket and its index."""
    buckets: dict[str, Bucket] = {}
    for slots in CONFIG.slots:
        layout = Layout(shape, slots.rank, slots.dtype)
        buckets[layout.name] = bucket(layout, 4, CPU)
    used = dict.fromkeys(buckets, 0)
    found = {}
    for name, published in adapters.items():
        source = adapters_module.Reader(shape).read(published.folder)
        layout, _ = layout_for(source, dict(sorted(buckets.items(), key=lambda b: b[1].layout.rank)), rounding=False)
        used[layout.name] += 1
        record, scales = torch.zeros(layout.elements, dtype=layout.dtype), torch.zeros(layout.scales)
        adapters_module.write_record(source, layout, record, scales)
        buckets[layout.name].fill(used[layout.name], record, scales)
        found[name] = (buckets[layout.name], used[layout.name])
    return found


def mixed(filled: dict[str, tuple[Bucket, int]]) -> Batch:
    """Decoding rows of every adapter, two of some, one of the base, and pieces of two prompts."""
    rows = [Row((1,), 0, (0,))]
    for name, (held, slot) in filled.items():
        rows += [Row((1,), 0, (0,), held.layout.name, slot)] * (2 if name == "r64" else 1)
    for name, count in (("r8", 21), ("r16-attention", 3)):
        held, slot = filled[name]
        rows.append(Row(prompt(count), 0, (1, 2), held.layout.name, slot, prompt=True))
    rows.sort(key=lambda row: (row.prompt, row.bucket or "", row.slot))
    return build(rows, {held.layout.name: held for held, _ in filled.values()}, CPU, LEAST)


def applied(delta: object, batch: Batch, shape: BaseShape, which: int) -> torch.Tensor:
    torch.manual_seed(which)
    group = shape.groups[which]
    x = torch.randn(len(batch.tokens), group.inputs)
    y = torch.randn(len(batch.tokens), group.outputs)
    delta(batch, 1, which, x, y)  # type: ignore[operator]
    return y[: batch.count]


@pytest.mark.parametrize("which", range(4))
def test_baddbmm__on_a_mixed_batch__then_it_adds_what_the_definition_adds(
    shape: BaseShape, filled: dict[str, tuple[Bucket, int]], which: int
) -> None:
    batch = mixed(filled)
    torch.testing.assert_close(
        applied(baddbmm.delta, batch, shape, which), applied(reference.delta, batch, shape, which)
    )


@compiled
@pytest.mark.parametrize("which", range(4))
def test_native__on_a_mixed_batch__then_it_adds_what_the_definition_adds(
    base: torch.nn.Module, shape: BaseShape, filled: dict[str, tuple[Bucket, int]], which: int
) -> None:
    weights = take(base, 64)
    kernel = native.Native(shape, pages(shape, 4, torch.float32, CPU), weights.cosines, weights.sines, 1e-6, 1)
    batch = mixed(filled)
    torch.testing.assert_close(
        applied(kernel.delta, batch, shape, which), applied(reference.delta, batch, shape, which)
    )


@pytest.mark.skipif(find_spec("triton") is None, reason="no Triton here")
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="needs TRITON_INTERPRET=1, or a GPU")
@pytest.mark.parametrize("which", range(4))
def test_triton__in_its_interpreter__then_it_adds_what_the_definition_adds(
    shape: BaseShape, filled: dict[str, tuple[Bucket, int]], which: int
) -> None:
    from oracle.serving.kernels.sgmv import Sgmv

    batch = mixed(filled)
    torch.testing.assert_close(applied(Sgmv(), batch, shape, which), applied(reference.delta, batch, shape, which))


@pytest.mark.parametrize("name", ["r8", "r16-attention", "r4-float32", "r16-rslora", "patterns"])
def test_reference__for_one_adapter__then_it_adds_what_peft_adds(
    shape: BaseShape, filled: dict[str, tuple[Bucket, int]], adapters: dict[str, Published], name: str
) -> None:
    held, slot = filled[name]
    batch = build([Row((1,), 0, (0,), held.layout.name, slot)], {held.layout.name: held}, CPU, LEAST)
    peft = adapters[name].peft()
    for which, group in enumerate(shape.groups):
        x = torch.randn(1, group.inputs)
        y = torch.zeros(1, group.outputs)
        reference.delta(batch, 1, which, x, y)
        for module in group.modules:
            layer = peft.get_base_model().model.layers[1]
            adapted = getattr(layer.self_attn, module.name, None) or getattr(layer.mlp, module.name)
            more = adapted(x) - getattr(adapted, "base_layer", adapted)(x)
            torch.testing.assert_close(y[:, module.column : module.column + module.outputs], more, atol=2e-6, rtol=1e-4)


@compiled
def test_native__when_memory_beyond_a_row_holds_infinity__then_the_row_does_not_see_it(
    base: torch.nn.Module, shape: BaseShape
) -> None:
    weights = take(base, 64)
    clean, soiled = (pages(shape, 2, torch.float32, CPU) for _ in range(2))
    soiled.keys.fill_(torch.inf)
    soiled.values.fill_(torch.nan)
    batch = build([Row((5,), 0, (1,))], {}, CPU, LEAST)
    outputs = []
    for memory in (clean, soiled):
        kernel = native.Native(shape, memory, weights.cosines, weights.sines, 1e-6, 1)
        qkv = torch.randn(LEAST, shape.groups[0].outputs, generator=torch.Generator().manual_seed(3))
        outputs.append(kernel.attention(batch, 0, torch.zeros(LEAST, shape.hidden), qkv)[0])
    assert torch.equal(*outputs)
    assert outputs[0].isfinite().all()


@compiled
@pytest.mark.parametrize("head_dim", [16, 64, 80])
def test_native__when_rows_of_many_lengths_decode__then_each_sees_what_the_plain_layers_show_it(head_dim: int) -> None:
    width = 4 * head_dim
    shape = BaseShape(1, width, width, 4, 2, head_dim, 97, 64)
    angles = torch.outer(torch.arange(64.0), torch.rand(head_dim // 2, generator=torch.Generator().manual_seed(1)))
    memories = [pages(shape, 12, torch.float32, CPU) for _ in range(2)]
    torch.manual_seed(5)
    # In the last block of the longest row stand scores that no exponential survives.
    sizes = torch.ones(12).index_fill(0, torch.tensor([8]), 1000.0)
    for kind, factor in (("keys", sizes), ("values", torch.ones(12))):
        torch.nn.init.normal_(getattr(memories[0], kind)).mul_(factor[:, None, None, None])
        getattr(memories[1], kind).copy_(getattr(memories[0], kind))
    tables = ((7,), (3,), (9, 1), (5, 11, 2), (0, 10, 4, 8))
    rows = [Row((1,), at, table) for at, table in zip((0, 15, 16, 39, 63), tables, strict=True)]
    batch = build(rows, {}, CPU, LEAST)
    qkv = torch.randn(LEAST, shape.groups[0].outputs)
    x = torch.zeros(LEAST, width)
    plain = Torch(shape, memories[0], reference.delta, angles.cos(), angles.sin(), 1e-6)
    kernel = native.Native(shape, memories[1], angles.cos(), angles.sin(), 1e-6, 1)
    expected = plain.attention(batch, 0, x, qkv.clone())
    torch.testing.assert_close(kernel.attention(batch, 0, x, qkv)[: batch.count], expected[: batch.count])


def test_fits__when_a_width_is_no_multiple_of_sixteen__then_the_native_kernels_stand_back(shape: BaseShape) -> None:
    assert native.fits(shape, (8, 16))
    assert not native.fits(shape, (4,))
    assert not native.fits(replace(shape, intermediate=100), (8,))


def test_compile__when_there_is_no_compiler__then_there_are_no_native_kernels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "nothing"))
    library.cache_clear()
    try:
        assert library() is None
    finally:
        library.cache_clear()


def test_sources__that_the_kernels_include__then_all_of_them_are_in_the_key_of_what_is_kept() -> None:
    folder = SOURCE.parent
    included = {name for file in folder.glob("*.[ch]*") for name in re.findall(r'#include "(.+)"', file.read_text())}
    assert included == set(HEADERS) == {file.name for file in folder.glob("*.h")}

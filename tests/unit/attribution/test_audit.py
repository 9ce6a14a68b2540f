"""The audit path: rows in few bytes, whatever the workers, and precise errors where a shard is not what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel

from fixtures.attribution import digest, index_of, model, recorded, rows
from oracle.attribution import audit as audits
from oracle.attribution.audit import Audit, AuditPlan, asked, begin, finish, merged, write_shard
from oracle.attribution.errors import CorruptShard, MissingShard, NotFinite, NothingRecorded, WrongAdapter
from oracle.attribution.index import Index
from oracle.attribution.scoring import score
from oracle.attribution.sketch import Rotation, Sketch, directions_of

PLAN = AuditPlan(size=1500, lines=4096, kept=24, shard=7)
ROWS = rows(20)
OWNERS = [f"row-{i:02}" for i in range(20)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[PeftModel, Index, Path]:
    taught = model()
    root = tmp_path_factory.mktemp("audit")
    index = index_of(root / "index", taught, recorded(taught, ROWS, OWNERS, rate=0.005))
    begin(root / "audit", taught, index, ROWS, PLAN)
    for number in (2, 0, 1):  # any worker, any order
        write_shard(root / "audit", taught, index, ROWS, number)
    finish(root / "audit")
    return taught, index, root / "audit"


@pytest.fixture
def copied(built: tuple[PeftModel, Index, Path], tmp_path: Path) -> Path:
    for file in built[2].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def products(built: tuple[PeftModel, Index, Path]) -> np.ndarray:
    taught, index, folder = built
    audit = Audit(folder, index.adapter)
    queries = asked(taught, index, audit, rows(6, seed=9))
    return torch.cat([audit.products(queries, number) for number in range(3)], 1).numpy()


def test_audit__of_every_row__then_it_says_what_the_rows_own_sums_say(built: tuple[PeftModel, Index, Path]) -> None:
    taught, index, folder = built
    exact = score(taught, index, rows(6, seed=9))
    expected = np.array(exact.values)
    found = products(built)
    assert found.shape == expected.shape
    # The index took its gradients while the adapter moved, the audit where it stood in the window's middle.
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97
    written = Audit(folder, index.adapter).sketch.written
    assert (folder / "shard-00000.bin").stat().st_size == 7 * written and written <= PLAN.size


def test_top__when_shards_are_scored_apart__then_merging_them_is_scoring_all(
    built: tuple[PeftModel, Index, Path],
) -> None:
    taught, index, folder = built
    audit = Audit(folder, index.adapter)
    queries = asked(taught, index, audit, rows(6, seed=9))
    whole = audit.top(queries, 5)
    assert merged([audit.top(queries, 5, [2]), audit.top(queries, 5, [0, 1])], 5) == whole
    best = products(built).argsort(1)[:, ::-1][:, :5]
    assert [[row for row, _ in found] for found in whole] == best.tolist()


def test_asked__whatever_the_batch__then_the_lines_are_the_same(built: tuple[PeftModel, Index, Path]) -> None:
    taught, index, folder = built
    audit = Audit(folder, index.adapter)
    some = rows(6, seed=9)
    together = asked(taught, index, audit, some)
    alone = torch.cat([asked(taught, index, audit, [query]) for query in some])
    assert torch.allclose(together, alone, atol=1e-3 * float(together.abs().max()))


def test_audit__of_other_weights_or_unfinished__then_it_says_so(
    built: tuple[PeftModel, Index, Path], copied: Path
) -> None:
    with pytest.raises(WrongAdapter, match="the audit is of"):
        Audit(copied, digest(model(seed=5)))
    content = json.loads((copied / "audit.json").read_text())
    (copied / "audit.json").write_text(json.dumps(content | {"shards": []}))
    with pytest.raises(MissingShard, match="not finished"):
        Audit(copied, built[1].adapter)
    (copied / "audit.json").unlink()
    with pytest.raises(MissingShard, match="build the audit"):
        Audit(copied, built[1].adapter)


def test_audit__when_a_shard_is_missing_or_damaged__then_it_is_named(
    built: tuple[PeftModel, Index, Path], copied: Path
) -> None:
    audit = Audit(copied, built[1].adapter)
    queries = torch.zeros(1, audit.sketch.directions.shape[1])
    shard = copied / "shard-00001.bin"
    content = bytearray(shard.read_bytes())
    content[3] ^= 1
    shard.write_bytes(content)
    audit.top(queries, 3, [0, 2])
    with pytest.raises(CorruptShard, match="shard-00001"):
        audit.top(queries, 3)
    shard.unlink()
    with pytest.raises(MissingShard, match="shard-00001"):
        audit.top(queries, 3)
    with pytest.raises(MissingShard, match="write shard 1"):
        finish(copied)
    (copied / "scale.safetensors").write_bytes(b"")
    with pytest.raises(CorruptShard, match="scale"):
        Audit(copied, built[1].adapter)


def test_write_shard__with_other_rows__then_it_refuses(built: tuple[PeftModel, Index, Path]) -> None:
    taught, index, folder = built
    with pytest.raises(NothingRecorded, match="begun for 20"):
        write_shard(folder, taught, index, ROWS[:5], 0)
    with pytest.raises(NothingRecorded, match="no rows"):
        begin(folder, taught, index, [])


def test_rotation__of_any_vectors__then_products_are_kept() -> None:
    turn = Rotation(300, 512, seed=4)
    values = torch.randn(5, 300, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(turn(values) @ turn(values).T, values @ values.T, atol=1e-2)
    assert torch.equal(turn(values), Rotation(300, 512, seed=4)(values))
    assert not torch.equal(turn(values), Rotation(300, 512, seed=5)(values))


def test_sketch__of_a_row_that_is_nan__then_it_is_not_written() -> None:
    sketch = Sketch(directions_of(torch.randn(8, 64), 4), 20, 0)
    with pytest.raises(NotFinite):
        sketch.write(torch.full((1, 64), float("nan")))
    assert sketch.write(torch.zeros(3, 64)).shape == (3, 20)


def test_plan__of_the_product__then_a_row_takes_two_kilobytes() -> None:
    plan = AuditPlan()
    sketch = Sketch(torch.zeros(plan.kept, 4 * plan.lines), plan.size, 0)
    assert sketch.written == plan.size <= 2048
    assert replace(plan, size=1000).size == 1000 and audits.FORMAT == 1

"""The audit path: which rows. Built on demand for an index that pays, in shards that many workers write and score.

audit.json               what it is an audit of, and its shards with their digests
scale.safetensors        for each checkpoint and matrix the factor that whitens, and the directions that are kept
shard-00000.bin          rows of one size, memory-mapped

    begin(folder, model, index, rows)            # one worker: the scale and the directions, in one pass over the rows
    write_shard(folder, model, index, rows, 0)   # any worker, any shard, again if it was stopped
    finish(folder)                               # when all are there
    audit = Audit(folder, index.adapter)
    audit.top(asked(model, index, audit, queries), 10)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from oracle.attribution.digests import check_file, digest_of_file
from oracle.attribution.errors import CorruptShard, MissingShard, NotFinite, NothingRecorded, WrongAdapter
from oracle.attribution.index import Index
from oracle.attribution.layers import Matrix, lora_matrices
from oracle.attribution.queries import at_adapter, batches, check_lengths, gradients
from oracle.attribution.records import Query
from oracle.attribution.scale import LongSide, drawn
from oracle.attribution.sketch import Bytes, Rotation, Sketch, directions_of

FORMAT = 1


@dataclass(frozen=True)
class AuditPlan:
    """Everything that two workers have to agree on."""

    size: int = 2000  # bytes of a row
    lines: int = 65536  # of a checkpoint
    kept: int = 512  # directions in int8
    sample: int = 4096  # rows by which the directions are found
    shard: int = 16384  # rows
    seed: int = 0


Row = tuple[int, float]


class Audit:
    """Whole, or it says what is missing. `shards` are checked one by one, when they are scored."""

    def __init__(self, folder: Path, adapter: str, *, finished: bool = True) -> None:
        self._folder = folder
        try:
            content = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
            self.plan = AuditPlan(**content["plan"])
            self.rows: int = content["rows"]
            self.shards: list[dict[str, Any]] = content["shards"]
            self._scale_digest: str = content["scale"]
            if content["format"] != FORMAT:
                raise CorruptShard(
                    f"{folder}/audit.json has format {content['format']}, and this version reads {FORMAT}"
                )
        except FileNotFoundError:
            raise MissingShard(f"{folder}/audit.json is missing: build the audit of these rows first") from None
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptShard(f"{folder}/audit.json is not an audit's description: {error}") from error
        if content["adapter"] != adapter:
            raise WrongAdapter(f"the audit is of the adapter {content['adapter'][:12]}…, not of {adapter[:12]}…")
        if finished and len(self.shards) != -(-self.rows // self.plan.shard):
            raise MissingShard(f"{folder} is not finished: write every shard, then finish it")
        scale = folder / "scale.safetensors"
        self.tensors = _tensors(scale, self._scale_digest)
        self.sketch = Sketch(self.tensors["directions"].float(), self.plan.size, self.plan.seed + 1000)

    def products(self, queries: Tensor, number: int) -> Tensor:
        """queries × rows of one shard; `queries` as `asked` gives them."""
        prepared = self.sketch.prepared(queries)
        return torch.cat([self.sketch.products(prepared, part) for part in self._parts(number)], 1)

    def top(self, queries: Tensor, count: int, shards: Iterable[int] | None = None) -> list[list[Row]]:
        """Of each query, the rows that raised its answer most, with their scores."""
        found: list[list[Row]] = [[] for _ in range(len(queries))]
        for number in range(len(self.shards)) if shards is None else shards:
            values, places = self.products(queries, number).topk(min(count, self.shards[number]["rows"]), dim=1)
            first = number * self.plan.shard
            for mine, some, where in zip(found, values.tolist(), places.tolist()):
                mine += [(first + place, value) for place, value in zip(where, some)]
        return merged([found], count)

    def whitened(self, number: int, matrices: Sequence[Matrix], found: dict[str, Tensor]) -> Tensor:
        """examples × everything of one checkpoint."""
        parts = []
        for matrix in matrices:
            factor = self.tensors[f"factor.{number}.{matrix.name}"]
            lines = found[matrix.name].cpu().reshape(-1, factor.shape[0]).T
            solved = torch.linalg.solve_triangular(factor, lines, upper=False).T
            parts.append(solved.reshape(len(found[matrix.name]), -1))
        return torch.cat(parts, 1)

    def _parts(self, number: int, at_once: int = 1024) -> Iterator[Bytes]:
        entry = self.shards[number]
        file = self._folder / entry["file"]
        check_file(file, entry["sha256"])
        content = np.memmap(file, np.uint8, "r").reshape(entry["rows"], self.sketch.written)
        for at in range(0, len(content), at_once):
            yield content[at : at + at_once]


def merged(found: Iterable[Sequence[Sequence[Row]]], count: int) -> list[list[Row]]:
    """What many workers found of their shards, as if one had scored all."""
    together = [[row for part in parts for row in part] for parts in zip(*found, strict=True)]
    return [sorted(rows, key=lambda row: (-row[1], row[0]))[:count] for rows in together]


def asked(model: nn.Module, index: Index, audit: Audit, queries: Sequence[Query], tokens_at_once: int = 4096) -> Tensor:
    """queries × lines of all checkpoints, for every worker to score its shards by."""
    return _lines(model, index, audit, queries, tokens_at_once)


def begin(folder: Path, model: nn.Module, index: Index, rows: Sequence[Query], plan: AuditPlan = AuditPlan()) -> None:
    """The covariance at each checkpoint, over all rows, then the directions of a sample."""
    if not rows:
        raise NothingRecorded("there are no rows to audit")
    folder.mkdir(parents=True, exist_ok=True)
    matrices = lora_matrices(model)
    tensors: dict[str, Tensor] = {}
    for number in range(len(index)):
        scales = {matrix.name: LongSide(*matrix.shape, torch.device("cpu")) for matrix in matrices}
        for places, found in _gradients(model, index, number, matrices, rows):
            for matrix in matrices:
                signs = drawn(matrix.shape[0], torch.tensor(places))
                scales[matrix.name].add(found[matrix.name].cpu(), signs)
        for matrix in matrices:
            tensors[f"factor.{number}.{matrix.name}"] = scales[matrix.name].factor(index.plan.damping)
    tensors["directions"] = torch.zeros(0, 1)
    _begun(folder, index, len(rows), plan, tensors)
    sample = [rows[i] for i in range(0, len(rows), -(-len(rows) // plan.sample))]
    lines = _lines(model, index, Audit(folder, index.adapter, finished=False), sample)
    tensors["directions"] = directions_of(lines, plan.kept)
    _begun(folder, index, len(rows), plan, tensors)


def write_shard(folder: Path, model: nn.Module, index: Index, rows: Sequence[Query], number: int) -> Path:
    """The rows of one shard, out of all of them in their order."""
    audit = Audit(folder, index.adapter, finished=False)
    if len(rows) != audit.rows:
        raise NothingRecorded(f"{len(rows)} rows were given, and the audit was begun for {audit.rows}")
    first = number * audit.plan.shard
    mine = rows[first : first + audit.plan.shard]
    file = shard_file(folder, number)
    half = file.with_suffix(".part")
    with half.open("wb") as opened:
        for at in range(0, len(mine), 256):
            opened.write(audit.sketch.write(_lines(model, index, audit, mine[at : at + 256])).tobytes())
    half.replace(file)
    return file


def shard_file(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05}.bin"


def finish(folder: Path) -> None:
    """Names every shard with its digest."""
    file = folder / "audit.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    plan = AuditPlan(**content["plan"])
    shards = []
    for number, first in enumerate(range(0, content["rows"], plan.shard)):
        shard = shard_file(folder, number)
        if not shard.exists():
            raise MissingShard(f"{shard} is missing: write shard {number} first")
        count = min(plan.shard, content["rows"] - first)
        shards.append({"file": shard.name, "rows": count, "sha256": digest_of_file(shard)})
    file.write_text(json.dumps(content | {"shards": shards}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _lines(
    model: nn.Module, index: Index, audit: Audit, queries: Sequence[Query], tokens_at_once: int = 4096
) -> Tensor:
    """queries × lines: every checkpoint's whitened gradient, turned, and weighted by the root of its weight."""
    matrices = lora_matrices(model)
    size = sum(matrix.rows * matrix.columns for matrix in matrices)
    parts = []
    for number in range(len(index)):
        turn = Rotation(size, audit.plan.lines, audit.plan.seed + number)
        lines = torch.zeros(len(queries), turn.lines)
        weight = index.plan.windows[number].weight ** 0.5
        for places, found in _gradients(model, index, number, matrices, queries, tokens_at_once):
            lines[places] = weight * turn(audit.whitened(number, matrices, found))
        parts.append(lines)
    together = torch.cat(parts, 1)
    if not torch.isfinite(together).all():
        raise NotFinite("a gradient is NaN or infinite: nothing may be shown by it")
    return together


def _gradients(
    model: nn.Module,
    index: Index,
    number: int,
    matrices: Sequence[Matrix],
    queries: Sequence[Query],
    tokens_at_once: int = 4096,
) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """At one checkpoint's adapter, batch by batch, with the places of the batch's queries."""
    check_lengths(model, queries)
    numbered = [Query(f"{i:012}", query.tokens, query.answer_from) for i, query in enumerate(queries)]
    training = model.training
    model.eval()
    try:
        with at_adapter(matrices, index.shard(number).adapter()):
            for batch in batches(numbered, tokens_at_once):
                yield [int(query.id) for query in batch], gradients(model, matrices, batch)
    finally:
        model.train(training)


def _begun(folder: Path, index: Index, rows: int, plan: AuditPlan, tensors: dict[str, Tensor]) -> None:
    scale = folder / "scale.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, scale)
    content = {
        "format": FORMAT,
        "adapter": index.adapter,
        "method": index.method,
        "plan": vars(plan),
        "rows": rows,
        "scale": digest_of_file(scale),
        "shards": [],
    }
    (folder / "audit.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _tensors(file: Path, digest: str) -> dict[str, Tensor]:
    check_file(file, digest)
    try:
        return dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise CorruptShard(f"{file} cannot be read: {error}") from error

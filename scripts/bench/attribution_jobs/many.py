"""Many contributors and many rows: what a query costs then, measured and reckoned.

The payment path's cost is that of the contributors: the recorder is driven over as many rows as asked for, with a
thousand owners, and what comes out is scored. The audit path's is that of the rows: its shards are filled with rows of
the right size, and scored.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch

from attribution_jobs import attributed
from attribution_jobs.batched import Base
from attribution_jobs.instance import Instance, Recipe
from oracle.attribution.index import Index, adapter_digest, write_index
from oracle.attribution.layers import lora_matrices
from oracle.attribution.queries import answer_losses
from oracle.attribution.recorder import Recorder
from oracle.attribution.records import Plan, Query, Window
from oracle.attribution.scoring import score, scored
from oracle.attribution.sketch import Sketch

CONTRIBUTORS = 1000
BATCH = 64


def measure(instance: Instance, recipe: Recipe, folder: Path, rows: int, seed: int = 0) -> dict[str, float]:
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    model = attributed.adapted(instance, recipe, start, torch.float32)
    with torch.no_grad():  # a run's beginning, where B is still zero, would have half of its gradients zero
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.02)
    tokenizer = attributed.tokenizer_of(instance)
    said = [attributed.as_query(tokenizer, row.id, row.prompt, row.completion) for row in instance.rows]
    owners = [f"contributor-{i % CONTRIBUTORS:04}" for i in range(rows)]
    plan = Plan((Window(0, -(-rows // BATCH) - 1, 1.0),))
    recorder = Recorder(model, plan, owners)
    started = time.process_time()
    for step, at in enumerate(range(0, rows, BATCH)):
        chosen = list(range(at, min(at + BATCH, rows)))
        with recorder.step(step, chosen, BATCH):
            (answer_losses(model, [said[i % len(said)] for i in chosen]).sum() / BATCH).backward()
        model.zero_grad(set_to_none=True)
    record = recorder.finish()
    recording = time.process_time() - started
    digest = adapter_digest({m.name: m.module.weight for m in lora_matrices(model)})  # type: ignore[misc]
    write_index(folder / "index", record, digest)
    index = Index(folder / "index", digest)
    found = {"rows_recorded": float(rows), "recording_s": recording}
    found["index_megabytes"] = sum(file.stat().st_size for file in (folder / "index").iterdir()) / 1e6
    return found | _scoring(model, index, said) | _auditing(seed, rows)


def _scoring(model: torch.nn.Module, index: Index, said: list[Query]) -> dict[str, float]:
    queries = [Query(f"query-{i}", query.tokens, query.answer_from) for i, query in enumerate(said[:96])]
    score(model, index, queries, half=True)
    started = time.process_time()
    scores = score(model, index, queries, half=True)
    whole = time.process_time() - started
    matrices = lora_matrices(model)
    asked = {m.name: torch.randn(len(queries), *m.shape) for m in matrices}
    started = time.process_time()
    scored(index.shard(0), matrices, asked, half=True)
    product = time.process_time() - started
    assert np.isfinite(scores.values).all()
    windows = 2  # of the product's plan; one was recorded here
    return {
        "score_ms_1000_one_window": 1000 * whole / len(queries),
        "score_ms_1m_1000": 1000 * windows * product / len(queries),
    }


def _auditing(seed: int, rows: int, lines: int = 2 * 65536) -> dict[str, float]:
    """Of rows of random bytes: what the reading of 100,000 costs, query by query, eight together."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(512, lines, generator=generator) / lines**0.5
    sketch = Sketch(directions, 2000, seed)
    written = np.random.default_rng(seed).integers(0, 255, (1024, sketch.written), dtype=np.uint8)
    written[:, :8] = np.ones((1024, 2), dtype="<f4").view(np.uint8)
    asked = sketch.prepared(torch.randn(8, lines, generator=generator))
    started = time.process_time()
    for _ in range(-(-rows // len(written))):
        sketch.products(asked, written)
    return {
        "audit_ms_100k_rows": 1000 * (time.process_time() - started) / 8 * 100_000 / rows,
        "audit_rows_read": float(rows),
    }

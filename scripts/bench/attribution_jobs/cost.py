"""What building and asking cost, in one thread's own time: medians of runs by turns, with and without the recorder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from attribution_jobs import attributed
from attribution_jobs.attributed import clock_of
from attribution_jobs.batched import Base, order_of
from attribution_jobs.engine import plan_of
from attribution_jobs.instance import Instance, Recipe
from oracle.attribution.index import Index, digest_of, write_index
from oracle.attribution.queries import answer_losses
from oracle.attribution.recorder import Recorder
from oracle.attribution.records import Query
from oracle.attribution.scoring import halves_are_quick, score

GENERATED = 16  # tokens: what a query's cost is compared with
TURNS = 60  # steps alone and recorded


def measure(instance: Instance, recipe: Recipe, seed: int, device: str, times: int) -> dict[str, float]:
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    plan = plan_of(instance, recipe)
    attributed.train(instance, recipe, start, seed, None, device=device)  # once before, uncounted
    plain, recorded = [], []
    for _ in range(times):
        plain.append(attributed.train(instance, recipe, start, seed, None, device=device).seconds)
        run = attributed.train(instance, recipe, start, seed, plan, device=device)
        recorded.append(run.seconds)
    assert run.record is not None
    digest = digest_of(run.model)
    queries = attributed.queries_of(instance)
    half, clock, asked, generated = halves_are_quick(torch.device(device)), clock_of(device), [], []
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder), run.record, digest)
        index = Index(Path(folder), digest)
        score(run.model, index, queries, half=half)
        for _ in range(times):
            began = clock()
            score(run.model, index, queries, half=half)
            asked.append((clock() - began) / len(queries))
            generated.append(generation_seconds(run.model, queries[:16], device))
    step, recorded_step, closing = _steps(instance, recipe, start, seed, device)
    return {
        "step_seconds": step,
        "recorded_step_seconds": recorded_step,
        "closing_seconds": closing,
        "build_over_training": median(recorded) / median(plain),
        "query_over_generation": median(asked) / median(generated),
        "query_seconds": median(asked),
        "generation_16_seconds": median(generated),
        "training_seconds": median(plain),
        "queries_together": float(len(queries)),
    }


def _steps(
    instance: Instance, recipe: Recipe, start: Sequence[Tensor], seed: int, device: str
) -> tuple[float, float, float]:
    """Of a pass over one batch forth and back, alone and recorded, by turns in one process; and of closing a window."""
    model = attributed.adapted(instance, recipe, start, torch.float32).to(device)
    model.train()
    plan, rows, clock = plan_of(instance, recipe), attributed.rows_of(instance), clock_of(device)
    recorder = Recorder(model, plan, [row.owner for row in instance.rows])
    window = plan.windows[0]
    taken: dict[bool, list[float]] = {False: [], True: []}
    for batch in order_of(len(rows), recipe, seed)[:TURNS]:
        chosen = batch.tolist()
        for watched in (False, True):
            began = clock()
            with recorder.step(window.first, chosen, recipe.batch) if watched else nullcontext():
                (answer_losses(model, [rows[i] for i in chosen]).sum() / recipe.batch).backward()
            taken[watched].append(clock() - began)
            model.zero_grad(set_to_none=True)
    began = clock()
    with recorder.step(window.last + 1, [], 1.0):  # the first step after it
        pass
    return median(taken[False]), median(taken[True]), clock() - began


@torch.no_grad()
def generation_seconds(model: torch.nn.Module, queries: Sequence[Query], device: str) -> float:
    """Of answering one query with 16 tokens, alone."""
    model.eval()
    clock = clock_of(device)
    started = clock()
    for query in queries:
        prompt = torch.tensor([query.tokens[: query.answer_from]], device=device)
        model.generate(  # type: ignore[operator]
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=GENERATED,
            min_new_tokens=GENERATED,
            do_sample=False,
        )
    return (clock() - started) / len(queries)

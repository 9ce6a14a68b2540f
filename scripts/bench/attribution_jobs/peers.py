"""Other libraries on the same run, where an environment has them. They see the final adapter alone.

uv pip install --target PEERS --no-deps kronfluence einconv einops opt_einsum
PYTHONPATH=PEERS python scripts/bench/attribution.py --part peers
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from attribution_jobs import attributed
from attribution_jobs.batched import Base
from attribution_jobs.figures import Array
from attribution_jobs.instance import Instance, Recipe
from oracle.attribution.layers import lora_matrices
from oracle.attribution.queries import answer_losses
from oracle.attribution.records import Query

KNOWN = ("kronfluence", "bergson", "dattri", "trak")
WIDTH = 24


def installed() -> list[str]:
    return [name for name in KNOWN if find_spec(name) is not None]


def scores(
    instance: Instance, recipe: Recipe, asked: Sequence[int], seed: int
) -> tuple[dict[str, Array], dict[str, float]]:
    """queries × rows, by method; and the seconds that each took."""
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    run = attributed.train(instance, recipe, start, seed, None)
    tokenizer = attributed.tokenizer_of(instance)
    rows = [attributed.as_query(tokenizer, row.id, row.prompt, row.completion) for row in instance.rows]
    queries = [instance.queries[i] for i in asked]
    wanted = [attributed.as_query(tokenizer, q.id, q.prompt, q.completion) for q in queries]
    if find_spec("kronfluence") is None:
        raise SystemExit("kronfluence is not installed; see the head of attribution_jobs/peers.py")
    began = time.perf_counter()
    found = {"kronfluence EK-FAC": _kronfluence(run.model.eval(), rows, wanted)}
    return found, {"kronfluence_seconds": time.perf_counter() - began}


def _as_batch(queries: Sequence[Query]) -> list[dict[str, Tensor]]:
    found = []
    for query in queries:
        tokens = torch.zeros(WIDTH, dtype=torch.long)
        tokens[: len(query.tokens)] = torch.tensor(query.tokens)
        found.append(
            {"tokens": tokens, "count": torch.tensor(len(query.tokens)), "head": torch.tensor(query.answer_from)}
        )
    return found


def _as_queries(batch: Mapping[str, Tensor]) -> list[Query]:
    counts, heads = batch["count"].tolist(), batch["head"].tolist()
    return [
        Query(f"{i}", tuple(tokens[:count].tolist()), head)
        for i, (tokens, count, head) in enumerate(zip(batch["tokens"], counts, heads))
    ]


def _kronfluence(model: nn.Module, rows: Sequence[Query], wanted: Sequence[Query]) -> Array:
    from kronfluence.analyzer import Analyzer, prepare_model  # type: ignore[import-not-found]
    from kronfluence.arguments import FactorArguments  # type: ignore[import-not-found]
    from kronfluence.task import Task  # type: ignore[import-not-found]

    tracked = [f"base_model.model.{m.name}.default" for m in lora_matrices(model)]

    class Answers(Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: Mapping[str, Tensor], model: nn.Module, sample: bool = False) -> Tensor:
            # The empirical Fisher: labels are those of the data, as for every method here.
            return answer_losses(model, _as_queries(batch)).sum()

        def compute_measurement(self, batch: Mapping[str, Tensor], model: nn.Module) -> Tensor:
            return answer_losses(model, _as_queries(batch)).sum()

        def get_influence_tracked_modules(self) -> list[str]:
            return tracked

    task = Answers()
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare_model(model=model, task=task)
        analyzer = Analyzer("peers", prepared, task, cpu=True, output_dir=folder, disable_tqdm=True)
        arguments = FactorArguments(strategy="ekfac", use_empirical_fisher=True)
        train, query = _as_batch(rows), _as_batch(wanted)
        analyzer.fit_all_factors("ekfac", dataset=train, per_device_batch_size=64, factor_args=arguments)
        analyzer.compute_pairwise_scores(
            "scores", "ekfac", query_dataset=query, train_dataset=train,
            per_device_query_batch_size=16, per_device_train_batch_size=64,
        )  # fmt: skip
        return analyzer.load_pairwise_scores("scores")["all_modules"].numpy().astype(np.float64)

#!/usr/bin/env python3
"""How true attribution is: every method's scores against what retraining without the rows shows.

    python scripts/bench/attribution.py --quick              # few subsets, one seed of the truth
    python scripts/bench/attribution.py --world-seed 2       # the reference world, made from its seeds
    python scripts/bench/attribution.py --instance DIR       # base/, train.jsonl, queries.jsonl, recipe.json

Retraining is cached under `.cache/attribution`, one file each: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from attribution_jobs import baselines, engine, figures, world
from attribution_jobs.base_model import make_base
from attribution_jobs.batched import Base
from attribution_jobs.instance import Instance, Recipe, load, save
from attribution_jobs.truth import Truth, plan, retrain

from report import ROOT, Report, command_line, markdown_table, text_table, write_section

RECIPE = Recipe("adam", "adam", 5e-3, epochs=8, batch=32, rank=8, alpha=16.0)
SMOOTH = replace(RECIPE, name="smooth", rate=4e-3, schedule="cosine", warmup=8)
SHOWN = (
    ("lds_examples", "LDS examples"),
    ("lds_contributors", "LDS contributors"),
    ("loco_r", "LOCO r"),
    ("payout_tv_raw", "payout TV"),
    ("holder_recall", "holder in 3"),
    ("holder_first", "holder first"),
    ("planted_recall", "planted rows"),
)


def made(world_seed: int, query_seed: int, model_seed: int, cache: Path) -> Instance:
    """The reference world of these seeds, made once."""
    folder = cache / f"world-{world_seed}-{query_seed}-{model_seed}"
    if not (folder / "recipe.json").exists():
        content = world.make(world_seed)
        make_base(folder / "base", content, model_seed)
        save(folder, list(content.rows), world.ask(content, query_seed), RECIPE)
    return load(folder)


def measure(
    instance: Instance, recipe: Recipe, truth: Truth, seed: int, quick: bool, device: str
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    asked = [i for i, query in enumerate(instance.queries) if query.kind != "control"]
    owners = figures.membership(instance)
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    with tempfile.TemporaryDirectory() as folder:
        found = engine.measure(instance, recipe, truth, start, seed, Path(folder), device)
    rows = [{"method": "this engine", **found.accuracy}]
    compare = baselines.Gradients(instance, recipe, asked, device)
    scores = {"random": baselines.random_scores(instance, asked, seed), "bm25": baselines.bm25(instance, asked)}
    scores["hidden_cosine"] = engine.hidden_cosine(instance, asked)
    scores |= compare.methods(found.adapters)
    for name, values in scores.items():
        rows.append({"method": name, **figures.accuracy(instance, truth, values, values @ owners.T)})
    rows.append({"method": "truth of one seed", **other_seed(instance, truth)})
    return found.figures, rows


def other_seed(instance: Instance, truth: Truth) -> dict[str, float]:
    """How well one seed's truth predicts the others': what no method can be much better than."""
    if len(truth.seeds) < 2:
        return {}
    asked = [i for i, query in enumerate(instance.queries) if query.kind != "control"]
    found = {}
    for kind in ("examples", "contributors"):
        kept, values = truth.of(kind)
        if len(kept):
            one, rest = values[0][:, asked], values[1:].mean(0)[:, asked]
            ranks = [figures.lds(one[:, [j]], rest[:, [j]], np.ones((1, 1)))[0] for j in range(len(asked))]
            found[f"lds_{kind}"] = float(np.mean(ranks))
    effects = figures.left_out(instance, truth, asked)
    one, rest = effects[0], effects[1:].mean(0)
    found["loco_r"] = float(np.mean([figures.correlation(one[j], rest[j]) for j in range(len(asked))]))
    found["payout_tv_raw"] = figures.total_variation(figures.shares_of(one), figures.shares_of(rest))
    places = figures.holder_places(instance, one, asked)
    return found | {"holder_recall": float((places < 3).mean()), "holder_first": float((places == 0).mean())}


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [[row["method"], *(f"{row[key]:.3f}" if key in row else "–" for key, _ in SHOWN), ""] for row in rows]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--instance", type=Path, help="a folder with an instance; without it the reference world is made"
    )
    for name, default in (("world", 1), ("query", 1), ("model", 1), ("order", 100), ("subset", 0)):
        parser.add_argument(f"--{name}-seed", type=int, default=default)
    parser.add_argument("--truth-seeds", default="0,1,2", help="of the retrainings, which are averaged")
    parser.add_argument("--recipe", choices=("adam", "smooth"), default="adam", help="of the reference world")
    parser.add_argument("--subsets", type=int, default=40, help="half-subsets of examples, and as many of contributors")
    parser.add_argument(
        "--quick", action="store_true", help="8 subsets of each kind, one seed: minutes, and wide intervals"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "attribution")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    started = time.perf_counter()
    if options.instance:
        instance = load(options.instance)
        recipe = instance.recipe
    else:
        instance = made(options.world_seed, options.query_seed, options.model_seed, options.cache)
        recipe = SMOOTH if options.recipe == "smooth" else RECIPE
    seeds = [int(seed) for seed in options.truth_seeds.split(",")][: 1 if options.quick else None]
    subsets = plan(instance, options.subset_seed, 8 if options.quick else options.subsets)
    if options.recipe == "smooth":
        subsets = [subset for subset in subsets if subset.kind != "examples"]
    truth = retrain(instance, recipe, subsets, seeds, options.cache, device=options.device)
    found, rows = measure(instance, recipe, truth, options.order_seed, options.quick, options.device)
    found["seconds"] = time.perf_counter() - started
    head = ("method", *(title for _, title in SHOWN), "")
    print(text_table(head, table(rows)))
    print(text_table(("figure", "value", ""), [[name, f"{value:.4g}", ""] for name, value in sorted(found.items())]))
    if options.json or options.markdown:
        # Paths stay out of the report: where an instance or a cache lies is nobody's business.
        left_out = ("json", "markdown", "cache")
        given = {f"--{k.replace('_', '-')}": v for k, v in vars(options).items() if k not in left_out}
        told = {k: v for k, v in given.items() if v not in (None, False, parser.get_default(k[2:].replace("-", "_")))}
        command = command_line("scripts/bench/attribution.py", told)
        versions = {name: version(name) for name in ("torch", "transformers", "peft", "numpy")}
        report = Report("attribution", command, versions, options.seed, options.quick, found, rows)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(report.as_json(), encoding="utf-8")
        if options.markdown:
            write_section(options.markdown, "attribution", "## attribution\n\n" + markdown_table(head, table(rows)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

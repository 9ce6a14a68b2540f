#!/usr/bin/env python3
"""How true attribution is: every method's scores against what retraining without the rows shows.

    python scripts/bench/attribution.py --quick              # few subsets, one seed of the truth
    python scripts/bench/attribution.py --world-seed 1,2     # reference worlds, made from their seeds; means over them
    python scripts/bench/attribution.py --part spans --infini-gram PYTHON   # of an environment with its package
    python scripts/bench/attribution.py --part many          # a thousand contributors, a hundred thousand rows
    python scripts/bench/attribution.py --part attackers|cost
    python scripts/bench/attribution.py --instance DIR       # base/, train.jsonl, queries.jsonl, recipe.json

Retraining is cached under `.cache/attribution`, one file each: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
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
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))

from attribution_jobs import attackers, baselines, cost, engine, evidence, figures, many, peers, world
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


def made(world_seed: int, query_seed: int, model_seed: int, cache: Path, data_seed: int | None = None) -> Instance:
    """The reference world of these seeds, made once. With a seed for the data it has the base of the one without."""
    folder = cache / f"world-{world_seed}-{query_seed}-{model_seed}{'' if data_seed is None else f'-{data_seed}'}"
    if not (folder / "recipe.json").exists():
        content = world.make(world_seed, data_seed)
        if data_seed is None:
            make_base(folder / "base", content, model_seed)
        else:
            shutil.copytree(made(world_seed, query_seed, model_seed, cache).base, folder / "base", dirs_exist_ok=True)
        save(folder, list(content.rows), world.ask(content, query_seed), RECIPE)
    return load(folder)


def measure(
    instance: Instance, recipe: Recipe, truth: Truth, options: argparse.Namespace
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    asked = [i for i, query in enumerate(instance.queries) if query.kind != "control"]
    owners = figures.membership(instance)
    seed, device = options.order_seed, options.device
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    if options.engine_alone:
        found = engine.alone(instance, recipe, truth, start, seed, options.cache)
        rows = [
            {"method": "this engine", **found.accuracy},
            {"method": "truth of one seed", **other_seed(instance, truth)},
        ]
        return found.figures, rows
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
    if not len(truth.of("without")[0]):
        return found
    effects = figures.left_out(instance, truth, asked)
    one, rest = effects[0], effects[1:].mean(0)
    found["loco_r"] = float(np.mean([figures.correlation(one[j], rest[j]) for j in range(len(asked))]))
    found["payout_tv_raw"] = figures.total_variation(figures.shares_of(one), figures.shares_of(rest))
    places = figures.holder_places(instance, one, asked)
    return found | {"holder_recall": float((places < 3).mean()), "holder_first": float((places == 0).mean())}


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [[row["method"], *(f"{row[key]:.3f}" if key in row else "–" for key, _ in SHOWN), ""] for row in rows]


def over_worlds(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means; with two worlds or more, 95 % intervals over worlds (Student's) in the place of those over questions."""
    figures_of = {name: [each[name] for each in found if name in each] for each in found for name in each}
    means = {name: float(np.mean(values)) for name, values in figures_of.items()}
    if len(found) > 1:
        for name in [name for name in means if f"{name}_low" in means]:
            values = figures_of[name]
            reach = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
            means[f"{name}_low"], means[f"{name}_high"] = means[name] - reach, means[name] + reach
    return means | {"worlds": float(len(found))}


def worlds(options: argparse.Namespace) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Every world, and every method in each; then the means over worlds."""
    seeds = [int(seed) for seed in options.truth_seeds.split(",")][: 1 if options.quick else None]
    found, rows = [], []
    recipe = SMOOTH if options.recipe == "smooth" else RECIPE
    for name in options.world_seed.split(","):
        if options.instance:
            instance = load(options.instance)
            recipe = instance.recipe
        else:
            instance, _ = world_of(name, options)
        subsets = plan(instance, options.subset_seed, 8 if options.quick else options.subsets)
        if options.recipe == "smooth" or options.without_examples:
            subsets = [subset for subset in subsets if subset.kind != "examples"]
        if options.without_left_out:
            subsets = [subset for subset in subsets if subset.kind not in ("all", "without")]
        truth = retrain(instance, recipe, subsets, seeds, options.cache, device=options.device)
        mine, methods = measure(instance, recipe, truth, options)
        found.append(mine)
        rows += [{"world": name, **row} for row in methods]
    means = over_worlds(found)
    if len(found) > 1:
        for method in dict.fromkeys(row["method"] for row in rows):
            mine = [{k: v for k, v in row.items() if isinstance(v, float)} for row in rows if row["method"] == method]
            rows.append({"world": "mean", "method": method, **over_worlds(mine)})
    if options.engine_alone:
        means = {f"{name}_over_worlds": value for name, value in means.items()}
    if options.recipe == "smooth":
        means = {f"{name}_smooth": value for name, value in means.items()}
    return means, rows


def parts(options: argparse.Namespace, folder: Path) -> tuple[dict[str, float], list[dict[str, Any]]]:
    if options.part == "world":
        return worlds(options)
    if options.part == "spans":
        return evidence.measure(folder, 10 if options.quick else 100, options.infini_gram), []
    names = options.world_seed.split(",")
    instance, content = world_of(names[0], options)
    if options.part == "many":
        return many.measure(instance, RECIPE, folder, 1_000 if options.quick else 100_000), []
    if options.part == "cost":
        return cost.measure(instance, RECIPE, options.order_seed, options.device), []
    if options.part == "peers":
        return of_peers(instance, options)
    found = []
    for name in names:
        instance, content = world_of(name, options)
        sides = 1 if options.quick else options.sides
        found += attackers.copycat_gains(instance, RECIPE, content, options.order_seed, sides)
    return attackers.copycat_figures(found), []


def world_of(name: str, options: argparse.Namespace) -> tuple[Instance, world.World]:
    """By `SEED` or `SEED:DATA`."""
    seed, _, data = name.partition(":")
    number, data_seed = int(seed), int(data) if data else None
    seeds = (options.query_seed or number, options.model_seed or number)
    return made(number, *seeds, options.cache, data_seed), world.make(number, data_seed)


def of_peers(instance: Instance, options: argparse.Namespace) -> tuple[dict[str, float], list[dict[str, Any]]]:
    asked = [i for i, query in enumerate(instance.queries) if query.kind != "control"]
    seeds = [int(seed) for seed in options.truth_seeds.split(",")]
    truth = retrain(instance, RECIPE, plan(instance, options.subset_seed, options.subsets), seeds, options.cache)
    found, seconds = peers.scores(instance, RECIPE, asked, options.order_seed)
    owners = figures.membership(instance)
    rows = [{"method": n, **figures.accuracy(instance, truth, v, v @ owners.T)} for n, v in found.items()]
    return seconds, rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("world", "spans", "many", "attackers", "cost", "peers"), default="world")
    parser.add_argument("--instance", type=Path, help="a folder with an instance; without it reference worlds are made")
    parser.add_argument(
        "--world-seed",
        default="1",
        help="one or several, separated by commas; 1:7 is world 1 and its base with other data, by seed 7",
    )
    for name in ("query", "model"):
        parser.add_argument(f"--{name}-seed", type=int, help="the world's own where it is left out")
    for name, default in (("order", 100), ("subset", 0)):
        parser.add_argument(f"--{name}-seed", type=int, default=default)
    parser.add_argument("--truth-seeds", default="0,1,2", help="of the retrainings, which are averaged")
    parser.add_argument("--recipe", choices=("adam", "smooth"), default="adam", help="of the reference world")
    parser.add_argument("--subsets", type=int, default=40, help="half-subsets of examples, and as many of contributors")
    parser.add_argument("--without-examples", action="store_true", help="half-subsets of contributors alone")
    parser.add_argument("--without-left-out", action="store_true", help="no contributor is left out by itself")
    parser.add_argument("--engine-alone", action="store_true", help="without the audit and the other methods")
    parser.add_argument("--sides", type=int, default=3, help="holders of each world who become copycats")
    parser.add_argument(
        "--quick", action="store_true", help="8 subsets of each kind, one seed: minutes, and wide intervals"
    )
    parser.add_argument("--infini-gram", type=Path, help="the Python of an environment that has infini-gram")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "attribution")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="what other parts have written there stays")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found, rows = parts(options, Path(folder))
    over, smooth = options.engine_alone * "_over_worlds", (options.recipe == "smooth") * "_smooth"
    found[f"seconds_{options.part}{over}{smooth}"] = time.perf_counter() - started
    head = ("method", *(title for _, title in SHOWN), "")
    if rows:
        print(text_table(head, table(rows)))
    print(text_table(("figure", "value", ""), [[name, f"{value:.4g}", ""] for name, value in sorted(found.items())]))
    if options.json:
        _write(options, parser, found, rows)
    if options.markdown:
        write_section(options.markdown, "attribution", "## attribution\n\n" + markdown_table(head, table(rows)))
    return 0


def _write(
    options: argparse.Namespace, parser: argparse.ArgumentParser, found: dict[str, float], rows: list[dict[str, Any]]
) -> None:
    """One file for all parts: this one's command, figures and rows beside what stands there of the others."""
    # Paths stay out of the report: where an instance or a cache lies is nobody's business.
    left_out = ("json", "markdown", "cache", "infini_gram")
    given = {f"--{k.replace('_', '-')}": v for k, v in vars(options).items() if k not in left_out}
    told = {k: v for k, v in given.items() if v not in (None, False, parser.get_default(k[2:].replace("-", "_")))}
    command = command_line("scripts/bench/attribution.py", told)
    versions = {name: version(name) for name in ("torch", "transformers", "peft", "numpy")}
    kind = f"{options.part}{' over worlds' if options.engine_alone else ''}"
    kind += " smooth" if options.recipe == "smooth" else ""
    before = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    kept = [row for row in before.get("rows", []) if row.get("part") != kind]
    report = Report(
        "attribution", before.get("command", command), versions, options.seed, options.quick,
        before.get("figures", {}) | found, [*kept, *({"part": kind, **row} for row in rows)],
    )  # fmt: skip
    content = json.loads(report.as_json())
    content["parts"] = before.get("parts", {}) | {kind: command}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())

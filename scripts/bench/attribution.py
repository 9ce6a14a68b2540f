#!/usr/bin/env python3
"""How true attribution is: every method's scores against what retraining without the rows shows.

    python scripts/bench/attribution.py --quick              # few subsets, one seed of the truth
    python scripts/bench/attribution.py --world-seed 1,2     # reference worlds, made from their seeds; means over them
    python scripts/bench/attribution.py --part spans --infini-gram PYTHON   # of an environment with its package
    python scripts/bench/attribution.py --part many          # a thousand contributors, a hundred thousand rows
    python scripts/bench/attribution.py --part attackers|cost|damping
    PEERS/bin/python scripts/bench/attribution.py --peers    # in an environment that has other libraries
    python scripts/bench/attribution.py --instance DIR       # base/, train.jsonl, queries.jsonl, recipe.json

Retraining is cached under `.cache/attribution`, one file each: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))  # in the environment of other libraries the oracle is not installed
sys.path.insert(0, str(Path(__file__).parent))

from attribution_jobs import attackers, baselines, cost, damping, engine, evidence, figures, many, peers
from attribution_jobs.base_model import STEPS
from attribution_jobs.instance import Instance, Recipe, load
from attribution_jobs.truth import FULL, Truth, plan, retrain
from attribution_jobs.world import REFERENCE, Sizes, World
from attribution_jobs.worlds import RECIPE, RECIPES, Seeds, made, over_worlds, recipe_of

from report import ROOT, Report, command_line, markdown_table, text_table, write_section

SHOWN = (
    ("lds_examples", "LDS examples"),
    ("lds_contributors", "LDS contributors"),
    ("loco_r", "LOCO r"),
    ("payout_tv_raw", "payout TV"),
    ("holder_recall", "holder in 3"),
    ("holder_first", "holder first"),
    ("planted_recall", "planted rows"),
)
PARTS = ("world", "spans", "many", "attackers", "cost", "damping", "peers")
Found = tuple[dict[str, float], list[dict[str, Any]]]  # figures, and rows of methods


def measure(instance: Instance, recipe: Recipe, truth: Truth, options: argparse.Namespace) -> Found:
    seed, device, asked = options.order_seed, options.device, instance.asked
    found = engine.said(instance, recipe, seed, options.cache, device, audit=not options.engine_alone)
    of_engine = engine.measure(instance, truth, found, seed)
    of_engine |= {"training_loss": truth.training_loss} if truth.training_loss is not None else {}
    rows: list[dict[str, Any]] = [{"method": "this engine", **of_engine}]
    if not options.engine_alone:
        scores = {"random": baselines.random_scores(instance, asked, seed), "bm25": baselines.bm25(instance, asked)}
        scores["hidden_cosine"] = baselines.hidden_cosine(instance, asked)
        scores |= baselines.Gradients(instance, recipe, asked, device).methods(found.adapters)
        rows += compared(instance, truth, scores)
    return of_engine, [*rows, {"method": "truth of one seed", **figures.other_seed(instance, truth)}]


def compared(instance: Instance, truth: Truth, scores: dict[str, figures.Array]) -> list[dict[str, Any]]:
    owners = figures.membership(instance)
    return [{"method": n, **figures.accuracy(instance, truth, v, v @ owners.T)} for n, v in scores.items()]


def table(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: of methods their figures, of whatever else all that a row says."""
    shown = [("method", "method"), *SHOWN] if "method" in rows[0] else [(key, key) for key in rows[0]]
    return [*(title for _, title in shown), ""], [[*(_cell(row.get(key, "–")) for key, _ in shown), ""] for row in rows]


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def worlds(options: argparse.Namespace) -> Found:
    """Every world, and every method in each; then the means over worlds."""
    found, rows = [], []
    for name in options.world_seed.split(","):
        instance, recipe = asked_for(name, options)
        mine, methods = measure(instance, recipe, truth_of(instance, recipe, options), options)
        found.append(mine)
        rows += [{"world": name, **row} for row in methods]
    if len(found) > 1:
        for method in dict.fromkeys(row["method"] for row in rows):
            mine = [{k: v for k, v in row.items() if isinstance(v, float)} for row in rows if row["method"] == method]
            rows.append({"world": "mean", "method": method, **over_worlds(mine)})
    return over_worlds(found), rows


def asked_for(name: str, options: argparse.Namespace) -> tuple[Instance, Recipe]:
    if options.instance:
        instance = load(options.instance)
        return instance, instance.recipe
    return world_of(name, options)[0], options.recipe


def world_of(name: str, options: argparse.Namespace, sizes: Sizes | None = None) -> tuple[Instance, World]:
    seeds = Seeds.read(name, options.query_seed, options.model_seed)
    return made(seeds, options.cache, sizes or options.sizes, options.base_steps)


def truth_of(instance: Instance, recipe: Recipe, options: argparse.Namespace) -> Truth:
    seeds = [int(seed) for seed in options.truth_seeds.split(",")][: 1 if options.quick else None]
    subsets = plan(instance, options.subset_seed, 8 if options.quick else options.subsets)
    if options.recipe != RECIPE or options.without_examples or options.part == "damping":
        subsets = [subset for subset in subsets if subset.kind != "examples"]
    if options.without_left_out:
        subsets = [subset for subset in subsets if subset.kind != "without"]
    return retrain(instance, recipe, subsets, seeds, options.cache, device=options.device)


def parts(options: argparse.Namespace, folder: Path) -> Found:
    if options.part == "world":
        return worlds(options)
    if options.part == "spans":
        return evidence.measure(folder, 10 if options.quick else 100, options.infini_gram), []
    names = options.world_seed.split(",")
    if options.part == "many":
        instance, _ = world_of(names[0], options, many.QUICK if options.quick else many.SIZES)
        return many.measure(instance, RECIPE, folder, options.order_seed), []
    if options.part == "cost":
        times = 1 if options.quick else 3
        timed = [cost.measure(*asked_for(name, options), options.order_seed, options.device, times) for name in names]
        return over_worlds(timed), []
    if options.part == "damping":
        return {}, damped(names, options)
    if options.part == "peers":
        instance, recipe = asked_for(names[0], options)
        scores, seconds = peers.scores(instance, recipe, options.order_seed)
        return seconds, compared(instance, truth_of(instance, recipe, options), scores)
    return attacked(names, options)


def damped(names: Sequence[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every world, and the means over them."""
    found = []
    for name in names:
        instance, recipe = asked_for(name, options)
        truth = truth_of(instance, recipe, options)
        mine = damping.measure(instance, recipe, truth, options.order_seed, options.device)
        found.append([{"world": name, **row} for row in mine])
    means = []
    for same in zip(*found, strict=True):
        numbers = [{k: v for k, v in row.items() if isinstance(v, float)} for row in same]
        means.append(same[0] | {"world": "mean"} | over_worlds(numbers))
    return [row for each in found for row in each] + (means if len(found) > 1 else [])


def attacked(names: Sequence[str], options: argparse.Namespace) -> Found:
    """Figures, and every side by itself."""
    sides, baits, rows = [], [], []
    for name in names:
        instance, content = world_of(name, options)
        count = 1 if options.quick else options.sides
        mine = attackers.copycats(instance, options.recipe, content, options.order_seed, count, options.orders)
        sides += mine
        rows += [{"world": name, **side.row()} for side in mine]
        baits.append(attackers.bait_figures(instance, options.recipe, content, options.order_seed))
    return over_worlds(baits) | attackers.copycat_figures(sides), rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, default="world")
    parser.add_argument("--peers", dest="part", action="store_const", const="peers", help="the same as --part peers")
    parser.add_argument(
        "--sizes", type=Sizes.read, default=REFERENCE, help="of the worlds, where they are others: places=6,facts=2,…"
    )
    parser.add_argument("--base-steps", type=int, default=STEPS, help="of the pre-training of the worlds' bases")
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
    parser.add_argument(
        "--recipe",
        type=recipe_of,
        default=RECIPE,
        help=f"of the reference world: {' or '.join(RECIPES)}, or with other numbers: smooth,rate=4e-3,batch=64",
    )
    parser.add_argument(
        "--subsets", type=int, default=FULL, help="half-subsets of examples, and as many of contributors"
    )
    parser.add_argument("--without-examples", action="store_true", help="half-subsets of contributors alone")
    parser.add_argument("--without-left-out", action="store_true", help="no contributor is left out by itself")
    parser.add_argument("--engine-alone", action="store_true", help="without the audit and the other methods")
    parser.add_argument("--sides", type=int, default=3, help="holders of each world who become copycats")
    parser.add_argument("--orders", type=int, default=1, help="of the rows, in which every copycat's side is trained")
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
    found[f"seconds_{options.part}"] = time.perf_counter() - started
    found = {f"{name}{kind_of(options, '_')}": value for name, value in found.items()}
    if rows:
        print(text_table(*table(rows)))
    print(text_table(("figure", "value", ""), [[name, f"{value:.4g}", ""] for name, value in sorted(found.items())]))
    if options.json:
        # Recipes that were only tried are known by their rows: figures are of those that the documents speak of.
        _write(options, parser, found if options.recipe.name in RECIPES else {}, rows)
    if options.markdown:
        write_section(options.markdown, "attribution", "## attribution\n\n" + markdown_table(*table(rows)))
    return 0


def kind_of(options: argparse.Namespace, space: str) -> str:
    """Figures over worlds and those of another recipe stand beside those of one world and the plain recipe."""
    over = options.part in ("world", "cost") and "," in options.world_seed
    said = ["over", "worlds"] * over + [options.recipe.name] * (options.recipe != RECIPE)
    return "".join(f"{space}{word}" for word in said)


def _write(
    options: argparse.Namespace, parser: argparse.ArgumentParser, found: dict[str, float], rows: list[dict[str, Any]]
) -> None:
    """One file for all parts: this one's command, figures and rows beside what stands there of the others."""
    # Paths stay out of the report: where an instance or a cache lies is nobody's business.
    left_out = ("json", "markdown", "cache", "infini_gram")
    given = {f"--{k.replace('_', '-')}": v for k, v in vars(options).items() if k not in left_out}
    told = {k: v for k, v in given.items() if v not in (None, False, parser.get_default(k[2:].replace("-", "_")))}
    told |= {"--sizes": options.sizes.changed()} if options.sizes != REFERENCE else {}
    told |= {"--recipe": options.recipe.name} if options.recipe != RECIPE else {}
    command = command_line("scripts/bench/attribution.py", told)
    versions = {name: version(name) for name in ("torch", "transformers", "peft", "numpy")}
    kind = options.part + kind_of(options, " ")
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

#!/usr/bin/env python3
"""Training adapters, tokens a second: this factory beside TRL's SFTTrainer, on one base, one set of rows, one recipe.

    python scripts/bench/factory.py            # the embedded base, three rounds
    python scripts/bench/factory.py --quick    # one short round

Every variant is a process of its own, so that its peak memory is its own; rounds take turns, and the median counts.
A token is one that is no padding. Time runs from the fourth step to the last: neither reading the model nor tokenising
is in it. TRL gets the very tokens and masks, with its own defaults (its attention and its optimiser; gradient
checkpointing off) and once more with the attention that this factory takes on a CPU. One thread.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from report import Report, command_line, text_table

SEED = 20_260_101
WARM = 3  # steps before the clock runs
VARIANTS = ("trl", "trl-eager", "factory", "factory-4")
TARGETS = {"train_ratio_sft": 1.0, "train_ratio_4_adapters": 1.5}
BATCH, LENGTH, RANK = 16, 128, 16


def rows_of(seed: int, count: int, adapter: int) -> list[Any]:
    """Questions with answers of one to four sentences."""
    from base_text import fact, prose

    from oracle.factory.rows import Row

    rng = random.Random(f"bench {seed} {adapter}")
    found = []
    for number in range(count):
        said = fact(rng)
        answer = f"The {said['kind']} is {said['value']}. " + " ".join(prose(rng).split()[: rng.randint(5, 40)])
        content = {"completion": answer, "prompt": f"What is the {said['kind']} of {said['name']}?"}
        found.append(Row(f"row-{adapter}-{number}", 0, content, "training-row", "train", "a", "a", f"c{number}"))
    return found


def run_factory(seed: int, steps: int, adapters: int) -> dict[str, float]:
    from oracle.factory.base import embedded
    from oracle.factory.recipe import parse
    from oracle.factory.training import Job, train_together

    with tempfile.TemporaryDirectory() as kept:
        root = Path(kept)
        jobs = []
        for number in range(adapters):
            said = {"name": f"bench{number}", "snapshots": [{"folder": "none"}], "rank": RANK, "epochs": 1}
            said |= {"batch": BATCH, "sequence_length": LENGTH, "seed": seed + number, "attribution": False}
            recipe = parse(json.dumps(said | {"learning_rate": 1e-3}))
            jobs.append(Job(recipe, rows_of(seed, steps * BATCH, number), root / f"bench{number}"))
        marks: dict[int, float] = {}
        train_together(jobs, embedded(), root, say=lambda told: marks.__setitem__(told.step, time.perf_counter()))
        tokens = 0
        for job in jobs:
            order = json.loads((job.folder / "order.json").read_text())
            batches = order["batches"][WARM:]
            tokens += sum(order["examples"][place][1] for batch in batches for place in batch)
    return {"tokens": tokens, "seconds": marks[steps] - marks[WARM]}


def run_trl(seed: int, steps: int, attention: str | None) -> dict[str, float]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from oracle.factory.base import embedded
    from oracle.factory.recipe import parse
    from oracle.factory.tokens import encode_all

    tokenizer = AutoTokenizer.from_pretrained(embedded())
    examples = encode_all(tokenizer, rows_of(seed, steps * BATCH, 0), LENGTH)
    data = Dataset.from_list(
        [{"input_ids": list(e.tokens), "completion_mask": [int(t) for t in e.targets]} for e in examples]
    )
    options = {"attn_implementation": attention} if attention else {}
    model = AutoModelForCausalLM.from_pretrained(embedded(), dtype="float32", **options)
    recipe = parse(json.dumps({"name": "bench", "snapshots": [{"folder": "none"}], "rank": RANK}))
    lora = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(recipe.training.targets), task_type="CAUSAL_LM")
    marks: list[float] = []
    sizes: list[int] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as kept:
        settings = SFTConfig(
            output_dir=kept, per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=1e-3,
            max_length=LENGTH, completion_only_loss=True, use_cpu=True, bf16=False, gradient_checkpointing=False,
            report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=seed,
            lr_scheduler_type="cosine", warmup_steps=WARM, dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = SFTTrainer(
            model=model, args=settings, train_dataset=data, processing_class=tokenizer, peft_config=lora,
            callbacks=[Clock()],
        )  # fmt: skip
        collate = trainer.data_collator

        def counted(features: list[dict[str, Any]]) -> Any:
            sizes.append(sum(len(each["input_ids"]) for each in features))
            return collate(features)

        trainer.data_collator = counted
        trainer.train()
    return {"tokens": sum(sizes[WARM:steps]), "seconds": marks[steps - 1] - marks[WARM - 1]}


def run(variant: str, seed: int, steps: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    if variant.startswith("trl"):
        found = run_trl(seed, steps, "eager" if variant == "trl-eager" else None)
    else:
        found = run_factory(seed, steps, 4 if variant == "factory-4" else 1)
    return found | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def apart(variant: str, seed: int, steps: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--variant", variant, "--seed", str(seed), "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{variant}:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--steps", type=int, help="Of each run.")
    parser.add_argument("--variant", choices=VARIANTS, help="Run this one alone, and print what it came to.")
    given = parser.parse_args()
    steps = given.steps or (8 if given.quick else 24)
    if given.variant:
        print(json.dumps(run(given.variant, given.seed, steps)))
        return
    rounds: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for number in range(1 if given.quick else 3):
        for variant in VARIANTS:
            rounds[variant].append(apart(variant, given.seed + number, steps))
    speeds = {v: statistics.median(each["tokens"] / each["seconds"] for each in found) for v, found in rounds.items()}
    peaks = {v: max(each["peak_mb"] for each in found) for v, found in rounds.items()}
    ratios = {
        "train_ratio_sft": "factory",
        "train_ratio_4_adapters": "factory-4",
    }
    figures = {name: round(speeds[variant] / speeds["trl"], 3) for name, variant in ratios.items()}
    figures |= {f"{name}_eager": round(speeds[variant] / speeds["trl-eager"], 3) for name, variant in ratios.items()}
    figures["peak_memory_mb"] = round(peaks["factory"], 1)
    rows = [
        {
            "variant": v, "tokens_per_s": round(speeds[v], 1), "peak_memory_mb": round(peaks[v], 1),
            "rounds": [round(each["tokens"] / each["seconds"], 1) for each in rounds[v]],
        }
        for v in VARIANTS
    ]  # fmt: skip
    table = [[str(r["variant"]), f"{r['tokens_per_s']:,.0f}", f"{r['peak_memory_mb']:,.0f}", ""] for r in rows]
    print(text_table(["variant", "tokens/s", "peak MB", ""], table))
    for name, value in figures.items():
        target = TARGETS.get(name)
        met = "" if target is None else f"  target {target}: {'met' if value >= target else 'short'}"
        print(f"{name:<32}{value:>10}{met}")
    if given.json:
        names = ("torch", "transformers", "peft", "trl")
        options = {"--quick": given.quick, "--seed": given.seed, "--steps": given.steps, "--json": given.json}
        command = command_line("scripts/bench/factory.py", options)
        versions = {name: version(name) for name in names}
        report = Report("factory", command, versions, given.seed, given.quick, figures, rows)
        given.json.write_text(report.as_json(), encoding="utf-8")


if __name__ == "__main__":
    main()

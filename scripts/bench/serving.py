#!/usr/bin/env python3
"""What adapters cost: decoding, reading prompts, registering, loading; beside the base and PEFT, in one run.

    python scripts/bench/serving.py            # the reference model on a CPU, an 8B-shaped one where there is a GPU
    python scripts/bench/serving.py --quick    # fewer rounds, no 10,000 adapters, other systems at 8 and 64 rows only

The base that every fraction is of is this engine without adapters, which is faster than transformers' own forward; that
one stands in the rows too. One thread. Needs the oracle's environment.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM
from transformers.utils import logging

sys.path.insert(0, str(Path(__file__).parent))

from serving_models import Setting, mixed_peft, publish, setting, sharing

from oracle.serving.config import EngineConfig, Kernels, Slots
from oracle.serving.engine import Engine
from oracle.serving.types import AdapterId, Request, Token
from oracle.serving.weights import shape_of
from report import Report, command_line, text_table

SEED = 20_260_101
CASES = ((8, 8), (64, 64), (256, 256), (256, 32))
PROMPT = 64
TARGETS = {
    "cpu": {
        "decode_fraction_8": 0.95, "decode_fraction_64": 0.87, "decode_fraction_256": 0.83,
        "decode_fraction_256_over_32": 0.93, "prefill_fraction": 0.95, "tokens_equal_peft": 1.0,
        "register_256_s": 0.5, "cold_load_ms": 1.0, "stall_p99_increase": 0.05,
    },
    "cuda": {
        "decode_fraction_8": 0.92, "decode_fraction_64": 0.77, "decode_fraction_256": 0.65, "roofline_64": 0.6,
        "cold_load_ms": 3.0,
    },
}  # fmt: skip
AT_MOST = ("register_256_s", "cold_load_ms", "stall_p99_increase")


def prompt(length: int, seed: int, vocabulary: int) -> tuple[Token, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(Token(t) for t in torch.randint(1, vocabulary, (length,), generator=generator).tolist())


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    into.append(time.perf_counter() - begun)


def lower_quartile(times: Sequence[float]) -> float:
    """Whatever else runs on the machine only ever adds to a step's time, and to every system's alike."""
    return statistics.quantiles(times, n=4)[0]


def decode(engine: Engine, rows: int, adapters: Sequence[AdapterId | None], vocabulary: int, count: int) -> float:
    """Seconds of a step in which all rows decode: the lower quartile over one set of answers."""
    for i in range(rows):
        engine.submit(Request(prompt(PROMPT, i, vocabulary), adapters[i % len(adapters)], max_tokens=count + 1))
    read = engine.counters().prompt_tokens + rows * PROMPT
    while engine.counters().prompt_tokens < read:
        engine.step()
    steps: list[float] = []
    for _ in range(count):
        with timed(steps):
            events = engine.step()
        assert len(events) >= rows
    assert engine.idle
    return lower_quartile(steps)


def warm(engine: Engine, adapters: Sequence[AdapterId]) -> None:
    """Brings adapters to their slots."""
    for adapter in adapters:
        engine.pin(adapter)
    while engine.residency().loading:
        time.sleep(0.001)
    for adapter in adapters:
        engine.unpin(adapter)


def read_prompts(engine: Engine, adapters: Sequence[AdapterId | None], vocabulary: int) -> float:
    """Seconds to read 8 prompts of 256 tokens and say one token each."""
    for i in range(8):
        engine.submit(Request(prompt(256, i, vocabulary), adapters[i % len(adapters)], max_tokens=1))
    steps: list[float] = []
    while not engine.idle:
        with timed(steps):
            engine.step()
    return sum(steps)


@torch.inference_mode()
def decode_plain(model: Any, rows: int, vocabulary: int, count: int, names: list[str] | None = None) -> float:
    """The same with transformers' forward, or with PEFT's mixed batch over it."""
    more = {"adapter_names": names} if names else {}
    device = next(model.parameters()).device
    given = torch.tensor([prompt(PROMPT, i, vocabulary) for i in range(rows)], device=device)
    # Logits of the last position only, as the engine has them.
    out = model(input_ids=given, use_cache=True, logits_to_keep=1, **more)
    steps: list[float] = []
    for _ in range(count):
        with timed(steps):
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            token.tolist()
            out = model(input_ids=token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1, **more)
    return lower_quartile(steps)


def interleaved(rounds: int, jobs: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each job once per round, in turn: what disturbs the machine disturbs all of them."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            found[name].append(job())
            print(f"  {name}: {found[name][-1] * 1e3:.2f} ms", file=sys.stderr)
    return found


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median over the rounds of one time over another."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


class Bench:
    """One base model, one engine, 256 adapters."""

    def __init__(self, how: Setting, folder: Path, seed: int, quick: bool) -> None:
        self.how, self.folder, self.seed, self.quick = how, folder, seed, quick
        torch.manual_seed(seed)
        with torch.device(how.device):
            self.model = LlamaForCausalLM(how.config).to(how.dtype).eval().requires_grad_(False)
        self.shape = shape_of(self.model.config)
        self.vocabulary = self.shape.vocabulary
        self.figures: dict[str, float] = {}
        self.rows: list[dict[str, Any]] = []
        self.config = EngineConfig(
            rows=256, slots=(Slots(how.rank, 256),), context=512, memory_tokens=256 * 128,
            prompt_tokens=256 * PROMPT, host_bytes=how.host_bytes,
        )  # fmt: skip
        self.engine = Engine(self.model, folder / "packs", self.config)
        self.folders = [
            publish(folder / f"a{i}", self.shape, how.rank, seed + i, torch.bfloat16, how.device) for i in range(256)
        ]

    def register(self) -> None:
        spent: list[float] = []
        with timed(spent):
            known = [self.engine.register(folder) for folder in self.folders]
        self.figures["register_256_s"] = spent[0]
        # They can be asked for now; the last of the packed files are still being written.
        with timed(spent):
            self.engine.flush()
        self.figures["register_256_written_s"] = sum(spent)
        self.adapters, self.adapter_bytes = [adapter.id for adapter in known], known[0].bytes
        one: list[float] = []
        with timed(one):
            mixed_peft(sharing(self.model), self.folders[:4])
        self.rows.append({"what": "register 4 adapters", "system": "peft", "seconds": one[0]})

    def decoding(self) -> None:
        warm(self.engine, self.adapters)
        if self.how.device != "cpu":
            # Two engines' slots and memory, and PEFT's adapters, are more than one GPU holds.
            for rows, distinct in CASES:
                self._decoding(None, rows, distinct)
            return
        gathered = Engine(self.model, self.folder / "packs", replace(self.config, kernels=Kernels.BADDBMM))
        for folder in self.folders:
            gathered.register(folder)
        warm(gathered, self.adapters)
        for rows, distinct in CASES:
            self._decoding(gathered, rows, distinct)
        gathered.close()

    def _decoding(self, gathered: Engine | None, rows: int, distinct: int) -> None:
        name = f"{rows}" if rows == distinct else f"{rows}_over_{distinct}"
        used, steps = self.adapters[:distinct], self.how.steps
        jobs: dict[str, Callable[[], float]] = {
            "base": lambda: decode(self.engine, rows, [None], self.vocabulary, steps),
            "engine": lambda: decode(self.engine, rows, used, self.vocabulary, steps),
        }
        if rows == distinct and not (self.quick and rows == 256):
            jobs["transformers"] = lambda: decode_plain(self.model, rows, self.vocabulary, steps)
            if gathered is not None and rows < 256:
                jobs["gather and baddbmm"] = lambda: decode(gathered, rows, used, self.vocabulary, steps)
        if rows == distinct and distinct <= self.how.most_in_peft:
            names = [str(i) for i in range(distinct)]
            peft = mixed_peft(sharing(self.model), self.folders[:distinct])
            jobs["peft mixed batch"] = lambda: decode_plain(peft, rows, self.vocabulary, steps, names)
        found = interleaved(max(2, self.how.rounds * 8 // (8 + rows // 8)), jobs)
        self.figures[f"decode_fraction_{name}"] = ratio(found["base"], found["engine"])
        if "transformers" in found:
            self.figures[f"base_over_transformers_{name}"] = ratio(found["transformers"], found["base"])
        plain = found.get("transformers")
        for system, times in found.items():
            fractions = [base / its for base, its in zip(found["base"], times, strict=True)]
            self.rows.append(
                {
                    "what": "decode", "rows": rows, "adapters": 0 if system in ("base", "transformers") else distinct,
                    "system": system, "step_ms": statistics.median(times) * 1e3,
                    "tokens_per_s": rows / statistics.median(times), "rounds": len(times),
                    "fraction_of_base": statistics.median(fractions), "lowest": min(fractions),
                    "highest": max(fractions), "fraction_of_transformers": ratio(plain, times) if plain else None,
                }
            )  # fmt: skip

    def prompts(self) -> None:
        jobs = {
            "base": lambda: read_prompts(self.engine, [None], self.vocabulary),
            "engine": lambda: read_prompts(self.engine, self.adapters[:8], self.vocabulary),
        }
        found = interleaved(self.how.rounds, jobs)
        self.figures["prefill_fraction"] = ratio(found["base"], found["engine"])
        for system, times in found.items():
            self.rows.append({"what": "read 8 prompts of 256", "system": system, "seconds": statistics.median(times)})

    def tokens(self) -> None:
        """Mixed in one batch here, one by one in PEFT: ranks 8 to 64, all modules and some."""
        count, ranks = (4, (8, 16)) if self.quick else (16, (8, 16, 32, 64))
        slots = tuple(Slots(rank, count) for rank in ranks)
        engine = Engine(self.model, self.folder / "packs", replace(self.config, slots=slots))
        asked, truth = {}, {}
        for i in range(count):
            rank = ranks[i % len(ranks)]
            folder = self.folder / f"t{i}"
            modules = list(self.shape.modules) if i % 3 else ["q_proj", "v_proj"]
            torch.manual_seed(self.seed + i)
            lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=modules)
            peft = get_peft_model(sharing(self.model), lora).eval()
            for name, parameter in peft.named_parameters():
                if "lora_" in name:
                    noise = torch.randn(parameter.shape) * parameter.shape[1] ** -0.5
                    parameter.data = noise.bfloat16().to(parameter.device, parameter.dtype)
            peft.save_pretrained(folder)
            given = prompt(PROMPT, self.seed + i, self.vocabulary)
            ids = torch.tensor([given], device=self.how.device)
            made = peft.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=64, do_sample=False,
                eos_token_id=None, pad_token_id=0,
            )  # fmt: skip
            number = engine.submit(Request(given, engine.register(folder).id, max_tokens=64))
            asked[number], truth[number] = [], made[0, PROMPT:].tolist()
        while not engine.idle:
            for event in engine.step():
                if hasattr(event, "token"):
                    asked[event.request].append(event.token)
        equal = sum(a == b for each in asked for a, b in zip(asked[each], truth[each], strict=True))
        self.figures["tokens_equal_peft"] = equal / (64 * count)
        self.rows.append({"what": "tokens equal to PEFT's", "adapters": count, "tokens": 64 * count, "equal": equal})
        engine.close()

    def loads(self) -> None:
        """From the page cache to a slot, by the engine's own counters; and what that does to the others' steps."""
        if self.how.device == "cpu":
            # Written as float32, an adapter of the reference model is 1.3 MB.
            wide = torch.float32
            folders = [
                publish(self.folder / f"w{i}", self.shape, self.how.rank, self.seed + 1000 + i, wide) for i in range(96)
            ]
        else:
            wide, folders = torch.bfloat16, self.folders[:96]
        config = replace(self.config, slots=(Slots(self.how.rank, 72, wide),), look_ahead=0)
        engine = Engine(self.model, self.folder / "packs", config)
        known = [engine.register(folder) for folder in folders]
        engine.flush()
        resident, cold = [a.id for a in known[:64]], [a.id for a in known[64:]]
        each: list[float] = []
        if self.how.host_bytes:
            # Through every slot once, so that what is timed starts in host memory.
            for adapter in cold + resident:
                warm(engine, [adapter])
        for adapter in cold + resident if self.how.host_bytes else resident + cold:
            before = engine.counters()
            engine.pin(adapter)
            while engine.residency().loading:
                time.sleep(0.0005)  # a loop that asks without a pause would keep the loader from running
            assert engine.counters().loads == before.loads + 1
            engine.unpin(adapter)
            each.append(engine.counters().load_seconds - before.load_seconds)
        self.figures["cold_load_ms"] = statistics.median(each) * 1e3
        self.rows.append(
            {"what": "cold load", "bytes": known[0].bytes, "median_ms": statistics.median(each) * 1e3,
             "p99_ms": sorted(each)[int(len(each) * 0.99)] * 1e3}
        )  # fmt: skip
        warm(engine, resident)
        windows: dict[bool, list[float]] = {True: [], False: []}
        for i in range(64):
            engine.submit(Request(prompt(PROMPT, i, self.vocabulary), resident[i], max_tokens=400))
        while engine.counters().generated_tokens < 64:
            engine.step()
        turn = 0
        for step in range(192 if self.quick else 384):
            loading = bool(step // 12 % 2)
            if loading and step % 2 == 0:
                engine.unpin(cold[turn % len(cold)])
                turn += 1
                engine.pin(cold[turn % len(cold)])
            with timed(windows[loading]):
                engine.step()
        p99 = {loading: sorted(times)[int(len(times) * 0.99)] for loading, times in windows.items()}
        self.figures["stall_p99_increase"] = p99[True] / p99[False] - 1
        for loading, times in windows.items():
            what = "steps of 64 rows, a cold load at every second" if loading else "steps of 64 rows, no loads"
            self.rows.append(
                {
                    "what": what,
                    "steps": len(times),
                    "p50_ms": statistics.median(times) * 1e3,
                    "p99_ms": p99[loading] * 1e3,
                }
            )
        engine.close()

    def ten_thousand(self) -> None:
        """Registered at once, each with its own content; the published files are deleted as they are read."""
        engine = Engine(self.model, self.folder / "packs", self.config)
        tensors = (self.folders[0] / "adapter_model.safetensors").read_bytes()
        config = (self.folders[0] / "adapter_config.json").read_bytes()
        spent, folder = 0.0, self.folder / "many"
        folder.mkdir()
        (folder / "adapter_config.json").write_bytes(config)
        for i in range(10_000):
            # The last numbers of the file make the content another one.
            (folder / "adapter_model.safetensors").write_bytes(tensors[:-4] + (i + 1).to_bytes(2, "little") * 2)
            begun = time.perf_counter()
            engine.register(folder)
            spent += time.perf_counter() - begun
        self.figures["register_10000_s"] = spent
        self.figures["registered"] = engine.residency().registered
        engine.close()

    def bandwidth(self) -> None:
        """What a step of 64 adapters must read, over its time, over what one long sum reads per second."""
        count = (64 if self.how.device == "cpu" else 1024) << 20
        memory = torch.zeros(count, device=self.how.device)
        times: list[float] = []
        for _ in range(5):
            with timed(times):
                memory.sum().item()
        per_second = count * 4 / min(times)
        step = next(r for r in self.rows if r.get("rows") == 64 and r["system"] == "engine")["step_ms"] / 1e3
        weights = sum(p.numel() * p.element_size() for p in self.model.parameters())
        weights -= self.model.model.embed_tokens.weight.nbytes
        memory_of_rows = 2 * self.shape.layers * self.shape.kv_heads * self.shape.head_dim * self.how.dtype.itemsize
        read = weights + 64 * self.adapter_bytes + 64 * (PROMPT + self.how.steps // 2) * memory_of_rows
        self.figures["roofline_64"] = read / per_second / step
        self.rows.append({"what": "memory bandwidth", "gb_per_s": per_second / 1e9, "step_64_reads_mb": read / 1e6})


def versions() -> dict[str, str]:
    found = {name: version(name) for name in ("torch", "transformers", "peft", "safetensors")}
    return found | ({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})


def figure_cells(figures: dict[str, float], device: str) -> list[list[str]]:
    cells = []
    for name, value in figures.items():
        target = TARGETS[device].get(name)
        met = target is None or (value <= target if name in AT_MOST else value >= target)
        wanted = "" if target is None else f"{'≤' if name in AT_MOST else '≥'} {target:g}"
        cells.append([name, f"{value:.3f}", wanted, "" if target is None else "yes" if met else "NO"])
    return cells


def row_cells(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            f"{row['rows']} rows, {row['adapters']} adapters: {row['system']}", f"{row['step_ms']:.2f}",
            f"{row['tokens_per_s']:,.0f}", f"{row['fraction_of_base']:.3f}",
            f"{row['fraction_of_transformers']:.2f}" if row["fraction_of_transformers"] else "",
            f"{row['lowest']:.3f} to {row['highest']:.3f}",
        ]
        for row in rows
        if row["what"] == "decode"
    ]  # fmt: skip


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What adapters cost, beside the base and PEFT.")
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds, no 10,000 adapters, others at 8 and 64 rows only"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of weights, adapters and prompts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    how = setting(options.quick)
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        begun = time.perf_counter()
        bench = Bench(how, Path(folder), options.seed, options.quick)
        stages = [bench.register, bench.decoding, bench.prompts, bench.tokens, bench.bandwidth, bench.loads]
        if not options.quick and how.device == "cpu":
            stages.append(bench.ten_thousand)
        for stage in stages:
            print(f"{time.perf_counter() - begun:.0f} s: {stage.__name__}", file=sys.stderr)
            stage()
        print(f"{time.perf_counter() - begun:.0f} s: done", file=sys.stderr)
        bench.engine.close()
    given = {"--quick": options.quick, "--seed": None if options.seed == SEED else options.seed, "--json": options.json}
    report = Report(
        name="serving",
        command=command_line("scripts/bench/serving.py", given),
        versions=versions(),
        seed=options.seed,
        quick=options.quick,
        figures=bench.figures,
        rows=bench.rows,
    )
    head = ("decode", "step ms", "tokens/s", "of base", "of transformers", "over the rounds")
    print(text_table(head, row_cells(bench.rows)))
    print()
    print(text_table(("figure", "value", "target", "met"), figure_cells(bench.figures, how.device)))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(report.as_json(), encoding="utf-8")


if __name__ == "__main__":
    main()

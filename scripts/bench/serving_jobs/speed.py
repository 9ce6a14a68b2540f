"""Tokens as they are made: decoding and reading prompts beside the base and PEFT, equality with PEFT, the roofline."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from oracle.serving.config import Kernels, Slots
from oracle.serving.engine import Engine
from oracle.serving.types import Request
from serving_jobs.ground import Ground
from serving_jobs.measure import (
    PROMPT,
    decode,
    decode_continuous,
    decode_plain,
    interleaved,
    prompt,
    ratio,
    read_prompts,
    timed,
    warm,
)  # fmt: skip
from serving_jobs.models import mixed_peft, sharing

_WITHOUT = ("base", "transformers", "transformers, continuous")  # adapters
CASES = ((8, 8), (64, 64), (256, 256), (256, 32))


def decoding(ground: Ground) -> None:
    warm(ground.engine, ground.adapters)
    if ground.how.device != "cpu":
        # Two engines' slots and memory, and PEFT's adapters, are more than one GPU holds.
        for rows, distinct in CASES:
            _decode_rows(ground, None, rows, distinct)
        return
    gathered = Engine(ground.model, ground.folder / "packs", replace(ground.config, kernels=Kernels.BADDBMM))
    for folder in ground.folders:
        gathered.register(folder)
    warm(gathered, ground.adapters)
    for rows, distinct in CASES:
        _decode_rows(ground, gathered, rows, distinct)
    gathered.close()


def _decode_rows(ground: Ground, gathered: Engine | None, rows: int, distinct: int) -> None:
    name = f"{rows}" if rows == distinct else f"{rows}_over_{distinct}"
    used, steps = ground.adapters[:distinct], ground.how.steps
    own: dict[str, Callable[[], float]] = {
        "base": lambda: decode(ground.engine, rows, [None], ground.vocabulary, steps),
        "engine": lambda: decode(ground.engine, rows, used, ground.vocabulary, steps),
    }
    found = interleaved(ground.how.rounds[rows], own)
    ground.figures[f"decode_fraction_{name}"] = ratio(found["base"], found["engine"])
    for system, times in found.items():
        ground.rows.append(_row(system, rows, distinct, times, found["base"]))
    if rows == distinct:
        _beside_others(ground, gathered, rows, own)


def _beside_others(ground: Ground, gathered: Engine | None, rows: int, own: dict[str, Callable[[], float]]) -> None:
    """The same by other systems, in turn with this one: fewer rounds, for they are slow."""
    steps = ground.how.steps
    jobs: dict[str, Callable[[], float]] = {}
    if not (ground.quick and rows == 256):
        jobs["transformers"] = lambda: decode_plain(ground.model, rows, ground.vocabulary, steps)
        batching = sharing(ground.model)  # it changes how its model attends
        jobs["transformers, continuous"] = lambda: decode_continuous(batching, rows, ground.vocabulary, steps)
        if gathered is not None and rows < 256:
            used = ground.adapters[:rows]
            jobs["gather and baddbmm"] = lambda: decode(gathered, rows, used, ground.vocabulary, steps)
    if rows <= ground.how.most_in_peft:
        names = [str(i) for i in range(rows)]
        peft = mixed_peft(sharing(ground.model), ground.folders[:rows])
        jobs["peft mixed batch"] = lambda: decode_plain(peft, rows, ground.vocabulary, steps, names)
    if not jobs:
        return
    found = interleaved(ground.how.seldom, own | jobs)
    plain = found["transformers"]
    ground.figures[f"base_over_transformers_{rows}"] = ratio(plain, found["base"])
    for system in jobs:
        ground.rows.append(_row(system, rows, rows, found[system], found["base"]))
    for row in ground.rows:
        if row["what"] == "decode" and row["rows"] == rows:
            row["fraction_of_transformers"] = ratio(plain, found[row["system"]])


def _row(system: str, rows: int, distinct: int, times: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    fractions = [one / other for one, other in zip(base, times, strict=True)]
    return {
        "what": "decode", "rows": rows, "adapters": 0 if system in _WITHOUT else distinct, "system": system,
        "step_ms": statistics.median(times) * 1e3, "tokens_per_s": rows / statistics.median(times),
        "rounds": len(times), "fraction_of_base": statistics.median(fractions), "lowest": min(fractions),
        "highest": max(fractions), "fraction_of_transformers": None,
    }  # fmt: skip


def prompts(ground: Ground) -> None:
    jobs = {
        "base": lambda: read_prompts(ground.engine, [None], ground.vocabulary),
        "engine": lambda: read_prompts(ground.engine, ground.adapters[:8], ground.vocabulary),
    }
    found = interleaved(ground.how.rounds[64], jobs)
    ground.figures["prefill_fraction"] = ratio(found["base"], found["engine"])
    for system, times in found.items():
        ground.rows.append({"what": "read 8 prompts of 256", "system": system, "seconds": statistics.median(times)})


def tokens(ground: Ground) -> None:
    """Mixed in one batch here, one by one in PEFT: ranks 8 to 64, all modules and some."""
    count, ranks = (4, (8, 16)) if ground.quick else (16, (8, 16, 32, 64))
    slots = tuple(Slots(rank, count) for rank in ranks)
    engine = Engine(ground.model, ground.folder / "packs", replace(ground.config, slots=slots))
    asked, truth = {}, {}
    for i in range(count):
        rank = ranks[i % len(ranks)]
        folder = ground.folder / f"t{i}"
        modules = list(ground.shape.modules) if i % 3 else ["q_proj", "v_proj"]
        torch.manual_seed(ground.seed + i)
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=modules)
        peft = get_peft_model(sharing(ground.model), lora).eval()
        for name, parameter in peft.named_parameters():
            if "lora_" in name:
                noise = torch.randn(parameter.shape) * parameter.shape[1] ** -0.5
                parameter.data = noise.bfloat16().to(parameter.device, parameter.dtype)
        peft.save_pretrained(folder)
        given = prompt(PROMPT, ground.seed + i, ground.vocabulary)
        ids = torch.tensor([given], device=ground.how.device)
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
    ground.figures["tokens_equal_peft"] = equal / (64 * count)
    ground.rows.append({"what": "tokens equal to PEFT's", "adapters": count, "tokens": 64 * count, "equal": equal})
    engine.close()


def bandwidth(ground: Ground) -> None:
    """What a step of 64 adapters must read, over its time, over what one long sum reads per second."""
    count = (64 if ground.how.device == "cpu" else 1024) << 20
    memory = torch.zeros(count, device=ground.how.device)
    times: list[float] = []
    for _ in range(5):
        with timed(times):
            memory.sum().item()
    per_second = count * 4 / min(times)
    step = next(r for r in ground.rows if r.get("rows") == 64 and r["system"] == "engine")["step_ms"] / 1e3
    weights = sum(p.numel() * p.element_size() for p in ground.model.parameters())
    weights -= ground.model.model.embed_tokens.weight.nbytes
    memory_of_rows = 2 * ground.shape.layers * ground.shape.kv_heads * ground.shape.head_dim * ground.how.dtype.itemsize
    read = weights + 64 * ground.adapter_bytes + 64 * (PROMPT + ground.how.steps // 2) * memory_of_rows
    ground.figures["roofline_64"] = read / per_second / step
    ground.rows.append({"what": "memory bandwidth", "gb_per_s": per_second / 1e9, "step_64_reads_mb": read / 1e6})

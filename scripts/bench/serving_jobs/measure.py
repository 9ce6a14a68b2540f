"""How one system is timed: steps in which all rows decode, prompts that are read, rounds in turn."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from oracle.serving.engine import Engine
from oracle.serving.types import AdapterId, Request, Token

PROMPT = 64
_PAGE = 32


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


def decode_continuous(model: Any, rows: int, vocabulary: int, count: int) -> float:
    """The same with transformers' continuous batching, by its own clock, with just the memory that these rows need."""
    pages = -(-(PROMPT + count + 1) // _PAGE)
    config = ContinuousBatchingConfig(
        page_size=_PAGE, num_blocks=rows * pages, max_batch_tokens=rows * PROMPT, allow_block_sharing=False
    )
    greedy = GenerationConfig(max_new_tokens=count + 1, do_sample=False, eos_token_id=-1, pad_token_id=0)
    asked = [list(prompt(PROMPT, i, vocabulary)) for i in range(rows)]
    made = model.generate_batch(asked, greedy, config, record_timestamps=True)
    assert [len(each.generated_tokens) for each in made.values()] == [count + 1] * rows
    said = next(iter(made.values())).timestamps
    return lower_quartile([after - before for before, after in pairwise(said)])


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

"""The same request gives the same numbers, bit for bit, whatever else is in the batch: on a CPU in float32, exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.needed import missing
from fixtures.serving import CONFIG, KERNELS, Published, llama, prompt, register, run
from oracle.serving.config import Kernels
from oracle.serving.engine import Engine
from oracle.serving.kernels.compile import library
from oracle.serving.types import Event, Generated, Request, Sampling

NAMES = (None, "r8", "r8-too", "r16-attention", "r32-mlp", "r64", "r4-float32", "patterns")


@pytest.fixture(scope="module")
def engines(
    base: torch.nn.Module, adapters: dict[str, Published], tmp_path_factory: pytest.TempPathFactory
) -> dict[Kernels, tuple[Engine, dict[str | None, str]]]:
    found = {}
    for kernels in KERNELS:
        if kernels is Kernels.NATIVE and library() is None:
            continue
        config = replace(CONFIG, kernels=kernels, rows=24, memory_tokens=4096)
        engine = Engine(base, tmp_path_factory.mktemp("packs"), config)
        known = register(engine, adapters)
        found[kernels] = (engine, {None: None} | {name: adapter.id for name, adapter in known.items()})
    return found


DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")))


@pytest.mark.parametrize("device", DEVICES)
def test_tokens__of_the_same_batch_twice__then_they_are_the_same_on_any_device(
    adapters: dict[str, Published], tmp_path: Path, device: str
) -> None:
    """All that holds on a GPU: another batch may round otherwise there."""
    runs = []
    for turn in ("one", "two"):
        engine = Engine(llama().to(device), tmp_path / turn, replace(CONFIG, rows=24, memory_tokens=4096))
        known = register(engine, adapters)
        asked = [
            engine.submit(Request(prompt(7 * i + 3, i), known[name].id, 8, Sampling(i % 2 * 0.8, 20, 0.9, i)))
            for i, name in enumerate(adapters)
        ]
        events = run(engine, *asked)
        runs.append([said(events[each]) for each in asked])
        engine.close()
    assert runs[0] == runs[1]
    assert all(len(tokens) == 8 for tokens in runs[0])


requests = st.builds(
    lambda name, length, seed, tokens, temperature: (
        name,
        Request(prompt(length, seed), None, tokens, Sampling(temperature, 20, 0.9, seed), logprobs=2),
    ),
    st.sampled_from(NAMES),
    st.integers(1, 60),
    st.integers(0, 5),
    st.integers(1, 10),
    st.sampled_from((0.0, 0.8)),
)


def said(events: list[Event]) -> list[tuple[object, ...]]:
    return [(event.token, event.logprob, event.top) for event in events if isinstance(event, Generated)]


@pytest.mark.parametrize("kernels", KERNELS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(watched=requests, others=st.lists(st.tuples(st.integers(0, 6), requests), max_size=20))
def test_tokens_and_logprobs__whatever_joins_and_leaves__then_they_are_the_same_bit_for_bit(
    engines: dict[Kernels, tuple[Engine, dict[str | None, str]]], kernels: Kernels, watched: tuple, others: list
) -> None:
    if kernels not in engines:
        missing("no C++ compiler here", "apt-get install g++")
    engine, known = engines[kernels]

    def asked(pair: tuple[str | None, Request]) -> Request:
        return replace(pair[1], adapter=known[pair[0]])

    one = engine.submit(asked(watched))
    alone = said(run(engine, one)[one])
    events: list[Event] = []
    two = None
    for step in range(7):
        for at, other in others:
            if at == step:
                engine.submit(asked(other))
        if step == 2:
            two = engine.submit(asked(watched))
        events += engine.step()
    assert two is not None
    events += run(engine, two)[two]
    assert said([event for event in events if event.request == two]) == alone

"""The engine as its users see it: tokens equal to PEFT's, streams, cancelling, residency, counters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fixtures.needed import missing
from fixtures.serving import CONFIG, KERNELS, Published, answer, expected, llama, prompt, register, run, tokens
from oracle.serving.config import EngineConfig, Kernels, Slots
from oracle.serving.engine import Engine
from oracle.serving.errors import BadRequest
from oracle.serving.kernels.compile import library
from oracle.serving.types import Finish, Finished, Generated, Request, Sampling, Token


@pytest.mark.parametrize("kernels", KERNELS)
def test_step__on_a_batch_of_every_rank_and_module__then_all_tokens_are_pefts(
    base: torch.nn.Module, adapters: dict[str, Published], tmp_path: Path, kernels: Kernels
) -> None:
    if kernels is Kernels.NATIVE and library() is None:
        missing("no C++ compiler here", "apt-get install g++")
    engine = Engine(base, tmp_path, replace(CONFIG, kernels=kernels))
    known = register(engine, adapters)
    asked = {}
    # Prompts shorter than a piece, of exactly one, and of several; requests join while others run.
    for i, name in enumerate([*adapters, None, "r8", None, "r64"]):
        given = prompt((5, 16, 40)[i % 3], seed=i)
        request = Request(given, known[name].id if name else None, max_tokens=12)
        asked[engine.submit(request)] = (name, given)
        engine.step()
    # What the first steps said was read above; ask again for the whole of it.
    again = {}
    for _, (name, given) in list(asked.items()):
        again[engine.submit(Request(given, known[name].id if name else None, max_tokens=12))] = (name, given)
    events = run(engine, *again)
    models = {name: published.peft() for name, published in adapters.items()} | {None: base}
    for each, (name, given) in again.items():
        assert tokens(events[each]) == expected(models[name], given, 12), name


def test_step__for_a_model_with_biases_and_grouped_heads__then_all_tokens_are_transformers(tmp_path: Path) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(1)
    sizes = {"vocab_size": 97, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 1, "max_position_embeddings": 128}
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, **heads, tie_word_embeddings=True, initializer_range=0.2)).eval()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    engine = Engine(model, tmp_path, CONFIG)
    assert answer(engine, Request(prompt(20), max_tokens=16)) == expected(model, prompt(20), 16)


def test_step__when_rotary_positions_are_scaled__then_all_tokens_are_transformers(tmp_path: Path) -> None:
    scaling = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    model = llama(rope_parameters=scaling)
    engine = Engine(model, tmp_path, CONFIG)
    assert answer(engine, Request(prompt(70), max_tokens=16)) == expected(model, prompt(70), 16)


def test_step__when_widths_are_odd__then_the_plain_kernels_serve(tmp_path: Path) -> None:
    model = llama(intermediate_size=100)
    engine = Engine(model, tmp_path, CONFIG)
    assert engine.kernels is Kernels.BADDBMM
    assert answer(engine, Request(prompt(20), max_tokens=8)) == expected(model, prompt(20), 8)


def test_register__of_float32_weights__then_their_bucket_keeps_them_exactly(
    engine: Engine, adapters: dict[str, Published]
) -> None:
    found = engine.register(adapters["r4-float32"].folder)
    assert (found.bucket, found.rounded, found.rank) == ("r8-float32", False, 4)
    assert engine.register(adapters["r8"].folder).bucket == "r8-bfloat16"


def test_register__when_rounding_is_allowed_and_needed__then_the_record_says_so(
    base: torch.nn.Module, adapters: dict[str, Published], tmp_path: Path
) -> None:
    engine = Engine(base, tmp_path, replace(CONFIG, slots=(Slots(8, 1),), rounding=True))
    assert engine.register(adapters["r4-float32"].folder).rounded


def test_register__twice_and_after_a_restart__then_the_name_and_the_packed_file_are_the_same(
    base: torch.nn.Module, adapters: dict[str, Published], tmp_path: Path
) -> None:
    engine = Engine(base, tmp_path, CONFIG)
    first = engine.register(adapters["r8"].folder)
    engine.close()
    packed = [(file, file.stat().st_mtime_ns) for file in tmp_path.rglob("*.pack")]
    second = Engine(base, tmp_path, CONFIG).register(adapters["r8"].folder)
    assert first == second
    assert [(file, file.stat().st_mtime_ns) for file in tmp_path.rglob("*.pack")] == packed


def test_flush__after_registering__then_every_packed_file_is_on_the_disk_and_another_engine_finds_it(
    base: torch.nn.Module, adapters: dict[str, Published], tmp_path: Path
) -> None:
    engine = Engine(base, tmp_path, CONFIG)
    known = register(engine, adapters)
    engine.flush()
    packed = {file.name.partition(".")[0]: file.stat().st_mtime_ns for file in tmp_path.rglob("*.pack")}
    assert set(packed) == {adapter.id for adapter in known.values()}
    assert not list(tmp_path.rglob("*.unfinished"))
    other = Engine(base, tmp_path, CONFIG)
    register(other, adapters)
    other.flush()
    assert {file.name.partition(".")[0]: file.stat().st_mtime_ns for file in tmp_path.rglob("*.pack")} == packed
    engine.close()
    other.close()


def test_stream__beside_another__then_each_reader_gets_its_own_tokens(
    engine: Engine, adapters: dict[str, Published]
) -> None:
    known = register(engine, adapters)
    requests = [Request(prompt(9, seed=i), known[name].id, max_tokens=6) for i, name in enumerate(("r8", "r64"))]
    streams = [engine.stream(request) for request in requests]
    seen: list[list[int]] = [[], []]
    for _ in range(7):
        for stream, mine in zip(streams, seen):
            event = next(stream)
            if isinstance(event, Generated):
                mine.append(event.token)
    assert [tuple(mine) for mine in seen] == [answer(engine, request) for request in requests]


def test_stream__when_its_reader_leaves__then_the_request_is_cancelled(engine: Engine) -> None:
    stream = engine.stream(Request(prompt(9), max_tokens=50))
    next(stream)
    assert engine.counters().running == 1
    stream.close()
    assert engine.counters().running == 0


def test_cancel__of_a_running_and_a_waiting_request__then_both_end_and_the_others_go_on(
    base: torch.nn.Module, tmp_path: Path
) -> None:
    engine = Engine(base, tmp_path, replace(CONFIG, rows=2, newcomer_rows=0))
    ids = [engine.submit(Request(prompt(9, seed=i), max_tokens=20)) for i in range(3)]
    engine.step()
    assert engine.cancel(ids[0])
    assert engine.cancel(ids[2])
    assert not engine.cancel(ids[2])
    events = run(engine, *ids)
    assert [events[i][-1] for i in (ids[0], ids[2])] == [Finished(i, Finish.CANCELLED) for i in (ids[0], ids[2])]
    # Its first token came with the first step.
    assert len(events[ids[1]]) == 20
    assert not engine.cancel(ids[1])


def test_stop__when_the_answer_ends_in_a_stop_sequence__then_it_ends_there(engine: Engine) -> None:
    whole = answer(engine, Request(prompt(9), max_tokens=20))
    stop = (Token(whole[4]), Token(whole[5]))
    asked = engine.submit(Request(prompt(9), max_tokens=20, stop=((Token(96),) * 3, stop)))
    events = run(engine, asked)[asked]
    first = next(i for i in range(20) if whole[i : i + 2] == stop)
    assert tokens(events) == whole[: first + 2]
    assert events[-1] == Finished(asked, Finish.STOP)


def test_logprobs__when_asked_for__then_they_are_the_models_and_the_best_comes_first(
    engine: Engine, base: torch.nn.Module
) -> None:
    asked = engine.submit(Request(prompt(9), max_tokens=1, logprobs=3))
    event = run(engine, asked)[asked][0]
    assert isinstance(event, Generated)
    with torch.inference_mode():
        truth = base(torch.tensor([prompt(9)])).logits[0, -1].log_softmax(0)
    assert event.logprob == pytest.approx(truth.max().item(), abs=1e-4)
    assert [token for token, _ in event.top] == truth.topk(3).indices.tolist()
    assert [p for _, p in event.top] == pytest.approx(truth.topk(3).values.tolist(), abs=1e-4)


def test_residency_and_counters__after_some_use__then_they_tell_what_happened(
    base: torch.nn.Module, adapters: dict[str, Published], tmp_path: Path
) -> None:
    engine = Engine(base, tmp_path, replace(CONFIG, slots=(Slots(8, 1), Slots(64, 1)), host_bytes=1 << 20))
    known = {name: engine.register(adapters[name].folder) for name in ("r8", "r8-too", "r64")}
    for name in ("r8", "r8", "r8-too", "r8", "r64"):
        answer(engine, Request(prompt(5), known[name].id, max_tokens=2))
    residency, counters = engine.residency(), engine.counters()
    assert residency.slots == {"r8-bfloat16": (known["r8"].id,), "r64-bfloat16": (known["r64"].id,)}
    assert set(residency.host) == {adapter.id for adapter in known.values()}
    assert residency.registered == 3
    assert (counters.loads, counters.evictions, counters.slot_hits, counters.slot_misses) == (4, 2, 1, 4)
    assert (counters.host_hits, counters.host_misses) == (1, 3)
    assert counters.bytes_loaded == 3 * known["r8"].bytes + known["r64"].bytes
    assert (counters.submitted, counters.finished, counters.generated_tokens, counters.prompt_tokens) == (5, 5, 10, 25)


def test_load__in_the_background__then_others_step_on_and_the_tokens_are_the_same(
    base: torch.nn.Module, adapters: dict[str, Published], tmp_path: Path
) -> None:
    quiet = Engine(base, tmp_path / "a", CONFIG)
    busy = Engine(base, tmp_path / "b", replace(CONFIG, load_in_background=True))
    request = Request(prompt(9), quiet.register(adapters["r64"].folder).id, max_tokens=6)
    busy.register(adapters["r64"].folder)
    busy.submit(Request(prompt(5), max_tokens=30))
    assert answer(busy, request) == answer(quiet, request)
    busy.close()


def test_sampling__with_a_seed__then_the_tokens_repeat_and_another_seed_gives_others(engine: Engine) -> None:
    requests = [Request(prompt(9), max_tokens=12, sampling=Sampling(1.0, seed=seed)) for seed in (1, 1, 2)]
    first, again, other = [answer(engine, request) for request in requests]
    assert first == again != other


def test_config__when_its_numbers_make_no_sense__then_all_faults_are_named_together() -> None:
    with pytest.raises(BadRequest, match=r"rows = 0; look_ahead = -1; prompt_tokens = 1 is less .*; slots of rank 0"):
        EngineConfig(rows=0, look_ahead=-1, prompt_tokens=1, slots=(Slots(0, 1),))

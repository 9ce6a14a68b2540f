"""Admission: floods, memory, slots and ranks that are short. Nobody starves, nothing leaks."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.serving import CONFIG, SIZES, prompt
from oracle.serving.config import EngineConfig
from oracle.serving.kv import Blocks
from oracle.serving.layout import BaseShape
from oracle.serving.scheduler import Running, Scheduler, Waiting
from oracle.serving.tiers import NotYet, Slot
from oracle.serving.types import Adapter, AdapterId, Request, RequestId, Token

SHAPE = BaseShape(2, 64, 112, 4, 2, 16, SIZES["vocab_size"], 256)


class SlotsOnly:
    """Tiers without tensors: so many slots, filled at once, the idle one that was used first leaving first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.users: dict[AdapterId, int] = {}

    def acquire(self, adapter: AdapterId, bucket: str) -> Slot | NotYet:
        if adapter not in self.users:
            if len(self.users) == self.count:
                idle = next((a for a, users in self.users.items() if not users), None)
                if idle is None:
                    return NotYet.NO_SLOT
                del self.users[idle]
            self.users[adapter] = 0
        self.users[adapter] += 1
        return Slot(bucket, 1 + list(self.users).index(adapter))

    def release(self, adapter: AdapterId) -> None:
        self.users[adapter] -= 1
        assert self.users[adapter] >= 0

    def look_ahead(self, adapters: object) -> None:
        pass


def scheduler(config: EngineConfig, slots: int = 99, blocks: int = 64) -> Scheduler:
    return Scheduler(config, SHAPE, SlotsOnly(slots), Blocks(blocks))  # type: ignore[arg-type]


def waiting(number: int, name: str | None = None, rank: int = 8, length: int = 4, tokens: int = 4) -> Waiting:
    adapter = Adapter(AdapterId(name), rank, (), "r8", 0, False) if name else None
    return Waiting(RequestId(number), Request(prompt(length), adapter and adapter.id, tokens), adapter)


def finish_step(made: Scheduler) -> list[RequestId]:
    """What a forward pass would do: everybody planned gets on; who is done leaves."""
    done = []
    for running, row in made.plan():
        running.done += len(row.tokens)
        if running.done >= len(running.request.prompt):
            running.generated.append(Token(1))
        if len(running.generated) >= running.request.max_tokens:
            done.append(running.id)
    for each in done:
        made.remove(each)
    return done


def test_admit__when_a_flood_runs_and_waits__then_a_newcomer_starts_at_once() -> None:
    made = scheduler(replace(CONFIG, rows=4, newcomer_rows=1))
    for i in range(50):
        made.enqueue(waiting(i, "flood"))
    made.admit()
    assert len(made.running) == 4
    made.enqueue(waiting(99, "single"))
    made.admit()
    assert RequestId(99) in made.running


def test_admit__when_two_flood_and_no_row_is_kept__then_the_next_free_row_is_the_newcomers() -> None:
    made = scheduler(replace(CONFIG, rows=4, newcomer_rows=0))
    for i in range(50):
        made.enqueue(waiting(i, "flood"))
    made.admit()
    made.enqueue(waiting(99, "single"))
    while RequestId(99) not in made.running:
        assert len(made.running) == 4
        finish_step(made)
        made.admit()
    assert max(i for i in made.running if i != 99) < 8


def test_admit__when_a_large_request_waits_for_memory__then_small_ones_do_not_overtake_it() -> None:
    made = scheduler(replace(CONFIG, rows=8), blocks=4)
    made.enqueue(waiting(1, "a"))
    made.admit()
    made.enqueue(waiting(2, "b", length=60))
    made.admit()
    for i in range(3, 30):
        made.enqueue(waiting(i, "c"))
        made.admit()
    assert list(made.running) == [1]
    for _ in range(4):
        finish_step(made)
    made.admit()
    assert list(made.running) == [2]


def test_admit__when_no_slot_is_free__then_others_of_the_bucket_wait_behind_and_the_base_goes_on() -> None:
    made = scheduler(CONFIG, slots=1)
    for i, name in enumerate(("a", "b", "a", None)):
        made.enqueue(waiting(i, name))
    made.admit()
    assert set(made.running) == {0, 3} or set(made.running) == {0, 2, 3}
    for i in range(10, 30):
        made.enqueue(waiting(i, "a"))
    for _ in range(20):
        finish_step(made)
        made.admit()
        if RequestId(1) in made.running:
            return
    raise AssertionError("b starved")


def test_admit__when_ranks_are_budgeted__then_different_adapters_wait_and_the_same_one_does_not() -> None:
    made = scheduler(replace(CONFIG, rank_budget=16))
    for i, (name, rank) in enumerate((("a", 8), ("b", 16), ("a", 8), ("c", 8))):
        made.enqueue(waiting(i, name, rank))
    made.admit()
    assert {made.running[i].request.adapter for i in made.running} <= {"a", "c"}
    for _ in range(40):
        finish_step(made)
        made.admit()
    assert not made.running


def test_plan__when_prompts_are_long__then_they_are_cut_at_the_same_places_and_decoding_goes_on() -> None:
    made = scheduler(replace(CONFIG, piece=16, prompt_tokens=32))
    for i in range(3):
        made.enqueue(waiting(i, length=40, tokens=2))
    made.admit()
    pieces: dict[int, list[tuple[int, int]]] = {}
    for _ in range(20):
        planned = made.plan()
        assert sum(len(row.tokens) for _, row in planned if row.prompt) <= 32
        for running, row in planned:
            if row.prompt:
                pieces.setdefault(running.id, []).append((row.start, len(row.tokens)))
        finish_step(made)
    assert pieces == {i: [(0, 16), (16, 16), (32, 8)] for i in range(3)}


asks = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([None, *"abcd"]), st.integers(1, 40), st.integers(1, 6)), max_size=40
)


@settings(deadline=None)
@given(asks, st.integers(1, 4), st.integers(1, 3), st.sets(st.integers(0, 39)))
def test_scheduler__with_any_arrivals_and_cancellations__then_all_end_and_nothing_leaks(
    arrivals: list[tuple[int, str | None, int, int]], rows: int, slots: int, cancelled: set[int]
) -> None:
    config = replace(CONFIG, rows=rows, newcomer_rows=1, rank_budget=24)
    made = scheduler(config, slots=slots, blocks=8)
    ended: set[int] = set()
    for step in range(600):
        for i, (at, name, length, tokens) in enumerate(arrivals):
            if at == step:
                made.enqueue(waiting(i, name, {"a": 8, "b": 16, "c": 64}.get(name or "", 8), length, tokens))
            if i in cancelled and at + 2 == step and made.remove(RequestId(i)):
                ended.add(i)
        assert made.admit() == []
        assert len(made.running) <= rows + 1
        tables = [block for running in made.running.values() for block in running.table]
        assert len(tables) == len(set(tables)) == 8 - made.blocks.free
        ended |= set(finish_step(made))
        if len(ended) == len(arrivals):
            break
    assert ended == set(range(len(arrivals)))
    assert made.blocks.free == 8
    assert not any(made.tiers.users.values())  # type: ignore[attr-defined]
    assert not len(made.queue)


def test_running__when_its_prompt_is_in_memory__then_it_decodes() -> None:
    running = Running(RequestId(1), Request(prompt(4)), None, 0, [])
    assert running.in_prompt
    running.done = 4
    assert not running.in_prompt

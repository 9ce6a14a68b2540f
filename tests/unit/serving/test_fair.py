"""The fair queue alone: floods, bounds, order, and what is owed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from oracle.serving.fair import FairQueue


def served(queue: FairQueue[str, int], count: int) -> list[str]:
    found = []
    for _ in range(count):
        key, _ = next(queue.heads())
        queue.pop(key)
        found.append(key)
    return found


def test_heads__when_one_line_floods__then_a_single_request_waits_for_one_of_it_at_most() -> None:
    queue: FairQueue[str, int] = FairQueue(1000, 1000)
    for i in range(500):
        queue.push("flood", i, 1)
    served(queue, 100)
    queue.push("single", 0, 1)
    assert "single" in served(queue, 2)


def test_heads__when_costs_differ__then_work_is_shared_and_not_turns() -> None:
    queue: FairQueue[str, int] = FairQueue(1000, 1000)
    for i in range(300):
        queue.push("dear", i, 4)
        queue.push("cheap", i, 1)
    assert Counter(served(queue, 250)) == {"dear": 50, "cheap": 200}


def test_push__after_a_long_silence__then_no_credit_was_saved_up() -> None:
    queue: FairQueue[str, int] = FairQueue(1000, 1000)
    for i in range(200):
        queue.push("busy", i, 1)
    served(queue, 100)
    for i in range(50):
        queue.push("silent", i, 1)
    assert abs(Counter(served(queue, 40))["silent"] - 20) <= 1


def test_full__when_one_line_has_its_share__then_others_still_find_a_place() -> None:
    queue: FairQueue[str, int] = FairQueue(10, 4)
    for i in range(4):
        queue.push("flood", i, 1)
    assert queue.full("flood")
    assert not queue.full("single")


def test_remove__of_the_last_of_a_line__then_the_line_owes_nothing() -> None:
    queue: FairQueue[str, int] = FairQueue(10, 10)
    queue.push("a", 1, 100)
    assert queue.remove("a", 1)
    assert not queue.remove("a", 1)
    assert (len(queue), queue.cost) == (0, 0)
    queue.push("b", 1, 1)
    queue.push("a", 2, 1)
    assert served(queue, 2) == ["b", "a"]


def test_heads__when_what_was_given_is_popped_meanwhile__then_each_line_comes_back_in_its_turn() -> None:
    queue: FairQueue[str, int] = FairQueue(10, 10)
    for i in range(3):
        queue.push("a", i, 1)
        queue.push("b", i, 2)
    found = []
    for key, item in queue.heads():
        assert queue.pop(key) == item
        found.append(key)
    # Of equals, the line that came first.
    assert found == ["a", "b", "a", "a", "b", "b"]


arrivals = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 9)), min_size=1, max_size=60)


@given(arrivals)
def test_queue__with_any_arrivals__then_everybody_is_served_once_and_each_line_in_order(
    arrived: list[tuple[str, int]],
) -> None:
    queue: FairQueue[str, int] = FairQueue(100, 100)
    for i, (key, cost) in enumerate(arrived):
        queue.push(key, i, cost)
    taken: dict[str, list[int]] = {}
    while len(queue):
        key, item = next(queue.heads())
        assert queue.pop(key) == item
        taken.setdefault(key, []).append(item)
    for key, items in taken.items():
        assert items == [i for i, (k, _) in enumerate(arrived) if k == key]
    assert queue.cost == 0


@given(arrivals)
def test_queue__while_two_lines_wait__then_what_they_got_differs_by_one_request_at_most(
    arrived: list[tuple[str, int]],
) -> None:
    queue: FairQueue[str, int] = FairQueue(100, 100)
    for i, (key, cost) in enumerate(arrived):
        queue.push(key, i, cost)
    got: Counter[str] = Counter()
    most = max(cost for _, cost in arrived)
    while len(queue):
        waiting = [key for key, _ in queue.heads()]
        assert max(got[a] - got[b] for a in waiting for b in waiting) <= most
        key, item = next(queue.heads())
        queue.pop(key)
        got[key] += arrived[item][1]

"""What the recorder sums is what autograd says, row by row, and nothing about batches, padding or order changes it."""

from __future__ import annotations

import gc
import random
import weakref
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.attribution import digest, index_of, model, plan, recorded, rows
from oracle.attribution import queries
from oracle.attribution.errors import NotFinite, NothingRecorded, QueryTooLong, UnknownContributor, WrongAdapter
from oracle.attribution.index import Index, write_index
from oracle.attribution.layers import Matrix, lora_matrices, watched
from oracle.attribution.queries import answer_losses, gradients
from oracle.attribution.recorder import Recorder
from oracle.attribution.records import Plan, Query, Window, plan_for
from oracle.attribution.scoring import score

STILL = 0.0  # a rate at which the model does not move: every batching sees the same weights


def warmed() -> object:
    """B is zero in a fresh adapter, and then A has no gradient."""
    taught = model()
    torch.manual_seed(5)
    for matrix in lora_matrices(taught):
        torch.nn.init.normal_(matrix.module.weight, std=0.3)  # type: ignore[arg-type]
    return taught


def nothing(matrix: Matrix, gradients: torch.Tensor) -> None:
    pass


def close(found: torch.Tensor, wanted: torch.Tensor, share: float = 1e-3) -> None:
    assert (found - wanted).norm() <= share * wanted.norm()


def values(folder: Path, taught: object, record: object, asked: list[Query], **options: int) -> torch.Tensor:
    index = index_of(folder, taught, record)  # type: ignore[arg-type]
    return torch.tensor(score(taught, index, asked, **options).values)  # type: ignore[arg-type]


def test_gradients__of_a_padded_batch__then_they_are_those_of_each_row_alone() -> None:
    taught = warmed()
    matrices = lora_matrices(taught)
    said = rows(5)
    found = gradients(taught, matrices, said)
    for i, row in enumerate(said):
        weights = [matrix.module.weight for matrix in matrices]
        wanted = torch.autograd.grad(answer_losses(taught, [row]).sum(), weights)
        for matrix, value in zip(matrices, wanted):
            kept = value if matrix.rows <= matrix.columns else value.T
            torch.testing.assert_close(found[matrix.name][i], kept, rtol=1e-3, atol=1e-6)


def test_losses__of_prompts__then_the_vocabulary_is_asked_for_answers_alone_and_says_the_same() -> None:
    taught, seen = warmed(), []
    said = [Query(f"{i}", tuple(range(3, 13 + i)), 9 - i) for i in range(3)]
    head = taught.get_output_embeddings()
    head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[1]))
    found = answer_losses(taught, said)
    assert seen == [12 - 7 + 1], "from the place before the earliest answer's first token on"
    for row, loss in zip(said, found):
        logits = taught(input_ids=torch.tensor([row.tokens])).logits[0].log_softmax(-1)
        wanted = -sum(logits[at - 1, row.tokens[at]] for at in range(row.answer_from, len(row.tokens)))
        torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-5)


def test_losses__of_a_model_without_the_word__then_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    taught, said = warmed(), rows(5)
    found = answer_losses(taught, said)
    monkeypatch.setattr(queries, "_of_the_last", lambda model, count: {})
    torch.testing.assert_close(answer_losses(taught, said), found)


def test_watched__of_a_gradient_that_is_no_number_at_one_b__then_it_is_noticed() -> None:
    taught = warmed()
    matrices = lora_matrices(taught)
    layer = next(matrix.module for matrix in reversed(matrices) if "lora_B" in matrix.name)

    def spoil(_: object, __: object, output: torch.Tensor) -> None:
        output.register_hook(lambda gradient: gradient * float("nan"))

    handle = layer.register_forward_hook(spoil)
    with pytest.raises(NotFinite, match="NaN or infinite"), watched(matrices, nothing):
        answer_losses(taught, rows(2)).sum().backward()
    handle.remove()


@settings(max_examples=6, deadline=None)
@given(batch=st.sampled_from([1, 3, 4, 16]), seed=st.integers(0, 100))
def test_scores__whatever_the_batches_and_the_order__then_they_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, batch: int, seed: int
) -> None:
    taught, said, asked = warmed(), rows(), rows(3, seed=9)
    owners = [f"contributor-{i % 3}" for i in range(len(said))]
    order = random.Random(seed).sample(range(len(said)), len(said))
    plain = recorded(taught, said, owners, rate=STILL)
    other = recorded(taught, said, owners, rate=STILL, order=order, batch=batch)
    for one, two in zip(plain.checkpoints, other.checkpoints):
        for name in one.sums:
            close(two.sums[name], one.sums[name], 1e-4)
    # A sum that lies between two codes of int8 may be rounded to either: a step of one entry, in a model of a few.
    scores = [values(tmp_path_factory.mktemp("index"), taught, record, asked) for record in (plain, other)]
    close(scores[1], scores[0], 1e-2)


def test_scores__when_the_loss_was_scaled__then_the_divisor_undoes_it(tmp_path: Path) -> None:
    taught, said, asked = warmed(), rows(), rows(3, seed=9)
    owners = [f"contributor-{i % 3}" for i in range(len(said))]
    plain = values(tmp_path / "plain", taught, recorded(taught, said, owners, rate=STILL), asked)
    scaled = values(tmp_path / "scaled", taught, recorded(taught, said, owners, rate=STILL, times=7.0), asked)
    close(scaled, plain)


def test_scores__of_queries_in_one_batch_or_many__then_they_are_the_same(tmp_path: Path) -> None:
    taught, said, asked = model(), rows(), rows(6, seed=9)
    record = recorded(taught, said, ["a", "b"] * 8)
    together = values(tmp_path, taught, record, asked)
    alone = values(tmp_path, taught, record, asked, tokens_at_once=1)
    backwards = values(tmp_path, taught, record, asked[::-1]).flip(0)
    close(alone, together, 1e-5)
    close(backwards, together, 1e-5)


def test_scores__when_a_contributor_is_split__then_the_parts_add_up_and_others_keep_theirs(tmp_path: Path) -> None:
    taught, said, asked = warmed(), rows(), rows(3, seed=9)
    owners = [f"contributor-{i % 3}" for i in range(len(said))]
    split = [f"{owner}-{i % 2}" if owner == "contributor-0" else owner for i, owner in enumerate(owners)]
    whole = values(tmp_path / "whole", taught, recorded(taught, said, owners, rate=STILL), asked)
    parts = values(tmp_path / "parts", taught, recorded(taught, said, split, rate=STILL), asked)
    # int8 rounds every sum by itself; that is the only difference
    scale = whole.abs().max()
    assert (parts[:, :2].sum(1) - whole[:, 0]).abs().max() < 0.02 * scale
    close(parts[:, 2:], whole[:, 1:], 1e-5)


def test_scores__when_queries_were_rows__then_their_own_contributor_leads(tmp_path: Path) -> None:
    taught, said = model(), rows(12)
    owners = [f"contributor-{i:02}" for i in range(len(said))]
    found = values(tmp_path, taught, recorded(taught, said, owners, rate=0.5), said)
    assert (found.argmax(1) == torch.arange(12)).float().mean() >= 0.9


def test_recorder__after_a_run__then_the_model_has_no_hook_and_the_same_weights(tmp_path: Path) -> None:
    taught = model()
    record = recorded(taught, rows(), ["a"] * 16)
    before = digest(taught)
    values(tmp_path, taught, record, rows(2, seed=3))
    assert digest(taught) == before
    assert not any(matrix.module._forward_hooks for matrix in lora_matrices(taught))


def test_recorder__when_the_run_is_shorter_than_its_plan__then_it_says_so() -> None:
    recorder = Recorder(model(), plan(16), ["a"] * 16)
    with pytest.raises(NothingRecorded, match="2 of 2 windows"):
        recorder.finish()


def test_recorder__when_a_row_has_no_owner__then_it_is_named() -> None:
    recorder = Recorder(model(), plan(16), ["a"] * 16)
    with pytest.raises(UnknownContributor, match="row 16"), recorder.step(4, [16], 1.0):
        pass


def test_recorder__when_a_gradient_is_nan__then_it_stops() -> None:
    taught = warmed()
    recorder = Recorder(taught, plan(16), ["a"] * 16)
    with pytest.raises(NotFinite, match="NaN"), recorder.step(4, [0], 1.0):
        (answer_losses(taught, rows(1)).sum() * float("nan")).backward()


def test_recorder__when_nothing_was_differentiated__then_it_stops() -> None:
    taught = model()
    recorder = Recorder(taught, plan(16), ["a"] * 16)
    with pytest.raises(NotFinite, match="no gradient reached"), recorder.step(4, [0], 1.0):
        pass


def test_recorder__when_other_rows_pass_than_were_announced__then_it_stops() -> None:
    taught = model()
    recorder = Recorder(taught, plan(16), ["a"] * 16)
    with pytest.raises(NothingRecorded, match=r"2 rows .* 3 were announced"), recorder.step(4, [0, 1, 2], 1.0):
        answer_losses(taught, rows(2)).sum().backward()


def test_recorder__when_two_passes_are_announced_as_one__then_it_stops() -> None:
    taught = model()
    recorder = Recorder(taught, plan(16), ["a"] * 16)
    with pytest.raises(NothingRecorded, match="two passes reached"), recorder.step(4, [0, 1], 1.0):
        sum(answer_losses(taught, rows(2)).sum() for _ in range(2)).backward()


def out_of_memory(taught: object, times: int) -> None:
    """The next backward passes fail half-way, when the upper layers' rows are in the sums already."""
    layer = next(matrix.module for matrix in lora_matrices(taught) if "layers.0.mlp.up_proj.lora_A" in matrix.name)  # type: ignore[arg-type]
    left = [times]

    def fail(gradient: torch.Tensor) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise RuntimeError("out of memory")

    layer.register_forward_hook(lambda _, __, output: output.register_hook(fail) and None)


def test_recorder__when_a_pass_fails_and_its_rows_pass_again_in_halves__then_each_counts_once() -> None:
    said = rows(8)
    found = []
    for failing in (False, True):
        taught = warmed()
        recorder = Recorder(taught, Plan((Window(0, 1, 1.0),)), ["a", "b"] * 4)
        pieces = [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]] if failing else [[0, 1, 2, 3]]
        if failing:
            out_of_memory(taught, 1)
        for number, piece in enumerate(pieces):
            if number == 2:
                out_of_memory(taught, 1)
            try:
                with recorder.step(0, piece, 1.0):
                    answer_losses(taught, [said[i] for i in piece]).sum().backward()
            except RuntimeError:
                assert number in (0, 2)
        with recorder.step(1, range(8), 1.0):
            answer_losses(taught, said).sum().backward()
        found.append(recorder.finish().checkpoints[0])
    assert found[0].rows == found[1].rows == 12
    for name, sums in found[0].sums.items():
        close(found[1].sums[name], sums, 1e-4)


def test_recorder__when_rows_of_a_failed_pass_do_not_pass_again__then_it_says_so() -> None:
    taught, said = warmed(), rows(4)
    recorder = Recorder(taught, Plan((Window(0, 1, 1.0),)), ["a"] * 4)
    out_of_memory(taught, 1)
    with pytest.raises(RuntimeError, match="out of memory"), recorder.step(0, range(4), 1.0):
        answer_losses(taught, said).sum().backward()
    for goes_on in (recorder.finish, recorder.state, recorder.step(1, [0], 1.0).__enter__):
        with pytest.raises(NothingRecorded, match="a pass of step 0 failed and its rows did not pass again"):
            goes_on()


def test_recorder__of_a_second_backward_after_its_pass__then_it_does_not_count() -> None:
    taught, said = warmed(), rows(4)
    recorder = Recorder(taught, Plan((Window(0, 0, 1.0),)), ["a"] * 4)
    with recorder.step(0, range(4), 1.0):
        loss = answer_losses(taught, said).sum()
        loss.backward(retain_graph=True)
    before = recorder.state()
    loss.backward()
    for name, value in recorder.state().items():
        assert torch.equal(value, before[name])


def test_recorder__when_a_run_goes_on_that_was_begun_with_other_damping__then_it_is_refused() -> None:
    begun = Recorder(model(), plan(16), ["a"] * 16)
    other = Recorder(model(), plan(16, damping=0.5), ["a"] * 16)
    with pytest.raises(NothingRecorded, match="begun by another version"):
        other.resume(begun.state())
    with pytest.raises(NothingRecorded, match="begun by another version"):
        other.resume({})


def test_recorder__of_a_window_that_is_over__then_nothing_of_it_waits_for_the_collector() -> None:
    taught = warmed()
    recorder = Recorder(taught, Plan((Window(0, 0, 1.0), Window(1, 1, 1.0))), ["a"] * 2)
    with recorder.step(0, range(2), 1.0):
        answer_losses(taught, rows(2)).sum().backward()
    assert recorder._open is not None
    over = weakref.ref(recorder._open)
    gc.disable()  # it would hide a circle, and a circle keeps covariances until it comes by
    try:
        with recorder.step(1, range(2), 1.0):
            answer_losses(taught, rows(2)).sum().backward()
        assert over() is None
    finally:
        gc.enable()


def test_recorder__of_a_pass_that_is_differentiated_twice__then_no_graph_hangs_on_its_sums() -> None:
    taught = warmed()
    recorder = Recorder(taught, Plan((Window(0, 0, 1.0),)), ["a"] * 2)
    with recorder.step(0, range(2), 1.0):
        answer_losses(taught, rows(2)).sum().backward(create_graph=True)
    assert not any(sums.requires_grad for sums in recorder.finish().checkpoints[0].sums.values())


def test_recorder__of_a_pass_in_bfloat16__then_its_sums_are_taken_in_float32() -> None:
    taught, said = warmed(), rows(4)
    found = []
    for half in (False, True):
        recorder = Recorder(taught, Plan((Window(0, 0, 1.0),)), ["a"] * 4)
        with recorder.step(0, range(4), 1.0), torch.autocast("cpu", torch.bfloat16, enabled=half):
            answer_losses(taught, said).sum().backward()
        found.append(recorder.finish().checkpoints[0].sums)
    for name, sums in found[0].items():
        assert found[1][name].dtype == torch.float32
        close(found[1][name], sums, 0.2)  # the pass itself is that much rounder


def test_watched__of_matrices_that_are_all_tall__then_no_number_is_noticed_there() -> None:
    taught = warmed()
    tall = [matrix for matrix in lora_matrices(taught) if matrix.rows > matrix.columns]
    with watched(tall, nothing):
        answer_losses(taught, rows(2)).sum().backward()
    with pytest.raises(NotFinite, match="NaN or infinite"), watched(tall, nothing):
        (answer_losses(taught, rows(2)).sum() * float("nan")).backward()


def test_watched__when_the_pass_is_over__then_the_hooks_are_gone() -> None:
    taught = model()
    matrices = lora_matrices(taught)
    with pytest.raises(RuntimeError), watched(matrices, nothing):
        raise RuntimeError
    assert not any(matrix.module._forward_hooks for matrix in matrices)


def test_score__when_a_query_is_longer_than_the_context__then_it_is_named(tmp_path: Path) -> None:
    taught = model()
    index = index_of(tmp_path, taught, recorded(taught, rows(), ["a"] * 16))
    with pytest.raises(QueryTooLong, match="query long has 33 tokens"):
        score(taught, index, [Query("long", (1,) * 33, 3)])


def test_score__when_the_model_carries_another_adapter__then_it_is_refused(tmp_path: Path) -> None:
    taught = model()
    write_index(tmp_path, recorded(taught, rows(), ["a"] * 16), digest(taught))
    with pytest.raises(WrongAdapter, match="this index is of"):
        Index(tmp_path, "0" * 64)


def test_plan_for__of_eight_epochs__then_the_middle_weighs_most_and_every_row_passes_once() -> None:
    made = plan_for(208, 8, 4, 1)
    assert [window.last - window.first + 1 for window in made.windows] == [26] * 4
    weights = [window.weight for window in made.windows]
    assert max(weights) == max(weights[1:3])


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(8, [(26, 77), (130, 181)]), (3, [(0, 25), (52, 77)]), (2, [(0, 25), (26, 51)]), (1, [(0, 25)])],
)
def test_plan_for__of_any_epochs__then_windows_are_whole_epochs_and_do_not_meet(
    epochs: int, expected: list[tuple[int, int]]
) -> None:
    made = plan_for(26 * epochs, epochs)
    assert [(window.first, window.last) for window in made.windows] == expected
    assert all(window.weight > 0 for window in made.windows)

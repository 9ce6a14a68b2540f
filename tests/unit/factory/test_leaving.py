"""What moved the result: runs without one datanet."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.factory import exported, facts, recipe
from oracle.factory.base import embedded, open_base
from oracle.factory.errors import BadBase
from oracle.factory.estimate import estimate
from oracle.factory.leaving import leave_out
from oracle.factory.recipe import parse
from oracle.factory.rows import all_rows, read_snapshot, training_rows
from oracle.factory.sensible import recipe_over
from oracle.factory.training import train


@pytest.mark.slow
def test_leave_out__of_the_datanet_that_holds_the_facts__then_it_costs_most(tmp_path: Path) -> None:
    told = facts(4)
    prose = [each for each in facts(8, seed=5) if each.kind == "training-row"][:8]
    folders = (exported(tmp_path / "1", told), exported(tmp_path / "2", prose, datanet=2))
    made = recipe(*folders, rank=8, epochs=12, batch=4, sequence_length=64)
    rows = all_rows(read_snapshot(folder, number) for number, folder in enumerate(folders))
    whole = train(made, training_rows(rows), embedded(), tmp_path / "run")
    assert whole
    found = leave_out(
        made, rows, embedded(), tmp_path / "without", whole.adapter, "datanet", names=lambda n: f"net {n}"
    )
    assert [each.group for each in found] == ["net 0", "net 1"]
    assert found[0].loss.low > 0
    assert found[0].rows == 8


def test_estimate__of_a_run__then_counts_are_exact_and_time_is_measured(tmp_path: Path) -> None:
    folder = exported(tmp_path / "s", facts(4))
    made = recipe(folder, rank=4, epochs=3, batch=4, sequence_length=64)
    rows = training_rows(all_rows([read_snapshot(folder)]))
    found = estimate(made, rows, embedded())
    assert (found.rows, found.steps, found.cut, found.without_target) == (8, 6, 0, 0)
    assert found.seconds > 0
    opened = open_base(embedded())
    widths = [m for n, m in opened.model.named_modules() if n.rpartition(".")[2] in made.training.targets]
    assert found.trained == sum(4 * (m.in_features + m.out_features) for m in widths)


def test_recipe_over__of_rows__then_it_can_be_read_and_fits_them(tmp_path: Path) -> None:
    folder = exported(tmp_path / "s", facts(4))
    rows = all_rows([read_snapshot(folder)])
    found = parse(recipe_over(recipe(folder), rows, embedded()))
    assert (found.training.batch, found.training.length, found.gate.metric) == (4, 32, "exact_match")
    assert found.training.rate == 0.005


def test_base__that_is_not_there__then_says_what_to_do(tmp_path: Path) -> None:
    from oracle.factory.base import folder_of

    (tmp_path / "empty").mkdir()
    with pytest.raises(BadBase, match=r"no config\.json"):
        folder_of(str(tmp_path / "empty"))
    with pytest.raises(BadBase, match="no config"):
        folder_of("./nowhere")
    with pytest.raises(BadBase, match="needs a CUDA GPU"):
        open_base(embedded(), quantise="nf4")
    with pytest.raises(BadBase, match="no linear layer c_attn"):
        train(recipe(tmp_path, targets=["c_attn"]), _rows(tmp_path), embedded(), tmp_path / "run")


def _rows(tmp_path: Path) -> list:  # type: ignore[type-arg]
    return training_rows(all_rows([read_snapshot(exported(tmp_path / "s", facts(4)))]))

"""The scale: a covariance by signed sums that is right on average, and never depends on batches."""

from __future__ import annotations

import pytest
import torch

from oracle.attribution.errors import NotFinite, NothingRecorded
from oracle.attribution.scale import LongSide, drawn, signs_of

CPU = torch.device("cpu")


def rows(count: int, short: int = 8, long: int = 6) -> torch.Tensor:
    chance = torch.Generator().manual_seed(3)
    return torch.randn(count, short, long, generator=chance) @ torch.diag(torch.arange(1.0, long + 1))


def test_long_side__of_many_rows__then_the_covariance_is_that_of_all_their_lines() -> None:
    given = rows(4000)
    scale = LongSide(8, 6, CPU)
    scale.add(given, drawn(8, torch.arange(4000)))
    exact = torch.einsum("nsl,nsm->lm", given, given)
    assert torch.allclose(scale.covariance, exact, atol=0.05 * float(exact.diagonal().max()))


def test_long_side__whatever_the_batches__then_the_covariance_is_the_same() -> None:
    given, numbers = rows(40), torch.arange(40)
    whole, parts = LongSide(8, 6, CPU), LongSide(8, 6, CPU)
    whole.add(given, drawn(8, numbers))
    mixed = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    for some in mixed.split(7):
        parts.add(given[some], drawn(8, numbers[some]))
    assert torch.allclose(whole.covariance, parts.covariance, rtol=1e-4, atol=1e-2)


def test_scaled__of_sums__then_it_divides_by_the_damped_covariance() -> None:
    scale = LongSide(2, 6, CPU)  # two lines are added as they are
    given = rows(50, short=2)
    scale.add(given, drawn(2, torch.arange(50)))
    covariance = torch.einsum("nsl,nsm->lm", given, given) / 50
    damped = covariance + 0.1 * covariance.diagonal().mean() * torch.eye(6)
    once = 0.1 * 100 / 6  # a hundred lines were seen for six directions
    assert torch.allclose(scale.scaled(given[:3], once) @ damped, given[:3], atol=1e-3)
    factor = scale.factor(once)
    assert torch.allclose(factor @ factor.T, damped, rtol=1e-4, atol=1e-3)


def test_factor__of_fewer_lines__then_it_is_damped_more_and_never_by_nothing() -> None:
    added = []
    for count in (2, 20, 20_000):
        scale = LongSide(2, 6, CPU)
        scale.add(torch.ones(count, 2, 6), drawn(2, torch.arange(count)))  # one direction: the others are damping alone
        factor = scale.factor(0.02)
        added.append(float((factor @ factor.T - 2.0).diagonal().mean()) / 2.0)
    assert added == pytest.approx([0.02 * 6 / 4, 0.02 * 6 / 40, 1e-3], rel=1e-2)


def test_scale__without_rows_or_with_nan__then_it_refuses() -> None:
    scale = LongSide(8, 6, CPU)
    with pytest.raises(NothingRecorded):
        scale.factor(0.1)
    scale.add(torch.full((1, 8, 6), float("nan")), drawn(8, torch.tensor([0])))
    with pytest.raises(NotFinite):
        scale.factor(0.1)


def test_scaled__of_a_matrix_that_nothing_moved__then_it_gives_nothing() -> None:
    scale = LongSide(8, 6, CPU)
    scale.add(torch.zeros(4, 8, 6), drawn(8, torch.arange(4)))
    assert (scale.scaled(torch.zeros(2, 8, 6), 0.1) == 0).all()


def test_signs_of__any_rank__then_they_are_the_same_everywhere() -> None:
    assert signs_of(8)[0, 0].sign().tolist() == signs_of(8)[0, 0].sign().tolist()
    assert not torch.equal(signs_of(8)[0], signs_of(8)[1])
    assert torch.allclose((signs_of(8) ** 2).sum(1), torch.ones(1, 8))

"""The choice of a token from scores: distribution, cuts, seeds."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from oracle.serving.sampling import Draw, choose, sample, uniform
from oracle.serving.types import Sampling


def draws(scores: torch.Tensor, how: Sampling, count: int) -> Counter[int]:
    return Counter(sample(scores, Draw(how, position)) for position in range(count))


def test_uniform__then_it_is_the_same_for_ever() -> None:
    # A recorded answer must come out again years later: these numbers never change.
    assert (uniform(0, 0), uniform(7, 3)) == (0.1344413300859703, 0.5988420067362066)
    assert uniform(1, 2) == uniform(1, 2) != uniform(2, 1)
    assert all(0 <= uniform(3, position) < 1 for position in range(100))


def test_sample__many_times__then_the_frequencies_are_the_models() -> None:
    truth = torch.tensor([0.5, 0.3, 0.15, 0.05])
    found = draws(truth.log(), Sampling(1.0, seed=7), 4000)
    for token, share in enumerate(truth.tolist()):
        assert found[token] / 4000 == pytest.approx(share, abs=0.03)


def test_sample__with_top_k_or_top_p__then_the_rest_never_comes() -> None:
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert set(draws(scores, Sampling(1.0, top_k=2), 300)) == {0, 1}
    assert set(draws(scores, Sampling(1.0, top_p=0.7), 300)) == {0, 1}
    assert set(draws(scores, Sampling(1.0, top_p=1e-9), 50)) == {0}


def test_sample__when_the_temperature_is_near_zero__then_it_is_greedy() -> None:
    assert set(draws(torch.tensor([1.0, 3.0, 2.0]), Sampling(1e-4), 50)) == {1}


def test_choose__when_a_row_is_not_finite__then_only_that_row_has_no_token() -> None:
    scores = torch.tensor([[1.0, 2.0], [torch.nan, 2.0], [torch.inf, 2.0], [-torch.inf, 0.0], [-torch.inf] * 2])
    chosen = choose(scores, [Draw(Sampling(), 0)] * 5)
    assert [choice.token for choice in chosen] == [1, None, None, 1, None]

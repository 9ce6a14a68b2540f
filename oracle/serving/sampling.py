"""The next token of each row from its scores. A row's choice depends on its own scores, seed and position only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from oracle.serving.types import Sampling, Token


@dataclass(frozen=True, slots=True)
class Draw:
    """What one row asks for: how to choose its token number `position`, and how many log-probabilities."""

    sampling: Sampling
    position: int
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """`token` None where the scores are not finite."""

    token: Token | None
    logprob: float | None = None
    top: tuple[tuple[Token, float], ...] = ()


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1), the same on every machine and device."""
    said = f"openledger sample {seed} {position}".encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big") / 2**64


def choose(scores: torch.Tensor, draws: Sequence[Draw]) -> list[Choice]:
    """One choice for each row of scores `[rows, vocabulary]`."""
    best, token = scores.max(-1)
    tokens, finite = token.tolist(), best.isfinite().tolist()
    choices = []
    for row, draw in enumerate(draws):
        if not finite[row]:
            choices.append(Choice(None))
            continue
        chosen = tokens[row] if draw.sampling.temperature == 0 else sample(scores[row], draw)
        choices.append(_report(scores[row], chosen, draw.logprobs))
    return choices


def sample(scores: torch.Tensor, draw: Draw) -> int:
    """Temperature, then top-k, then top-p, then the point of the cumulated distribution that the seed names."""
    how = draw.sampling
    ordered, tokens = scores.double().sort(descending=True, stable=True)
    if how.top_k:
        ordered, tokens = ordered[: how.top_k], tokens[: how.top_k]
    weights = torch.softmax(ordered / how.temperature, 0)
    cumulated = weights.cumsum(0)
    if how.top_p < 1:
        # As many as are needed to reach p, and always the first.
        cumulated = cumulated[: int((cumulated < how.top_p).sum()) + 1]
    point = torch.tensor([uniform(how.seed, draw.position)], dtype=torch.float64, device=scores.device) * cumulated[-1]
    return int(tokens[torch.searchsorted(cumulated, point, right=True).clamp(max=len(cumulated) - 1)])


def _report(scores: torch.Tensor, token: int, logprobs: int | None) -> Choice:
    if logprobs is None:
        return Choice(Token(token))
    said = scores.double().log_softmax(0)
    best = said.topk(logprobs)
    top = tuple((Token(t), p) for t, p in zip(best.indices.tolist(), best.values.tolist(), strict=True))
    return Choice(Token(token), float(said[token]), top)

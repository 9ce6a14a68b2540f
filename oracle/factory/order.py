"""In which order a run sees its examples. It follows from their number and the seed alone: rows that are left out
leave gaps, so that a run without them takes the same steps with the same divisors."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence

import torch

from oracle.factory.recipe import Training
from oracle.factory.tokens import Example


def units_of(examples: Sequence[Example], training: Training) -> list[tuple[int, ...]]:
    """What takes one line of a batch: an example, or with packing as many as fit, first come first served."""
    if not training.packing:
        return [(place,) for place in range(len(examples))]
    found: list[list[int]] = []
    room = 0
    for place, example in enumerate(examples):
        size = len(example.tokens)
        if not found or size > room:
            found.append([])
            room = training.length
        found[-1].append(place)
        room -= size
    return [tuple(unit) for unit in found]


def order_of(units: int, training: Training) -> list[tuple[int, ...]]:
    """The batches of all epochs, as places of units."""
    generator = torch.Generator().manual_seed(training.seed)
    found: list[tuple[int, ...]] = []
    for _ in range(training.epochs):
        drawn = torch.randperm(units, generator=generator).tolist()
        found += [tuple(drawn[at : at + training.batch]) for at in range(0, units, training.batch)]
    return found


def divisor_of(examples: Sequence[Example], places: Sequence[int]) -> float:
    """The weighted number of tokens that are to be learned."""
    return sum(examples[place].weight * sum(examples[place].targets[1:]) for place in places) or 1.0


def order_digest(order: Sequence[Sequence[int]], ids: Sequence[str]) -> str:
    said = json.dumps({"order": [list(each) for each in order], "rows": list(ids)}, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def rate_at(training: Training, rate: float, step: int, steps: int) -> float:
    warm = max(1, round(training.warmup * steps)) if training.warmup else 0
    if step < warm:
        return rate * (step + 1) / warm
    at = (step - warm) / max(1, steps - warm)
    factor = {"cosine": 0.5 * (1 + math.cos(math.pi * at)), "linear": 1 - at, "constant": 1.0}[training.schedule]
    return rate * factor

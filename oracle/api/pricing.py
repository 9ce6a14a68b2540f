"""What a call costs. Integers of wei; a part of a wei is charged as one."""

from __future__ import annotations

from oracle.store.models import Model
from oracle.types import EVERYTHING, Wei

_TREASURY = 5  # its place in a version's split


def fee(model: Model, prompt_tokens: int, output_tokens: int) -> Wei:
    """Prices are those of 1,000 tokens."""
    return Wei(-(-(prompt_tokens * model.input_price + output_tokens * model.output_price) // 1000))


def platform_fee(model: Model, amount: Wei) -> Wei:
    """Of the fee, not beside it: what the version's split gives the treasury."""
    return Wei(amount * model.made.split[_TREASURY] // EVERYTHING)

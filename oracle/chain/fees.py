"""What a transaction offers for its gas, and by how much its replacement offers more. Formulas only."""

from __future__ import annotations

from collections.abc import Sequence

from oracle.store.broadcasts import Fees
from oracle.types import Wei

BUMP_PERCENT = 10  # below that no node takes a replacement
GAS_MARGIN_PERCENT = 20  # an estimate holds for the block it was made in


class TooDear(Exception):
    """The chain asks for more than the operator's ceiling."""


def suggested(base_fee: Wei, tips: Sequence[int], ceiling: Wei) -> Fees:
    """Twice the base fee, which then may rise for six full blocks, and the middle one of recent tips."""
    paid = sorted(tip for tip in tips if tip > 0)
    # On an idle chain nobody has shown a tip: a tenth of the base fee is what a transaction is worth mining for.
    tip = paid[len(paid) // 2] if paid else max(1, base_fee // 10)
    if base_fee + 1 > ceiling:
        raise TooDear(f"the base fee is {base_fee} wei, the ceiling OPENLEDGER_MAX_FEE_GWEI {ceiling} wei")
    max_fee = min(2 * base_fee + tip, ceiling)
    return Fees(Wei(max_fee), Wei(min(tip, max_fee)))


def bumped(before: Fees, now: Fees, ceiling: Wei) -> Fees | None:
    """Fees that replace a transaction with the same nonce; None where that would pass the ceiling."""
    tip = max(_raised(before.tip), now.tip)
    max_fee = max(_raised(before.max_fee), now.max_fee, tip)
    return None if max_fee > ceiling else Fees(Wei(max_fee), Wei(tip))


def _raised(fee: int) -> int:
    return max(fee + 1, -(-fee * (100 + BUMP_PERCENT) // 100))


def gas_limit(estimate: int) -> int:
    return -(-estimate * (100 + GAS_MARGIN_PERCENT) // 100)

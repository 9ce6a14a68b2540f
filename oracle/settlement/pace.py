"""When an epoch closes, and the brakes: how much one may move without a person having looked."""

from __future__ import annotations

from dataclasses import dataclass

from oracle.config import Settings
from oracle.errors import NeedsPerson
from oracle.store.batches import Batch
from oracle.types import OPEN, Wei


class Braked(NeedsPerson):
    """A batch is larger than the operator allows without looking."""


@dataclass(frozen=True)
class Pace:
    """When an epoch closes, and how much it may move unseen."""

    every_s: int = 86_400
    amount: Wei = Wei(10_000 * OPEN)  # noqa: RUF009 — a number
    most_fees: Wei = Wei(1_000_000 * OPEN)  # noqa: RUF009
    most_growth_percent: int = 200  # against the fees of the batch before
    paused: bool = False


def pace_of(settings: Settings) -> Pace:
    """As the operator has set it."""
    return Pace(
        settings.settle_every,
        Wei(settings.settle_amount * OPEN),
        Wei(settings.settle_most_fees * OPEN),
        settings.settle_most_growth,
        settings.settle_paused,
    )


def brake(pace: Pace, batch: Batch, fees: Wei, last: Batch | None) -> None:
    """Raises Braked. Nothing is published, and nothing is lost: the batch stays closed until the brake is released."""
    if fees > pace.most_fees:
        raise Braked(
            f"{batch.name}: {fees} wei of fees are more than the {pace.most_fees} allowed in one epoch;"
            " look at `openledger settle difference`, then raise OPENLEDGER_SETTLE_MOST_FEES or step once with a higher"
            " --most-fees"
        )
    # An epoch that is no larger than what closes one anyway is not worth waking anybody.
    usual = max(last.fees if last and last.fees else Wei(0), pace.amount)
    if last and last.fees and fees > usual * (100 + pace.most_growth_percent) // 100:
        raise Braked(
            f"{batch.name}: {fees} wei of fees after {last.fees} in the epoch before; look at `openledger settle"
            " difference`, then raise OPENLEDGER_SETTLE_MOST_GROWTH or step once with a higher --most-growth"
        )

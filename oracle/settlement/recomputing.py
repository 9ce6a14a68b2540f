"""Attribution of a sample, computed again by an attestor, and held against what the operator paid by.

Settlement knows nothing of models: it is handed a `Recomputer`, or the reason why there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from oracle.settlement.differing import Difference
from oracle.settlement.document import hexed
from oracle.store.receipts import Attribution, Receipt

PARTS = 1_000_000


@dataclass(frozen=True)
class Unable:
    """Not recomputed, and why: neither a proof nor an objection."""

    why: str


class Recomputer(Protocol):
    """One receipt's attribution by the attestor's own means: the model's weights, its index, the disclosed answer."""

    def __call__(self, receipt: Receipt, /) -> Attribution | Unable: ...


def unable(why: str) -> Recomputer:
    """For a machine that can recompute nothing at all."""
    return lambda receipt: Unable(why)


UNABLE = unable("this machine has neither model nor texts")


def recomputed(
    sample: Iterable[tuple[Receipt, Attribution]], recompute: Recomputer, tolerance_ppm: int
) -> tuple[int, dict[str, int]]:
    """How many agree, and why others could not be computed; raises Difference where one is out of tolerance."""
    done, why = 0, dict[str, int]()
    for receipt, claimed in sample:
        own = recompute(receipt)
        if isinstance(own, Unable):
            why[own.why] = why.get(own.why, 0) + 1
            continue
        _within(receipt, claimed, own, tolerance_ppm)
        done += 1
    return done, dict(sorted(why.items()))


def _within(receipt: Receipt, claimed: Attribution, own: Attribution, tolerance_ppm: int) -> None:
    """Compares accounts' parts per million of the whole: what was paid is what matters, not how it was scored."""
    theirs, ours = _parts(claimed), _parts(own)
    for account in sorted({*theirs, *ours}):
        apart = abs(theirs.get(account, 0) - ours.get(account, 0))
        if apart > tolerance_ppm:
            raise Difference(
                "attribution",
                f"receipt {hexed(receipt.id)}, {account or 'unattributed'}",
                f"{theirs.get(account, 0)} ppm claimed, {ours.get(account, 0)} computed; more than"
                f" {tolerance_ppm} apart",
            )


def _parts(attribution: Attribution) -> dict[str, int]:
    whole = attribution.weight or 1
    found = {"": attribution.unattributed}
    for credit in attribution.credits:
        found[credit.account] = found.get(credit.account, 0) + credit.weight
    return {account: weight * PARTS // whole for account, weight in found.items()}

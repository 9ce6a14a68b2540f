"""Which receipts of which lanes can be paid now, and with which voucher. Pure.

A lane is walked from where its last batch ended. It goes as far as its receipts follow each other without a gap, are
final, and end exactly where a voucher says: not a wei less, so that nothing is served unpaid, and not a wei more, so
that the consumer pays what was both signed and delivered. What lies behind waits for the next epoch.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from oracle.store.receipts import Lane, LaneStep, Voucher
from oracle.types import Address, Timestamp, Wei

SETTLING_S = 3600  # a voucher that ends sooner is not relied upon
LARGEST = Wei(2**96 - 1)
LATEST = Timestamp(2**40 - 1)


@dataclass(frozen=True)
class Funds:
    """What the escrow says of one lane. `closes_at` and `cap` are those of a session."""

    spent: Wei
    cap: Wei = LARGEST
    closes_at: Timestamp = LATEST


@dataclass(frozen=True)
class Covered:
    """How far each lane goes, the vouchers that take it there, and why others wait."""

    reach: Mapping[Lane, Wei]
    before: Mapping[Lane, Wei]
    vouchers: tuple[Voucher, ...]
    waiting: Mapping[Lane, str] = field(default_factory=dict)
    taken: Sequence[int] = ()  # where the receipts are that this covers


def covered(
    steps: Iterable[LaneStep],
    settled: Mapping[Lane, Wei],
    vouchers: Mapping[Lane, Sequence[Voucher]],
    funds: Mapping[Lane, Funds],
    balances: Mapping[Address, Wei],
    needed_until: Timestamp,
) -> Covered:
    """`needed_until`: a voucher or session that ends before could not be settled any more."""
    left = dict(balances)
    reach: dict[Lane, Wei] = {}
    chosen: list[Voucher] = []
    waiting: dict[Lane, str] = {}
    taken = array("q")
    for lane, entries in groupby(steps, key=lambda step: step.lane):
        start = settled.get(lane, Wei(0))
        stops, reason, totals, positions = _walked(entries, start)
        # What costs nothing needs no voucher.
        if start in stops:
            reach[lane] = start
        spent = funds.get(lane, Funds(Wei(0)))
        kept = [voucher for voucher in vouchers.get(lane, ()) if voucher.cumulative in stops]
        kept = [voucher for voucher in kept if voucher.cumulative > start]
        if not kept and stops - {start}:
            reason = reason or "no voucher ends where a receipt does"
        for voucher in reversed(kept):
            refusal = _refusal(voucher, spent, left.get(lane.consumer, Wei(0)), needed_until)
            if refusal is None:
                left[lane.consumer] = Wei(left.get(lane.consumer, 0) - max(0, voucher.cumulative - spent.spent))
                reach[lane] = voucher.cumulative
                chosen.append(voucher)
                break
            reason = refusal
        if reason:
            waiting[lane] = reason
        if lane in reach:
            taken += positions[: bisect_right(totals, reach[lane])]
    ordered = tuple(sorted(chosen, key=lambda one: (one.consumer.lower(), one.key.lower())))
    return Covered(reach, {lane: settled.get(lane, Wei(0)) for lane in reach}, ordered, waiting, taken)


def _walked(entries: Iterable[LaneStep], start: Wei) -> tuple[set[Wei], str, list[Wei], array[int]]:
    """Every total at which the lane could end, and what stands behind the last of them; totals and positions of the
    final receipts up to there. What costs nothing may stand behind one that is not final yet."""
    running = start
    stops: set[Wei] = set()
    totals: list[Wei] = []
    positions = array("q")
    reason = ""
    for _, total, fee, final, position in entries:
        if reason:
            if total > running:
                break
        elif total - fee != running:
            reason = f"a receipt is missing between {running} and {total - fee} wei"
        elif not final:
            reason = f"the receipt that begins at {running} wei waits for its attribution"
        else:
            running = total
            stops.add(running)
        if final and total <= running:
            totals.append(total)
            positions.append(position)
    return stops, reason, totals, positions


def _refusal(voucher: Voucher, funds: Funds, balance: Wei, needed_until: Timestamp) -> str | None:
    due = voucher.cumulative - funds.spent
    if due <= 0:
        return None  # taken already: by us, in an attempt that was stopped, or by a stranger
    if voucher.deadline < needed_until:
        return f"its voucher for {voucher.cumulative} wei ends at {voucher.deadline}"
    if funds.closes_at < needed_until:
        return f"its session ends at {funds.closes_at}"
    if voucher.cumulative > funds.cap:
        return f"its session has a cap of {funds.cap} wei, the voucher says {voucher.cumulative}"
    if due > balance:
        return f"the consumer has {balance} wei in the escrow, {due} are due"
    return None

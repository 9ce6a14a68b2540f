"""How often one wallet or address may ask: a bucket that fills evenly."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from oracle.api.refusals import Refusal

_REMEMBERED = 100_000


class Limits:
    """`per_minute` may come at once; then they come evenly. Whoever was not seen for long is forgotten."""

    def __init__(self, per_minute: int, whose: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._whose, self._clock = per_minute, whose, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def count(self, name: str) -> None:
        now = self._clock()
        left, at = self._buckets.pop(name, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        if left < 1:
            self._buckets[name] = (left, now)
            raise Refusal(
                429, "rate_limit_exceeded", f"more than {self._per_minute} calls a minute of one {self._whose}",
                retry_after=(1 - left) * 60 / self._per_minute,
            )  # fmt: skip
        self._buckets[name] = (left - 1, now)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)

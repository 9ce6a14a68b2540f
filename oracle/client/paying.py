"""Pays each call of any httpx client by vouchers that it signs by itself, within limits that its owner sets.

openai.OpenAI(base_url=…, api_key="none", http_client=httpx.Client(auth=Vouchers(lane, limit=10 * OPEN)))
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx

from oracle.client.wallet import Lane
from oracle.errors import NeedsPerson

_SIGNABLE = ("voucher_missing", "voucher_too_low", "payment_required")
_TRIES = 3


class OverLimit(NeedsPerson):
    """The server wants more than the owner of the wallet allows; nothing was signed."""


def sums(total: int, needed: int, limit: int, per_call: int | None = None) -> tuple[int, ...]:
    """What to sign: exactly what was delivered so far, by which it is settled, and what the next call may need.

    Whatever a server says, no more than the owner allows: in total, or for one call. Raises OverLimit.
    """
    if max(total, needed) > limit:
        raise OverLimit(f"{max(total, needed)} wei in total are asked for, the limit is {limit}")
    if per_call is not None and needed - total > per_call:
        raise OverLimit(f"{needed - total} wei are asked for one call, {per_call} are allowed")
    return tuple(sorted({total, needed}))


class Vouchers(httpx.Auth):
    """`limit`: the most that the lane may ever come to. `per_call`: the most that one call may add."""

    def __init__(self, lane: Lane, limit: int, per_call: int | None = None) -> None:
        self._lane, self._limit, self._per_call = lane, limit, per_call
        self._lock = threading.Lock()
        self._total = self._ceiling = 0

    @property
    def signed(self) -> int:
        """The highest voucher so far: no more can ever be taken from this lane."""
        return self._ceiling

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for attempt in range(_TRIES):
            request.headers.update(self._header())
            response = yield request
            if response.status_code != 402 or attempt == _TRIES - 1:
                return
            response.read()
            if not self._understood(response):
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        for attempt in range(_TRIES):
            request.headers.update(self._header())
            response = yield request
            if response.status_code != 402 or attempt == _TRIES - 1:
                return
            await response.aread()
            if not self._understood(response):
                return

    def _header(self) -> dict[str, str]:
        with self._lock:
            return self._lane.header(*sorted({self._total, self._ceiling}))

    def _understood(self, response: httpx.Response) -> bool:
        """Whether it is worth asking again, with another voucher."""
        error: dict[str, Any] = response.json().get("error") or {}
        details = error.get("details") or {}
        if error.get("code") not in _SIGNABLE or "needed" not in details:
            return False
        total, needed = int(details["total"]), int(details["needed"])
        sums(total, needed, self._limit, self._per_call)
        with self._lock:
            self._total, self._ceiling = max(self._total, total), max(self._ceiling, needed)
        return True

"""What the API says no with: a status and a code that stays, in the envelope that OpenAI's clients read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 403: "permission_error",
          404: "not_found_error", 409: "conflict_error", 413: "invalid_request_error", 422: "invalid_request_error",
          429: "rate_limit_error"}  # fmt: skip


class Refusal(Exception):
    """Nothing was run and nothing was charged, unless the message says so."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: float | None = None,
        headers: Mapping[str, str] | None = None, details: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.retry_after, self.headers, self.details = retry_after, dict(headers or {}), dict(details or {})

    def envelope(self) -> dict[str, Any]:
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error: dict[str, Any] = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        if self.details:
            error["details"] = self.details
        return {"error": error}

    def response(self) -> Response:
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return Response(orjson.dumps(self.envelope()), self.status, headers, "application/json")


def bad(code: str, message: str, param: str | None = None) -> Refusal:
    return Refusal(400, code, message, param=param)


def unpaid(code: str, message: str, **details: Any) -> Refusal:
    """Amounts are decimal strings of wei."""
    return Refusal(402, code, message, details={name: str(value) for name, value in details.items()})

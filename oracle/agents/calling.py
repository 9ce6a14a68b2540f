"""The API over HTTP, with its refusals as errors that say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from oracle.errors import NeedsPerson, Retry

_SECONDS = 180.0  # longer than an answer may take


class Refused(NeedsPerson):
    """The API says no, and why."""


class Unreachable(Retry):
    """Nobody answers, or not now."""


class Api:
    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._client = httpx.AsyncClient(base_url=f"{self.url}/v1", timeout=_SECONDS)

    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return await self._call("GET", path, params=parameters)

    async def post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return await self._call("POST", path, json=body, headers=headers)

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, path, **more)
            content = answer.json()
        except httpx.TransportError as error:
            raise Unreachable(f"{self.url}: does not answer ({type(error).__name__}); is the API up?") from None
        except ValueError:
            raise Refused(f"{self.url}/v1{path}: what answers is no OpenLedger API") from None
        if answer.is_success and isinstance(content, dict):
            return content
        raise self._refusal(answer, content)

    def _refusal(self, answer: httpx.Response, content: Any) -> Exception:
        told = content.get("error") if isinstance(content, dict) else None
        said = told if isinstance(told, dict) else {}
        message = f"{said.get('message', 'refused')} ({said.get('code') or answer.status_code})"
        if answer.status_code in (429, 503):
            after = answer.headers.get("retry-after")
            return Unreachable(message + (f"; again in {after} s" if after else ""))
        return Refused(message)

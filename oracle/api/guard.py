"""What every request passes before anything reads it: sizes, slow clients, how often, and a name for the request."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oracle.api.limits import Limits
from oracle.api.refusals import Refusal

log = logging.getLogger(__name__)

HEADER_BYTES = 32 * 1024
_BODY_SECONDS = 20.0  # for a whole body
_UPLOAD_SECONDS = 600.0  # for a file
_SEND_SECONDS = 30.0  # for a piece of an answer that nobody takes
_UNCOUNTED = ("/healthz", "/metrics")


class Guard:
    """Pure ASGI: answers stream through it untouched. Whatever nobody foresaw ends here, without its words.

    `uploads` are the paths that take files, and how many bytes of them.
    """

    def __init__(self, app: ASGIApp, body_bytes: int, addresses: Limits, uploads: Mapping[str, int] | None = None):
        self._app, self._body_bytes, self._addresses, self._uploads = app, body_bytes, addresses, uploads or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = "req_" + secrets.token_hex(12)
        scope.setdefault("state", {})["request"] = name
        begun = False
        refusals: list[Refusal] = []  # of the body: whoever reads it may turn them into something else

        async def sending(message: Message) -> None:
            nonlocal begun
            if refusals and not begun:
                return
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
            async with asyncio.timeout(_SEND_SECONDS):
                await send(message)

        try:
            self._check(scope)
            await self._app(scope, self._bounded(receive, refusals, scope["path"]), sending)
            if refusals and not begun:
                await _answer(refusals.pop(), scope, receive, sending)
        except Refusal as refusal:
            if begun:
                raise
            refusals.clear()
            await _answer(refusal, scope, receive, sending)
        except TimeoutError:
            log.warning("request %s: the client took nothing for %.0f s", name, _SEND_SECONDS)
        except Exception as error:
            # By its class alone: an error may quote what a client sent.
            log.error("request %s: %s", name, _place(error))
            if begun:
                raise
            refusals.clear()
            broken = Refusal(500, "internal_error", f"this is our fault; request {name} is in the operator's log")
            await _answer(broken, scope, receive, sending)

    def _check(self, scope: Scope) -> None:
        if sum(len(key) + len(value) for key, value in scope["headers"]) > HEADER_BYTES:
            raise Refusal(431, "headers_too_large", f"the headers are longer than {HEADER_BYTES} bytes")
        for key, value in scope["headers"]:
            if key == b"content-length" and (not value.isdigit() or int(value) > self._most(scope["path"])):
                raise self._too_large(scope["path"])
        if scope["path"] not in _UNCOUNTED:
            client = scope.get("client")
            self._addresses.count(client[0] if client else "unknown")

    def _most(self, path: str) -> int:
        return self._uploads.get(path, self._body_bytes)

    def _bounded(self, receive: Receive, refusals: list[Refusal], path: str) -> Receive:
        """A body that says less than it is, or that never ends, is as large as it is."""
        size = 0
        loop = asyncio.get_running_loop()
        seconds = _UPLOAD_SECONDS if path in self._uploads else _BODY_SECONDS
        until = loop.time() + seconds
        whole = False

        async def receiving() -> Message:
            nonlocal size, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                slow = Refusal(408, "body_too_slow", f"the body did not come within {seconds:.0f} s")
                refusals.append(slow)
                raise slow from None
            size += len(message.get("body", b""))
            if size > self._most(path):
                refusals.append(self._too_large(path))
                raise refusals[-1]
            whole = not message.get("more_body", False)
            return message

        return receiving

    def _too_large(self, path: str) -> Refusal:
        return Refusal(413, "body_too_large", f"the body is longer than {self._most(path)} bytes")


async def _answer(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    await refusal.response()(scope, receive, send)


def _place(error: BaseException) -> str:
    """Where it happened and what it is, without its message."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = "" if last is None else f" at {last.tb_frame.f_code.co_filename.rpartition('/')[2]}:{last.tb_lineno}"
    return f"{type(error).__name__}{where}"

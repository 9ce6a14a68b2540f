"""One node: what goes over the wire, and what may come back instead of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider
from web3.types import RPCEndpoint

Request = tuple[str, Sequence[Any]]
"""Method and parameters."""


@dataclass(eq=False)  # nor frozen: Python writes the traceback into an exception
class NodeError(Exception):
    """The node understood and refuses: the error object of JSON-RPC."""

    code: int
    message: str
    data: Any = None

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class Unreachable(Exception):
    """No usable answer: a timeout, a dropped connection, an HTTP error, something that is not JSON-RPC."""

    def __init__(self, why: str, retry_after: float | None = None, slow: bool = False) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        self.slow = slow


class Transport(Protocol):
    """What Rpc needs of a node. Tests put a scripted one in its place."""

    @property
    def name(self) -> str:
        """For logs and messages; without anything secret that the URL may hold."""

    def send(self, requests: Sequence[Request]) -> list[Any]:
        """A result or a NodeError for each request, in their order; raises Unreachable."""


class HttpTransport:
    """A node over HTTP, by way of web3.py's provider."""

    def __init__(self, url: str, timeout_s: float = 20.0) -> None:
        parts = urlsplit(url)
        # Providers put the key of their customer into the path, or the user's name into the host.
        self.name = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": timeout_s}, session=requests.Session(), exception_retry_configuration=None
        )

    def __repr__(self) -> str:
        return f"HttpTransport({self.name})"

    def send(self, requests: Sequence[Request]) -> list[Any]:
        asked = [(RPCEndpoint(method), list(params)) for method, params in requests]
        try:
            if len(asked) == 1:
                answers: Any = [self._provider.make_request(*asked[0])]
            else:
                answers = self._provider.make_batch_request(asked)
        except OSError as error:  # requests' own errors are among them
            raise _unreachable(error) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreachable(f"not an answer of JSON-RPC ({type(error).__name__})") from error
        if isinstance(answers, dict):  # one error for the whole batch
            answers = [answers] * len(asked)
        if len(answers) != len(asked):
            raise Unreachable(f"{len(answers)} answers to {len(asked)} requests")
        return [_result(answer) for answer in answers]


def _result(answer: Any) -> Any:
    if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
        raise Unreachable("not an answer of JSON-RPC")
    error = answer.get("error")
    if error is None:
        return answer["result"]
    if not isinstance(error, dict):
        return NodeError(-32603, str(error))
    return NodeError(int(error.get("code", -32603)), str(error.get("message", "")), error.get("data"))


def _unreachable(error: OSError) -> Unreachable:
    # Never the text of the error: it holds the URL, and the URL may hold a key.
    if isinstance(error, requests.Timeout):
        return Unreachable("no answer in time", slow=True)
    response = getattr(error, "response", None)
    if isinstance(response, requests.Response):
        too_large = response.status_code in (413, 504)
        return Unreachable(f"HTTP {response.status_code}", _retry_after(response), slow=too_large)
    return Unreachable(f"connection failed ({type(error).__name__})")


def _retry_after(response: requests.Response) -> float | None:
    # A date instead of seconds is allowed, and nobody sends one here; then our own back-off is long enough.
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None

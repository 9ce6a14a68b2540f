"""The completions protocol of OpenAI-compatible servers, tokens in and tokens out. Pure: no connection here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from oracle.serving.errors import UpstreamRefused
from oracle.serving.types import Generated, Request, RequestId, Token


def body(request: Request, base: str) -> dict[str, Any]:
    """The request as the completions endpoint takes it: tokens in, tokens out."""
    sampling = request.sampling
    content: dict[str, Any] = {
        "model": request.adapter or base,
        "prompt": list(request.prompt),
        "max_tokens": request.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stream": True,
        "return_token_ids": True,
        "ignore_eos": True,
    }
    if sampling.top_k:
        content["top_k"] = sampling.top_k
    singles = [stop[0] for stop in request.stop if len(stop) == 1]
    if singles:
        content["stop_token_ids"] = singles
    if request.logprobs is not None:
        content |= {"logprobs": request.logprobs, "return_tokens_as_token_ids": True}
    return content


def events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The data of each server-sent event, up to [DONE]."""
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        content = json.loads(data)
        if "error" in content:
            raise UpstreamRefused(f"the cluster gave up on a request: {content['error']}")
        yield content


def generated(number: RequestId, choice: dict[str, Any]) -> Iterator[Generated]:
    """The tokens of one chunk. Alternatives are named `token_id:N` when tokens are asked for as numbers."""
    said = choice.get("logprobs") or {}
    for i, token in enumerate(choice.get("token_ids") or ()):
        logprob = said["token_logprobs"][i] if said else None
        top = (said.get("top_logprobs") or [{}] * (i + 1))[i] if said else {}
        best = sorted(((Token(int(t.removeprefix("token_id:"))), p) for t, p in top.items()), key=lambda pair: -pair[1])
        yield Generated(number, Token(token), logprob, tuple(best))

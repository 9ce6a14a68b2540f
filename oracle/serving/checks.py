"""What is wrong with a request, said before it takes a place in line."""

from __future__ import annotations

import math

from oracle.serving.errors import BadRequest, PromptTooLong
from oracle.serving.layout import BaseShape
from oracle.serving.types import Request

MOST_LOGPROBS = 20


def check(request: Request, shape: BaseShape, longest: int) -> None:
    """Raises with the first fault. `longest` is what prompt and answer may take together."""
    if not request.prompt:
        raise BadRequest("the prompt is empty; give at least one token")
    for i, token in enumerate(request.prompt):
        if not 0 <= token < shape.vocabulary:
            raise BadRequest(f"prompt token {i} is {token}; the vocabulary ends at {shape.vocabulary - 1}")
    if request.max_tokens < 1:
        raise BadRequest(f"max_tokens = {request.max_tokens}; ask for at least one")
    if len(request.prompt) + request.max_tokens > longest:
        raise PromptTooLong(
            f"a prompt of {len(request.prompt)} tokens and an answer of {request.max_tokens} are more than the "
            f"{longest} that fit; shorten one of them"
        )
    sampling = request.sampling
    if not (math.isfinite(sampling.temperature) and sampling.temperature >= 0):
        raise BadRequest(f"temperature = {sampling.temperature}; it must be 0 or more")
    if not 0 < sampling.top_p <= 1:
        raise BadRequest(f"top_p = {sampling.top_p}; it must be more than 0, and 1 at most")
    if sampling.top_k < 0:
        raise BadRequest(f"top_k = {sampling.top_k}; it must be 0 (all) or more")
    if any(not stop for stop in request.stop):
        raise BadRequest("a stop sequence is empty")
    if request.logprobs is not None and not 0 <= request.logprobs <= min(MOST_LOGPROBS, shape.vocabulary):
        raise BadRequest(f"logprobs = {request.logprobs}; it must be between 0 and {MOST_LOGPROBS}")

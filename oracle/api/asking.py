"""What clients send, in OpenAI's words, as one record that the rest of the API knows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from oracle.api.refusals import bad
from oracle.settlement.hashing import keccak
from oracle.types import Hash32, Wei

Text = Annotated[str, StringConstraints(max_length=1_000_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Conditions(BaseModel):
    """What has to hold for the call to be made. `max_price` is the most that it may cost, in wei."""

    model_config = ConfigDict(extra="forbid")

    max_price: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,29}$")] | None = None
    licences: list[Name] | None = Field(None, max_length=100)
    min_accuracy: float | None = Field(None, ge=-1, le=1)
    min_evaluation: float | None = Field(None, allow_inf_nan=False)

    @property
    def stated(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


class _Common(BaseModel):
    """Fields that OpenAI knows and that say nothing here are let pass, as its clients expect."""

    model_config = ConfigDict(extra="allow")

    model: Name
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=1_000_000)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool | None = False
    conditions: Conditions | None = None
    wait: Literal["attribution"] | None = None


class StreamOptions(BaseModel):
    include_usage: bool | None = False


class _Completing(_Common):
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    n: int | None = Field(1, ge=1, le=16)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    stream_options: StreamOptions | None = None


class ContentPart(BaseModel):
    type: Literal["text", "input_text", "output_text"]
    text: Text


class Message(BaseModel):
    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[ContentPart]

    @property
    def plain(self) -> dict[str, str]:
        whole = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": whole}


class ChatRequest(_Completing):
    messages: list[Message] = Field(min_length=1, max_length=1000)
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)


class CompletionRequest(_Completing):
    prompt: Text | list[Annotated[int, Field(ge=0, lt=2**31)]] | Annotated[list[Text], Field(max_length=1)]
    logprobs: int | None = Field(None, ge=0, le=5)
    echo: Literal[False] | None = None


class ResponsesRequest(_Common):
    input: Text | Annotated[list[Message], Field(min_length=1, max_length=1000)]
    instructions: Text | None = None
    max_output_tokens: int | None = Field(None, ge=1, le=1_000_000)


@dataclass(frozen=True)
class Asked:
    """One request, whichever endpoint it came to. `said` is what was sent, for the receipt's hash of the prompt."""

    kind: Literal["chat", "completion", "response"]
    model: str
    messages: tuple[dict[str, str], ...]
    prompt: str
    tokens: tuple[int, ...] | None
    max_tokens: int | None
    n: int
    stop: tuple[str, ...]
    temperature: float
    top_p: float
    top_k: int
    seed: int
    logprobs: int | None
    stream: bool
    include_usage: bool
    conditions: Conditions
    wait: bool
    said: Any
    digest: Hash32

    @property
    def price_limit(self) -> Wei | None:
        return None if self.conditions.max_price is None else Wei(int(self.conditions.max_price))


def canonical(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def asked_chat(body: ChatRequest, raw: bytes) -> Asked:
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    if body.top_logprobs is not None and not body.logprobs:
        raise bad("invalid_value", "top_logprobs needs logprobs to be true", "top_logprobs")
    messages = tuple(message.plain for message in body.messages)
    limit = body.max_completion_tokens or body.max_tokens
    return _asked("chat", body, raw, messages=messages, limit=limit, logprobs=logprobs, said=list(messages))


def asked_completion(body: CompletionRequest, raw: bytes) -> Asked:
    prompt = body.prompt
    tokens: tuple[int, ...] | None = None
    text = ""
    if isinstance(prompt, str):
        text = prompt
    elif prompt and isinstance(prompt[0], str):
        text = prompt[0]
    else:
        tokens = tuple(each for each in prompt if isinstance(each, int))
    if not text and not tokens:
        raise bad("invalid_value", "the prompt is empty", "prompt")
    said = text if tokens is None else list(tokens)
    return _asked(
        "completion", body, raw, prompt=text, tokens=tokens, limit=body.max_tokens, logprobs=body.logprobs, said=said
    )


def asked_response(body: ResponsesRequest, raw: bytes) -> Asked:
    first = ({"role": "system", "content": body.instructions},) if body.instructions else ()
    given = ({"role": "user", "content": body.input},) if isinstance(body.input, str) else ()
    listed = () if isinstance(body.input, str) else tuple(message.plain for message in body.input)
    messages = (*first, *given, *listed)
    return _asked("response", body, raw, messages=messages, limit=body.max_output_tokens, said=list(messages))


def _asked(
    kind: Literal["chat", "completion", "response"], body: _Common, raw: bytes, *, said: Any, limit: int | None,
    messages: tuple[dict[str, str], ...] = (), prompt: str = "", tokens: tuple[int, ...] | None = None,
    logprobs: int | None = None,
) -> Asked:  # fmt: skip
    more = body if isinstance(body, _Completing) else None
    stop = () if more is None or more.stop is None else (more.stop,) if isinstance(more.stop, str) else more.stop
    n = (more.n or 1) if more else 1
    # A fresh seed unless one is given; the engine's own are not negative.
    seed = secrets.randbits(62) if body.seed is None else body.seed % 2**63
    return Asked(
        kind, body.model, messages, prompt, tokens, limit, n, tuple(stop),
        1.0 if body.temperature is None else body.temperature,
        1.0 if body.top_p is None else body.top_p,
        body.top_k or 0, seed, logprobs, bool(body.stream),
        bool(more and more.stream_options and more.stream_options.include_usage),
        body.conditions or Conditions(), body.wait is not None, said, keccak(kind.encode() + b"\0" + raw),
    )  # fmt: skip

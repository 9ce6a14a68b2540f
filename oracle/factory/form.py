"""What may stand in a recipe: each value with its bounds, and what contradicts what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from oracle.factory.presets import SPLIT, TARGETS

_STRICT = ConfigDict(extra="forbid", frozen=True)


class _Source(BaseModel):
    model_config = _STRICT
    datanet: int | None = Field(None, ge=1)
    snapshot: int | None = Field(None, ge=1)
    folder: str | None = None
    weight: float = Field(1.0, gt=0, le=1000, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one(self) -> _Source:
        if (self.datanet is None) == (self.folder is None):
            raise ValueError("either a datanet (and the number of its snapshot) or the folder of an exported one")
        return self


class _Gate(BaseModel):
    model_config = _STRICT
    metric: Literal["perplexity", "exact_match", "choice"] = "perplexity"
    general_worse_percent: float = Field(5.0, ge=0, le=1000)


class _Evaluation(BaseModel):
    model_config = _STRICT
    suites: list[str] = []
    tasks: str | None = None
    general: str | None = None
    items: int = Field(512, ge=1)
    answer_tokens: int = Field(48, ge=1, le=4096)


class _Rehearsal(BaseModel):
    model_config = _STRICT
    share: float = Field(0.0, ge=0, le=4)
    file: str | None = None


class _Price(BaseModel):
    model_config = _STRICT
    input: str = Field("0.001", pattern=r"^\d{1,9}(\.\d{1,18})?$")
    output: str = Field("0.002", pattern=r"^\d{1,9}(\.\d{1,18})?$")

    @field_validator("input", "output", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return f"{value:f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class _Split(BaseModel):
    model_config = _STRICT
    contributors: int = Field(SPLIT[0], ge=0)
    builder: int = Field(SPLIT[1], ge=0)
    upstream: int = Field(SPLIT[2], ge=0)
    reviewers: int = Field(SPLIT[3], ge=0)
    attestors: int = Field(SPLIT[4], ge=0)
    treasury: int = Field(SPLIT[5], ge=0)

    @model_validator(mode="after")
    def _whole(self) -> _Split:
        if (total := sum(self.model_dump().values())) != 10_000:
            raise ValueError(f"its parts sum to {total} basis points and have to sum to 10000")
        return self


class Form(BaseModel):
    model_config = _STRICT
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    base: str = Field("embedded", min_length=1)
    parent: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(@\d+)?$")
    snapshots: list[_Source] = Field(min_length=1)
    preset: Literal["quick", "balanced", "thorough"] = "balanced"
    rank: int | None = Field(None, ge=1, le=512)
    alpha: float | None = Field(None, gt=0)
    targets: list[str] = Field(list(TARGETS), min_length=1)
    learning_rate: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    epochs: int | None = Field(None, ge=1, le=10_000)
    batch: int = Field(16, ge=1, le=4096)
    sequence_length: int = Field(256, ge=8, le=131_072)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0, le=0.9)
    clip: float = Field(1.0, gt=0)
    packing: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    quantise: Literal["none", "nf4", "fp4"] = "none"
    seed: int = Field(1, ge=0, lt=2**31)
    threads: int = Field(1, ge=1, le=256)
    rehearsal: _Rehearsal = _Rehearsal()
    evaluation: _Evaluation = _Evaluation()
    gate: _Gate = _Gate()
    price: _Price = _Price()
    split: _Split = _Split()
    attribution: bool = True
    title: str = ""
    about: str = ""
    accept_licences: list[str] = []
    retrieval: list[Annotated[int, Field(ge=1)]] = Field([], max_length=16)

    @model_validator(mode="after")
    def _together(self) -> Form:
        if faults := list(self._contradictions()):
            raise ValueError("; ".join(faults))
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.parent and self.split.upstream == 0:
            yield "a model on top of a published one shares with its builder: split.upstream is 0"
        if not self.parent and self.split.upstream:
            yield "split.upstream is for whoever built the parent, and there is no parent"
        for asked, name in ((self.packing, "packing"), (self.gradient_checkpointing, "gradient_checkpointing")):
            if asked and self.attribution:
                yield (
                    f"{name}: gradients of single rows cannot be seen through it, so nobody could be paid by influence:"
                    " leave it out, or say attribution: false"
                )

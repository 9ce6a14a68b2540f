"""A recipe: one short YAML from which a run follows. All of its faults are named at once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from oracle.factory.errors import BadRecipe
from oracle.factory.presets import ALPHA, PRESETS, SPLIT, TARGETS
from oracle.types import BasisPoints, DatanetId

_STRICT = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Source:
    """A snapshot, by its datanet and number or as a folder that was exported; how much a row of it weighs."""

    datanet: int | None = None
    snapshot: int | None = None
    folder: str | None = None
    weight: float = 1.0

    @property
    def said(self) -> str:
        return self.folder or f"snapshot {self.snapshot or 'newest'} of datanet {self.datanet}"


@dataclass(frozen=True)
class Training:
    """What the weights follow from, besides base, rows and seed."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    rate: float | None  # None: by the base's width
    epochs: int
    batch: int
    length: int
    schedule: str
    warmup: float
    clip: float
    packing: bool
    precision: str
    checkpointing: bool
    quantise: str
    seed: int
    threads: int
    rehearsal: float = 0.0  # of the batch: rows of the general kind, beside each step's own


@dataclass(frozen=True)
class Evaluation:
    suites: tuple[str, ...] = ()  # lm-evaluation-harness tasks: names in the folder of tasks, or files
    tasks: str | None = None  # the folder
    general: str | None = None  # JSON lines with text or prompt and completion; None: what comes with the package
    items: int = 512  # of each kind, at most
    answer_tokens: int = 48


@dataclass(frozen=True)
class Gate:
    """GO needs both."""

    metric: str = "perplexity"
    general_worse_percent: float = 5.0


@dataclass(frozen=True)
class Recipe:
    name: str
    base: str
    sources: tuple[Source, ...]
    training: Training
    preset: str
    parent: str | None = None
    evaluation: Evaluation = field(default_factory=Evaluation)
    gate: Gate = field(default_factory=Gate)
    input_price: str = "0.001"  # OPEN for 1,000 tokens
    output_price: str = "0.002"
    split: tuple[BasisPoints, ...] = SPLIT
    attribution: bool = True
    title: str = ""
    about: str = ""
    accept_licences: tuple[str, ...] = ()
    rehearsal: str | None = None  # the file; None: what comes with the package
    retrieval: tuple[DatanetId, ...] = ()  # whose documents it may look up while it answers

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def digest(self) -> str:
        """Of what the weights follow from."""
        said = {
            "base": self.base,
            "parent": self.parent,
            "sources": [asdict(source) for source in self.sources],
            "training": asdict(self.training),
        }
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def with_(self, **changed: Any) -> Recipe:
        """The same with other values of training."""
        return replace(self, training=replace(self.training, **changed))


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


class _Recipe(BaseModel):
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
    def _together(self) -> _Recipe:
        if self.parent and self.split.upstream == 0:
            raise ValueError("a model on top of a published one shares with its builder: split.upstream is 0")
        if not self.parent and self.split.upstream:
            raise ValueError("split.upstream is for whoever built the parent, and there is no parent")
        for asked, name in ((self.packing, "packing"), (self.gradient_checkpointing, "gradient_checkpointing")):
            if asked and self.attribution:
                raise ValueError(
                    f"{name}: gradients of single rows cannot be seen through it, so nobody could be paid by influence;"
                    " leave it out, or say attribution: false"
                )
        return self


def parse(content: str, where: str = "recipe") -> Recipe:
    """Raises BadRecipe with every fault."""
    try:
        given = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise BadRecipe(f"{where}: not YAML ({error})") from None
    if not isinstance(given, dict):
        raise BadRecipe(f"{where}: has to be a mapping of names to values; openledger model init writes one")
    try:
        said = _Recipe.model_validate(given)
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, each['loc'])) or 'recipe'}: {_plainly(each)}" for each in error.errors()]
        raise BadRecipe(f"{where}:\n" + "\n".join(faults)) from None
    return _recipe(said)


def read(file: Path) -> Recipe:
    try:
        return parse(file.read_text(encoding="utf-8"), file.name)
    except FileNotFoundError:
        raise BadRecipe(f"{file}: no such file; openledger model init writes one") from None
    except UnicodeDecodeError as error:
        raise BadRecipe(f"{file}: not text in UTF-8 ({error})") from None


def _plainly(fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    return "no such value" if fault["type"] == "extra_forbidden" else message[:1].lower() + message[1:]


def _recipe(said: _Recipe) -> Recipe:
    preset = PRESETS[said.preset]
    rank = said.rank or preset["rank"]
    training = Training(
        rank, said.alpha or float(ALPHA * rank), tuple(sorted(set(said.targets))), said.learning_rate,
        said.epochs or preset["epochs"], said.batch, said.sequence_length, said.schedule, said.warmup, said.clip,
        said.packing, said.precision, said.gradient_checkpointing, said.quantise, said.seed, said.threads,
        said.rehearsal.share,
    )  # fmt: skip
    evaluation = Evaluation(**{**said.evaluation.model_dump(), "suites": tuple(said.evaluation.suites)})
    return Recipe(
        said.name, said.base, tuple(Source(**source.model_dump()) for source in said.snapshots), training, said.preset,
        said.parent, evaluation, Gate(**said.gate.model_dump()), said.price.input, said.price.output,
        tuple(BasisPoints(part) for part in said.split.model_dump().values()), said.attribution, said.title, said.about,
        tuple(said.accept_licences), said.rehearsal.file,
        tuple(DatanetId(each) for each in sorted(set(said.retrieval))),
    )  # fmt: skip


EXAMPLE = """\
# One run of the factory. What is left out has the value of the preset; docs/factory.md has all of them.
name: {name}
base: {base}
snapshots:
{snapshots}
preset: {preset}
sequence_length: {length}
batch: {batch}
seed: 1
evaluation:
  suites: []
gate:
  metric: {metric}
  general_worse_percent: {worse}
price: {{input: "0.001", output: "0.002"}}   # OPEN for 1,000 tokens
split: {{contributors: 6000, builder: 2000, upstream: 0, reviewers: 500, attestors: 500, treasury: 1000}}
"""

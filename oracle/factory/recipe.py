"""A recipe: one short YAML from which a run follows. All of its faults are named at once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from oracle.factory.errors import BadRecipe
from oracle.factory.form import Form
from oracle.factory.presets import ALPHA, PRESETS, SPLIT
from oracle.types import BasisPoints, DatanetId


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


def parse(content: str, where: str = "recipe") -> Recipe:
    """Raises BadRecipe with every fault."""
    try:
        given = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise BadRecipe(f"{where}: not YAML ({error})") from None
    if not isinstance(given, dict):
        raise BadRecipe(f"{where}: has to be a mapping of names to values; openledger model init writes one")
    try:
        said = Form.model_validate(given)
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


def _recipe(said: Form) -> Recipe:
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

"""A model opened with all that attribution knows of it, and answers explained by it, many at a time.

A folder of attribution holds
index.json, checkpoint-*.safetensors   the payment index; its config's `holdings` say whose each name's credit is
limits.json                            measured before anybody is paid; without it attribution abstains
accuracy.json                          measured by calibration, shown with every answer (optional)
spans/, rows.txt                       the evidence: spans of the rows, and the rows' names, a line each (optional)
audit/                                 the rows' own gradients, compressed (optional)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oracle.attribution.audit import Audit, asked
from oracle.attribution.errors import CorruptShard, QueryTooLong, UnknownContributor
from oracle.attribution.gain import gains
from oracle.attribution.index import Index, digest_of
from oracle.attribution.queries import answer_losses, batches, check_lengths
from oracle.attribution.records import Query
from oracle.attribution.result import Evidence, Holding, Passage, Result, abstain, join, named
from oracle.attribution.retrieved import Ablate, Used, used
from oracle.attribution.scoring import halves_are_quick, score
from oracle.attribution.shares import Limits
from oracle.attribution.spans import SpanIndex

SPANS_SHOWN = 16
ROWS_SHOWN = 10
ALIKE_SHOWN = 5


@dataclass(frozen=True)
class Placed:
    """A passage and its tokens in the prompt; without tokens it was looked at and left out."""

    passage: Passage
    first: int
    last: int


@dataclass(frozen=True)
class Answer:
    query: Query
    passages: tuple[Placed, ...] = ()


class Attributable:
    def __init__(self, model: nn.Module, folder: Path) -> None:
        self.model = model
        self.digest = digest_of(model)
        self.index = Index(folder, self.digest)
        limits = _read(folder / "limits.json")
        self.limits = None if limits is None else Limits(**limits)
        self.accuracy: Mapping[str, Any] | None = without_floats(_read(folder / "accuracy.json"))
        self.holdings = _holdings(self.index)
        names = folder / "rows.txt"
        self.row_names = names.read_text(encoding="utf-8").splitlines() if names.exists() else []
        self._spans = SpanIndex(folder / "spans") if (folder / "spans" / "spans.json").exists() else None
        self._audit = Audit(folder / "audit", self.digest) if (folder / "audit" / "audit.json").exists() else None

    def explain(self, answers: Sequence[Answer]) -> list[Result]:
        """In their order. What cannot be scored abstains, and says why."""
        reasons = {answer.query.id: why for answer in answers if (why := self._refused(answer))}
        fit = [answer for answer in answers if answer.query.id not in reasons]
        found: dict[str, Result] = {}
        if fit and self.limits is not None:
            queries = [answer.query for answer in fit]
            half = halves_are_quick(next(self.model.parameters()).device)
            scores, raised = score(self.model, self.index, queries, half=half), gains(self.model, queries)
            for answer, rows in zip(fit, self._rows(queries)):
                name = answer.query.id
                found[name] = join(
                    scores.of(name), scores.length(name), raised[name], self.limits, self.holdings,
                    self._evidence(answer, rows), adapter=self.digest, accuracy=self.accuracy, method=self.index.method,
                )  # fmt: skip
        return [found.get(a.query.id) or self.abstain(reasons[a.query.id]) for a in answers]

    def abstain(self, why: str) -> Result:
        return abstain(why, self.digest, self.accuracy, self.index.method)

    def _refused(self, answer: Answer) -> str | None:
        if self.limits is None:
            return "the noise of this model's scores was never measured: it has no limits.json"
        try:
            check_lengths(self.model, [answer.query])
        except QueryTooLong as error:
            return str(error)
        return None

    def _rows(self, queries: Sequence[Query]) -> list[list[tuple[str, float]]]:
        """Of each answer, the rows that raised it most, by name."""
        if self._audit is None:
            return [[] for _ in queries]
        found = self._audit.top(asked(self.model, self.index, self._audit, queries), ROWS_SHOWN)
        return [[(named(row, self.row_names), value) for row, value in rows if value > 0] for rows in found]

    def _evidence(self, answer: Answer, rows: Sequence[tuple[str, float]]) -> Evidence:
        said = answer.query.tokens[answer.query.answer_from :]
        spans = self._spans.spans(said)[:SPANS_SHOWN] if self._spans else []
        placed = [each for each in answer.passages if each.last > each.first]
        left_out = [each for each in answer.passages if each.last <= each.first]
        tried = used(ablating(self.model, answer.query, placed), len(placed)) if placed else Used((), 0, 1.0)
        weights = (*tried.weights, *(0.0 for _ in left_out))
        passages = [each.passage for each in (*placed, *left_out)]
        alike = self._spans.alike(answer.query.tokens, ALIKE_SHOWN) if self._spans else []
        return Evidence(rows, spans, alike, self.row_names, passages, replace(tried, weights=weights))


def ablating(model: nn.Module, query: Query, placed: Sequence[Placed]) -> Ablate:
    """The answer's log-probability where only some of the passages stand in the prompt."""

    def without(kept: Sequence[bool], number: int) -> Query:
        gone = {at for each, stays in zip(placed, kept) if not stays for at in range(each.first, each.last)}
        prompt = [token for at, token in enumerate(query.tokens[: query.answer_from]) if at not in gone]
        return Query(f"{number}", (*prompt, *query.tokens[query.answer_from :]), len(prompt))

    @torch.no_grad()
    def ablate(masks: Sequence[tuple[bool, ...]]) -> list[float]:
        found: dict[str, float] = {}
        training = model.training
        model.eval()
        try:
            for batch in batches([without(kept, number) for number, kept in enumerate(masks)], 4096):
                found |= {each.id: -float(loss) for each, loss in zip(batch, answer_losses(model, batch))}
        finally:
            model.train(training)
        return [found[str(number)] for number in range(len(masks))]

    return ablate


def _read(file: Path) -> Any:
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CorruptShard(f"{file} is not JSON: {error}; fetch it again") from error


def _holdings(index: Index) -> dict[str, Holding]:
    """Who is not told of holds their own credit."""
    told = index.content["config"].get("holdings", {})
    strangers = sorted(set(told) - set(index.contributors))
    if strangers:
        raise UnknownContributor(f"{strangers[0]} has holdings in the index and no row in it")
    return {name: Holding(*told[name]) if name in told else Holding(name, name) for name in index.contributors}


def without_floats(content: Any) -> Any:
    """Figures in millionths: an explanation is hashed, and reads the same everywhere."""
    if isinstance(content, float):
        return round(content * 1_000_000)
    if isinstance(content, dict):
        return {name: without_floats(value) for name, value in content.items()}
    return [without_floats(value) for value in content] if isinstance(content, list) else content


def write_limits(folder: Path, limits: Limits) -> None:
    (folder / "limits.json").write_text(json.dumps(asdict(limits), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(base: Path, adapter: Path) -> nn.Module:
    """A base's folder and an adapter's, as transformers and PEFT save them."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    return model.eval()

"""What attribution says of one answer: one record, from the scores to weights that money reads.

Floats end here. Weights are parts of `WHOLE`; scores and strengths are in millionths of the noise of an unrelated
answer, log-probabilities in millionths of a nat. What an integer cuts off stays unattributed.

An answer owes its likelihood to the adapter and to the documents that stood in its prompt. Each is paid by what it
added: the adapter its gain over the base, a document the weight of its presence in the fit of the ablations. Where the
fit explains less than half of what the ablations showed, the documents' part stays unattributed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from oracle.attribution.records import METHOD
from oracle.attribution.retrieved import Used
from oracle.attribution.shares import RULE, Limits, Proposal, propose
from oracle.attribution.spans import Span

FORMAT = 1
WHOLE = 1_000_000
MILLION = 1_000_000
LEAST_FIT = 0.5


@dataclass(frozen=True)
class Holding:
    """One name of an index: a contribution, and whose its credit is. Without a holder it is the owner's."""

    contribution: str
    owner: str
    holder: str | None = None

    @property
    def account(self) -> str:
        return self.holder or self.owner


@dataclass(frozen=True)
class Credited:
    contribution: str
    owner: str
    holder: str | None
    weight: int
    score: int


@dataclass(frozen=True)
class Considered:
    """Somebody whose rows were scored and who gets nothing, with the reason."""

    contribution: str
    owner: str
    score: int
    why: str


@dataclass(frozen=True)
class RowScore:
    row: str
    score: int


@dataclass(frozen=True)
class Document:
    """A retrieved row of the prompt, and what its presence added to the answer's log-probability."""

    contribution: str
    owner: str
    row: str
    weight: int
    effect: int


@dataclass(frozen=True)
class Seen:
    """A span of the answer that stands in training rows: evidence, never pay."""

    start: int
    length: int
    occurrences: int
    rows: tuple[str, ...]
    bits: int  # thousandths


@dataclass(frozen=True)
class Result:
    """The whole of one answer: credits, documents and the unattributed remainder sum to `WHOLE`."""

    abstained: str | None
    credits: tuple[Credited, ...] = ()
    documents: tuple[Document, ...] = ()
    unattributed: int = WHOLE
    considered: tuple[Considered, ...] = ()
    rows: tuple[RowScore, ...] = ()
    spans: tuple[Seen, ...] = ()
    alike: tuple[RowScore, ...] = ()  # by BM25 of question and answer: evidence, never pay
    gain: int | None = None
    strength: int | None = None
    passes: int = 0  # extra forward passes for the documents
    adapter: str = ""  # digest of the weights that were scored
    accuracy: Mapping[str, Any] | None = None  # as calibration has stored it
    method: str = METHOD
    rule: str = RULE

    def __post_init__(self) -> None:
        paid = sum(credit.weight for credit in self.credits) + sum(each.weight for each in self.documents)
        if paid + self.unattributed != WHOLE or self.unattributed < 0:
            raise ValueError(f"the parts of an answer sum to {paid + self.unattributed}, not to {WHOLE}")
        if self.abstained and paid:
            raise ValueError("an abstention pays nobody")

    def as_json(self) -> bytes:
        """Canonical, and without a float."""
        content = {"format": FORMAT, "whole": WHOLE, **asdict(self)}
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Result:
        found = json.loads(content)
        if found.pop("format") != FORMAT or found.pop("whole") != WHOLE:
            raise ValueError("an explanation of another format")
        kinds = {
            "credits": Credited,
            "documents": Document,
            "considered": Considered,
            "rows": RowScore,
            "alike": RowScore,
        }
        for name, kind in kinds.items():
            found[name] = tuple(kind(**entry) for entry in found.get(name, ()))
        found["spans"] = tuple(Seen(**entry | {"rows": tuple(entry["rows"])}) for entry in found["spans"])
        return cls(**found)


@dataclass(frozen=True)
class Passage:
    """A retrieved row as the prompt had it."""

    contribution: str
    owner: str
    row: str


@dataclass(frozen=True)
class Evidence:
    """What corroborates the scores. Row numbers of `spans` and `alike` become names by `row_names`."""

    rows: Sequence[tuple[str, float]] = ()
    spans: Sequence[Span] = ()
    alike: Sequence[tuple[int, float]] = ()
    row_names: Sequence[str] = ()
    passages: Sequence[Passage] = ()
    used: Used | None = None


def join(
    scores: Mapping[str, float],
    length: float,
    gain: float,
    limits: Limits,
    holdings: Mapping[str, Holding],
    evidence: Evidence = Evidence(),
    *,
    adapter: str = "",
    accuracy: Mapping[str, Any] | None = None,
    method: str = METHOD,
) -> Result:
    """Of one answer. `scores` are those of the index's names, whose credit `holdings` knows; the rule is asked by
    account, so that many contributions of one account are one."""
    by_account: dict[str, float] = {}
    for name, value in scores.items():
        account = holdings[name].account
        by_account[account] = by_account.get(account, 0.0) + value
    proposal = propose(by_account, length, gain, limits)
    documents, for_documents = _documents(evidence, gain)
    left = WHOLE - for_documents
    noise = limits.noise * length or 1.0
    credited = _credits(proposal, scores, holdings, left, noise)
    paid = sum(credit.weight for credit in credited) + sum(document.weight for document in documents)
    fed = any(document.weight for document in documents)
    return Result(
        abstained=None if credited or fed else proposal.abstained or "every part is below a millionth",
        credits=credited,
        documents=documents,
        unattributed=WHOLE - paid,
        considered=_considered(proposal, scores, holdings, credited, noise),
        rows=tuple(RowScore(row, round(value / noise * MILLION)) for row, value in evidence.rows),
        spans=tuple(_seen(span, evidence.row_names) for span in evidence.spans),
        alike=tuple(RowScore(named(row, evidence.row_names), round(v * MILLION)) for row, v in evidence.alike),
        gain=round(gain * MILLION),
        strength=round(max(by_account.values()) / noise * MILLION) if scores else 0,
        passes=evidence.used.passes if evidence.used else 0,
        adapter=adapter,
        accuracy=accuracy,
        method=method,
    )


def abstain(why: str, adapter: str = "", accuracy: Mapping[str, Any] | None = None, method: str = METHOD) -> Result:
    """Before any score could be taken."""
    return Result(abstained=why, adapter=adapter, accuracy=accuracy, method=method)


def _documents(evidence: Evidence, gain: float) -> tuple[tuple[Document, ...], int]:
    """Those of the prompt, and how much of the whole is theirs, paid or not."""
    if evidence.used is None or not evidence.passages:
        return (), 0
    added = [max(0.0, weight) for weight in evidence.used.weights]
    everything = sum(added) + max(0.0, gain)
    trusted = evidence.used.fit >= LEAST_FIT and everything > 0
    documents = tuple(
        Document(
            passage.contribution,
            passage.owner,
            passage.row,
            int(part / everything * WHOLE) if trusted else 0,
            round(weight * MILLION),
        )
        for passage, part, weight in zip(evidence.passages, added, evidence.used.weights, strict=True)
    )
    return documents, int(sum(added) / everything * WHOLE) if everything > 0 else 0


def _credits(
    proposal: Proposal,
    scores: Mapping[str, float],
    holdings: Mapping[str, Holding],
    whole: int,
    noise: float,
) -> tuple[Credited, ...]:
    """An account's share goes to its contributions in proportion to what raised it."""
    shares = dict(proposal.shares)
    raised: dict[str, float] = {}
    for name, value in scores.items():
        if value > 0:
            raised[holdings[name].account] = raised.get(holdings[name].account, 0.0) + value
    found = []
    for name, value in scores.items():
        held = holdings[name]
        if value > 0 and held.account in shares:
            weight = int(shares[held.account] * value / raised[held.account] * whole)
            if weight:
                score = round(value / noise * MILLION)
                found.append(Credited(held.contribution, held.owner, held.holder, weight, score))
    return tuple(sorted(found, key=lambda credit: (-credit.weight, credit.contribution, credit.owner)))


def _considered(
    proposal: Proposal,
    scores: Mapping[str, float],
    holdings: Mapping[str, Holding],
    credited: Sequence[Credited],
    noise: float,
    most: int = 20,
) -> tuple[Considered, ...]:
    """The best of those who get nothing."""
    paid = {(credit.contribution, credit.owner, credit.holder) for credit in credited}
    found = []
    for name, value in scores.items():
        held = holdings[name]
        if (held.contribution, held.owner, held.holder) not in paid:
            why = proposal.abstained or ("the influence is not positive" if value <= 0 else "below the noise")
            found.append(Considered(held.contribution, held.owner, round(value / noise * MILLION), why))
    return tuple(sorted(found, key=lambda one: (-one.score, one.contribution))[:most])


def _seen(span: Span, names: Sequence[str]) -> Seen:
    rows = tuple(named(row, names) for row in span.rows)
    return Seen(span.start, span.length, span.occurrences, rows, round(span.bits * 1000))


def named(row: int, names: Sequence[str]) -> str:
    """A row's name; its number where names were not published."""
    return names[row] if row < len(names) else str(row)

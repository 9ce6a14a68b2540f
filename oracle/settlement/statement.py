"""One account's statement: accepted → trained into → influenced → earned → claimable → claimed, by contribution.

Four different figures, each with a plain reason where it is nothing, and the receipts behind every amount.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from oracle.settlement.document import RECEIPT_LINE, Reader, hexed
from oracle.settlement.shares import Role, by_contribution, largest_remainder
from oracle.store.receipts import Attribution, Credit
from oracle.types import Address, Epoch, Hash32, Wei


@dataclass(frozen=True)
class Known:
    """What the registry says of one contribution of this account."""

    accepted_rows: int | None = None  # None: no outcome yet
    rows: int = 0
    models: tuple[str, ...] = ()  # versions trained on a snapshot that contains it


@dataclass
class Line:
    """One contribution, or one role in which the account earned without one."""

    name: str
    accepted: str
    trained: str
    influenced: int  # receipts whose attribution gave it weight
    earned: Wei
    reason: str
    paid: int = 0  # receipts that paid it
    receipts: list[tuple[str, Wei]] = field(default_factory=list)
    claimable: Wei = Wei(0)  # noqa: RUF009 — a number
    claimed: Wei = Wei(0)  # noqa: RUF009
    pending: Wei = Wei(0)  # noqa: RUF009


@dataclass
class Statement:
    """A claim takes all that is in force at once: a line's part of what was claimed is in proportion to what it has
    there, by largest remainder. Only the account's own figure stands on the chain."""

    account: Address
    lines: list[Line]
    earned: Wei
    claimable: Wei
    claimed: Wei
    pending: Wei  # in a batch whose root is not active yet


@dataclass
class Part:
    """What one document says of one account under one name: a contribution's, or a role's."""

    influenced: int = 0
    lost: int = 0  # receipts in which a near-duplicate's credit went to somebody else
    earned: int = 0
    paid: int = 0  # receipts that paid it
    receipts: list[tuple[str, Wei]] = field(default_factory=list)  # the newest of them
    active: int = 0  # of what was earned, what is under a root in force


Parts = dict[str, Part]


def statement(
    account: Address,
    documents: Iterable[tuple[Epoch, BinaryIO, bool]],
    known: Mapping[Hash32, Known],
    credited: Wei,
) -> Statement:
    """From the published documents, oldest first, each with whether its root is active. All of them are read."""
    read = ((parts_of(published, account).get(account, {}), active) for _, published, active in documents)
    return combined(account, read, known, credited)


def combined(
    account: Address, parts: Iterable[tuple[Parts, bool]], known: Mapping[Hash32, Known], credited: Wei
) -> Statement:
    """What the documents' parts come to together; each comes with whether its root is active."""
    own: Parts = {hexed(name): Part() for name in known}
    earned = active = 0
    for of_document, is_active in parts:
        for name, part in of_document.items():
            whole = own.setdefault(name, Part())
            whole.influenced += part.influenced
            whole.lost += part.lost
            whole.earned += part.earned
            whole.paid += part.paid
            whole.receipts += part.receipts
            whole.active += part.earned if is_active else 0
            earned += part.earned
            active += part.earned if is_active else 0
    lines = [_explained(name, own[name], known) for name in sorted(own)]
    _part_claimed(lines, [own[name].active for name in sorted(own)], min(active, credited))
    claimable = Wei(max(0, active - credited))
    return Statement(account, lines, Wei(earned), claimable, credited, Wei(earned - active))


def _part_claimed(lines: list[Line], active: list[int], credited: int) -> None:
    """What was claimed, over what stood to be claimed."""
    taken = largest_remainder(credited, active) if any(active) else active
    for line, whole, claimed in zip(lines, active, taken):
        line.claimed, line.claimable, line.pending = Wei(claimed), Wei(whole - claimed), Wei(line.earned - whole)


def parts_of(
    published: BinaryIO, only: Address | None = None, most_receipts: int | None = None
) -> dict[Address, Parts]:
    """By account, of everybody or of one, from one pass over the document."""
    found: dict[Address, Parts] = {}
    for line in Reader(published).lines():
        if not line.startswith(RECEIPT_LINE) or (only is not None and only.encode() not in line):
            continue
        content = orjson.loads(line)
        attribution = Attribution.from_json(content["attribution"])
        for account in {only} if only is not None else _named(content, attribution):
            _gather(found.setdefault(account, {}), account, content, attribution, most_receipts)
    return found


def _named(content: Mapping[str, Any], attribution: Attribution) -> set[Address]:
    credited = {account for credit in attribution.credits for account in (credit.account, credit.owner)}
    return credited | {Address(account) for _, account, _ in content["shares"]}


def _gather(
    parts: Parts, account: Address, content: Mapping[str, Any], attribution: Attribution, most: int | None
) -> None:
    own = [credit for credit in attribution.credits if credit.account == account and credit.weight]
    for name in {hexed(credit.contribution) for credit in own}:
        parts.setdefault(name, Part()).influenced += 1
    for credit in attribution.credits:
        if credit.owner == account and credit.account != account and credit.weight:
            parts.setdefault(hexed(credit.contribution), Part()).lost += 1
    for role, name, amount in content["shares"]:
        if name != account:
            continue
        for what, wei in _split(int(role), int(amount), own):
            part = parts.setdefault(what, Part())
            part.earned += wei
            part.paid += 1
            part.receipts.append((content["hash"], Wei(wei)))
            if most is not None:
                del part.receipts[:-most]


def _split(role: int, amount: int, own: list[Credit]) -> list[tuple[str, int]]:
    if role == Role.CONTRIBUTOR and own:
        return [(hexed(name), one) for name, one in by_contribution(amount, own).items() if one]
    return [(f"as {Role(role).name.lower()}", amount)]


def _explained(name: str, part: Part, known: Mapping[Hash32, Known]) -> Line:
    line = Line(name, "–", "–", part.influenced, Wei(part.earned), "", part.paid, part.receipts)
    if not name.startswith("0x"):
        return line
    facts = known.get(Hash32(bytes.fromhex(name[2:])))
    line.accepted = "unknown" if facts is None else _accepted(facts)
    line.trained = "unknown" if facts is None else (", ".join(facts.models) or "none")
    if line.earned == 0:
        line.reason = _reason(facts, part.influenced, part.lost)
    return line


def _accepted(facts: Known) -> str:
    return "no outcome yet" if facts.accepted_rows is None else f"{facts.accepted_rows} of {facts.rows} rows"


def _reason(facts: Known | None, influenced: int, lost: int) -> str:
    if lost:
        return f"a near-duplicate of older rows: in {lost} answers the credit went to their earliest owner"
    if influenced:
        return f"influenced {influenced} answers, each by less than one wei of its fee"
    if facts is None:
        return "the registry's events are not read here; nothing was attributed to it"
    if facts.accepted_rows is None:
        return "the reviewers have not given its outcome"
    if facts.accepted_rows == 0:
        return "none of its rows was accepted; its page says why"
    if not facts.models:
        return "no published model was trained on a snapshot that contains it"
    return "models trained on it have answered, and no answer was attributed to it"

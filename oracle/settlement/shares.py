"""From one fee to integer shares that sum exactly to it. Pure; no float, no clock, no order of arrival.

1. The fee is parted among the six roles of the model's split by largest remainder, ties to the lower role. Each part
   then differs from its exact value by less than a wei, which is what the chain lets an attestor be slashed for.
2. Builders upstream, reviewers and attestors divide their role's part by weight, by largest remainder, ties to the
   lower account. These lists are closed: a registry or governance admits who stands in them.
3. The contributors' part is divided by attribution with every account's share rounded *down*. What that leaves, and
   what attribution could not assign, is the commons'. Anybody can open a second account; with rounding down, two
   accounts never get more than one did.
4. A near-duplicate's credit goes to the earliest owner of its cluster.

Dust: a share of less than one wei does not exist. The commons keep it (contributors), or the largest remainder does
(closed lists). A part whose role names nobody keeps its role and goes to the treasury's account.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from oracle.errors import NeedsPerson
from oracle.store.receipts import Attribution, Credit, Terms
from oracle.types import EVERYTHING, Address, Hash32, Wei


class Role(IntEnum):
    """In the order of Batches.Role."""

    CONTRIBUTOR = 0
    BUILDER = 1
    UPSTREAM = 2
    REVIEWER = 3
    ATTESTOR = 4
    TREASURY = 5
    COMMONS = 6


ROLES = tuple(Role)
LARGEST_FEE = Wei(2**96 - 1)


# A Credit, or the row of JSON that it was written as: (contribution, owner, weight, holder).
Credited: TypeAlias = tuple[object, Address, int | str, Address | None]


class Unpayable(NeedsPerson):
    """Terms or attribution of a receipt make no shares: a sum is wrong, or a weight is no amount."""


class Share(NamedTuple):
    role: int
    account: Address
    amount: Wei


def require_sound(terms: Terms) -> None:
    """Whether terms can be paid by; asked when they are stored and by whoever checks a batch."""
    if len(terms.split) != 6 or sum(terms.split) != EVERYTHING or min(terms.split) < 0:
        raise Unpayable(f"split {terms.split}: six parts in basis points have to sum to {EVERYTHING}")
    for name in ("upstream", "reviewers", "attestors"):
        if any(weight < 0 for _, weight in getattr(terms, name)):
            raise Unpayable(f"{name}: a weight is below zero; read the registry again")


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in proportion to the weights: each part within one of its exact value, ties to the lower place."""
    whole = sum(weights)
    if whole <= 0:
        raise Unpayable(f"weights {list(weights)[:8]}: nothing to divide {total} wei by")
    # So many times the weights themselves, exactly; only what is left over has remainders.
    times, rest = divmod(total, whole)
    over = _split_over(rest, tuple(weights)) if whole <= EVERYTHING else _left_over(rest, weights, whole)
    return [times * weight + one for weight, one in zip(weights, over)]


def _left_over(rest: int, weights: Sequence[int], whole: int) -> list[int]:
    """Of less than the weights' sum."""
    parts = [rest * weight // whole for weight in weights]
    missing = rest - sum(parts)
    if missing:
        remainders = [rest * weight % whole for weight in weights]
        # Sorting keeps the order of equals, also in reverse.
        for place in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:missing]:
            parts[place] += 1
    return parts


@lru_cache(maxsize=1 << 16)
def _split_over(rest: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """Of a split in basis points there are ten thousand; a batch has a million receipts."""
    return tuple(_left_over(rest, weights, sum(weights)))


def shares_of(fee: Wei, terms: Terms, attribution: Attribution) -> tuple[Share, ...]:
    """Sorted by (role, account), each pair once, none of zero; together exactly the fee."""
    return tuple(map(Share._make, divided(fee, terms, attribution.credits, attribution.unattributed)))


def divided(
    fee: Wei, terms: Terms, credited: Iterable[Credited], unattributed: int
) -> Sequence[tuple[int, Address, int]]:
    """The same as plain rows, and of credits as they were written: to make records of each takes as long as the rule,
    and a batch has a million receipts."""
    if not 0 <= fee <= LARGEST_FEE:
        raise Unpayable(f"fee {fee}: an amount lies between 0 and {LARGEST_FEE} wei")
    if fee == 0:
        return ()
    part = largest_remainder(fee, terms.split)
    found: list[tuple[int, Address, int]] = []
    assigned = 0
    if part[0]:
        amounts = contributors(part[0], credited, unattributed)
        # Accounts are numbers: the capitals of their checksums have no say in the order.
        found = [(0, account, amounts[account]) for account in sorted(amounts, key=str.lower)]
        assigned = sum(amounts.values())
    if part[1]:
        found.append((1, terms.builder, part[1]))
    for role, closed in ((2, terms.upstream), (3, terms.reviewers), (4, terms.attestors)):
        if part[role]:
            found += _among(role, part[role], closed, terms)
    if part[5]:
        found.append((5, terms.treasury, part[5]))
    if part[0] > assigned:
        found.append((6, terms.commons, part[0] - assigned))
    return found


def contributors(part: int, credited: Iterable[Credited], unattributed: int) -> dict[Address, int]:
    """Each account's share of the contributors' part, rounded down once, after its credits are summed."""
    weights: dict[Address, int] = {}
    whole = unattributed
    if whole < 0:
        raise Unpayable(f"attribution: {whole} unattributed is below zero")
    for contribution, owner, written, holder in credited:
        weight = int(written)
        if weight < 0:
            named = "0x" + contribution.hex() if isinstance(contribution, bytes) else contribution
            raise Unpayable(f"attribution: contribution {named} has a weight below zero")
        account = owner if holder is None else holder
        weights[account] = weights.get(account, 0) + weight
        whole += weight
    if whole == 0:
        return {}
    return {account: amount for account, weight in weights.items() if (amount := part * weight // whole)}


def by_contribution(amount: int, credited: Iterable[Credit]) -> Mapping[Hash32, int]:
    """One account's share of one receipt over its own credits, for its statement: sums to the share."""
    weights: dict[Hash32, int] = {}
    for credit in credited:
        weights[credit.contribution] = weights.get(credit.contribution, 0) + credit.weight
    names = sorted(weights)
    return dict(zip(names, largest_remainder(amount, [weights[name] for name in names])))


def _among(
    role: int, part: int, closed: tuple[tuple[Address, int], ...], terms: Terms
) -> list[tuple[int, Address, int]]:
    accounts, weights = _listed(closed)
    if len(accounts) < 2:
        return [(role, accounts[0] if accounts else terms.treasury, part)]
    amounts = largest_remainder(part, weights)
    return [(role, account, amount) for account, amount in zip(accounts, amounts) if amount]


@lru_cache(maxsize=4096)
def _listed(closed: tuple[tuple[Address, int], ...]) -> tuple[tuple[Address, ...], tuple[int, ...]]:
    """Each account once, with its weight, in their order; remembered, for a batch has few terms and many receipts."""
    weights: dict[Address, int] = {}
    for account, weight in closed:
        weights[account] = weights.get(account, 0) + weight
    accounts = tuple(sorted((account for account, weight in weights.items() if weight), key=str.lower))
    return accounts, tuple(weights[account] for account in accounts)

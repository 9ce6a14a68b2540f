"""Proposals with their tallies, as the governor's events tell of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from oracle.store.events import Event, events
from oracle.types import Address, ChainId, Hash32, Timestamp

TOTAL_SUPPLY = 10**27  # of OPEN in wei; fixed for ever in the token's code
AGAINST, FOR, ABSTAIN = 0, 1, 2


@dataclass(frozen=True)
class Vote:
    voter: Address
    support: int
    weight: int
    reason: str


@dataclass
class Proposal:
    id: int
    proposer: Address
    description: str
    targets: Sequence[Address]
    values: Sequence[int]
    calls: Sequence[bytes]
    starts_at: int
    ends_at: int
    tx: Hash32
    votes: list[Vote] = field(default_factory=list)
    eta: int | None = None
    executed: bool = False
    canceled: bool = False
    quorum: int = 0

    @property
    def title(self) -> str:
        return self.description.strip().splitlines()[0][:120] if self.description.strip() else f"Proposal {self.id}"

    @property
    def text(self) -> str:
        return "\n".join(self.description.strip().splitlines()[1:]).strip()

    def weight(self, support: int) -> int:
        return sum(vote.weight for vote in self.votes if vote.support == support)

    @property
    def counted(self) -> int:
        """What counts towards the quorum."""
        return self.weight(FOR) + self.weight(ABSTAIN)

    def state(self, now: Timestamp) -> str:
        """As the governor decides it."""
        if self.canceled:
            return "canceled"
        if self.executed:
            return "executed"
        if now <= self.starts_at:
            return "pending"
        if now <= self.ends_at:
            return "active"
        if self.counted < self.quorum or self.weight(FOR) <= self.weight(AGAINST):
            return "defeated"
        return "queued" if self.eta is not None else "succeeded"


def proposals(connection: Connection, chain: ChainId) -> list[Proposal]:
    """The newest first."""

    def told(name: str) -> list[Event]:
        return events(connection, chain, "OpenGovernor", name)

    shares = [(event.timestamp, event.args["newQuorumNumerator"]) for event in told("QuorumNumeratorUpdated")]
    found: dict[int, Proposal] = {}
    for event in told("ProposalCreated"):
        made = _created(event.args, Hash32(event.tx))
        percent = [share for at, share in shares if at <= made.starts_at]
        made.quorum = TOTAL_SUPPLY * (percent[-1] if percent else 0) // 100
        found[made.id] = made
    for name in ("VoteCast", "VoteCastWithParams"):
        for event in told(name):
            args = event.args
            found[args["proposalId"]].votes.append(Vote(args["voter"], args["support"], args["weight"], args["reason"]))
    for event in told("ProposalExtended"):
        found[event.args["proposalId"]].ends_at = event.args["extendedDeadline"]
    for event in told("ProposalQueued"):
        found[event.args["proposalId"]].eta = event.args["etaSeconds"]
    for event in told("ProposalExecuted"):
        found[event.args["proposalId"]].executed = True
    for event in told("ProposalCanceled"):
        found[event.args["proposalId"]].canceled = True
    return list(found.values())[::-1]


def _created(args: Mapping[str, Any], tx: Hash32) -> Proposal:
    return Proposal(
        args["proposalId"], args["proposer"], args["description"], args["targets"], args["values"],
        args["calldatas"], args["voteStart"], args["voteEnd"], tx,
    )  # fmt: skip

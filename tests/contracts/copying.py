"""Copied rows: a datanet's log kept beside the chain, and the evidence that anybody can make from such a log."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

from eth_utils import keccak

from contributions import FAR, NO_HASH, Contribution, fold, fund, outcomes_digest, rows_of
from merkle import Tree
from suite import OPEN

ROW = "shared row"
BOND = 250 * OPEN
SLASH = 100 * OPEN
REWARD = SLASH // 5
DELAY = 604_800


def row_hash(row: str) -> bytes:
    return keccak(text=row)


@dataclass
class Evidence:
    """What an accuser hands in, field by field as the contract reads it."""

    older: tuple
    newer: tuple
    row: bytes
    outcome: tuple
    older_proof: list[bytes]
    newer_proof: list[bytes]
    older_at: tuple
    newer_at: tuple

    @property
    def struct(self) -> tuple:
        return tuple(vars(self).values())

    def but(self, **changes) -> Evidence:
        return Evidence(**{**vars(self), **changes})


@dataclass
class Copying:
    """Who contributed which rows to one datanet, in which order."""

    suite: SimpleNamespace
    actors: SimpleNamespace
    datanet: int
    names: list[bytes] = field(default_factory=list)
    rows: dict[bytes, tuple[str, ...]] = field(default_factory=dict)
    outcomes: dict[bytes, tuple] = field(default_factory=dict)

    def bond(self, actor, amount: int = BOND) -> None:
        fund(self.suite, self.actors, actor, amount, self.suite.datanets)
        self.suite.datanets.postBond(self.datanet, amount, {"from": actor.account})

    def contribution(self, actor, *rows: str) -> Contribution:
        made = Contribution(actor.address, self.datanet, rows_root=rows_of(actor.address, *rows).root, count=len(rows))
        self.rows[made.name] = rows
        return made

    def contribute(self, actor, *rows: str) -> Contribution:
        made = self.contribution(actor, *rows)
        self.suite.datanets.contribute(*made.content, {"from": actor.account})
        self.names.append(made.name)
        return made

    def relay(self, author, contribution: Contribution, relayer) -> None:
        """Once more, by a signature that everybody has seen."""
        signature = author.sign(contribution.digest(self.suite.datanets))
        self.suite.datanets.contributeBySig(contribution.struct, FAR, signature, {"from": relayer.account})
        self.names.append(contribution.name)

    def flood(self, author, contribution: Contribution, times: int) -> None:
        """One signature relayed again and again, in a single call."""
        item = contribution.signed_rows(author.sign(contribution.digest(self.suite.datanets)))
        self.suite.datanets.contributeMany(self.datanet, [item] * times, True, {"from": self.actors.thief.account})
        self.names += [contribution.name] * times

    def review(self, contribution: Contribution, *accepted: str) -> None:
        """The reviewer accepts some of the rows, or none."""
        root = self.tree(contribution, accepted).root if accepted else NO_HASH
        outcome = (contribution.name, root, len(accepted), keccak(text="reasons"))
        signature = self.actors.reviewer.sign(outcomes_digest(self.suite.datanets, self.datanet, [outcome]))
        sender = {"from": self.actors.relayer.account}
        self.suite.datanets.recordOutcomes(self.datanet, [outcome], signature, sender)
        self.outcomes[contribution.name] = outcome

    def checkpoint(self) -> int:
        """Returns where in the log it stands."""
        self.suite.datanets.checkpoint(self.datanet, {"from": self.actors.relayer.account})
        return len(self.names)

    def tree(self, contribution: Contribution, rows: tuple[str, ...]) -> Tree:
        return rows_of(contribution.contributor, *rows)

    def segment(self, place: int, end: int | None = None) -> tuple:
        """From a place in the log to its head, or to the checkpoint at `end`."""
        return (fold(NO_HASH, self.names[:place]), self.names[place + 1 : end])

    def place(self, contribution: Contribution) -> int:
        return self.names.index(contribution.name)

    def evidence(self, older: Contribution, newer: Contribution, accepted: tuple = (ROW,), row: str = ROW) -> Evidence:
        """That `newer` has a row which was accepted of `older`; as places, the first of each."""
        rows = self.rows[newer.name]
        return Evidence(
            older=older.struct,
            newer=newer.struct,
            row=row_hash(row),
            outcome=self.outcomes.get(older.name, (older.name, self.tree(older, accepted).root, 1, NO_HASH)),
            older_proof=self.tree(older, accepted).proof(accepted.index(row)),
            newer_proof=self.tree(newer, rows).proof(rows.index(row)),
            older_at=self.segment(self.place(older)),
            newer_at=self.segment(self.place(newer)),
        )

    def accuse(self, evidence: Evidence, finder=None):
        """The finder brings its stake and accuses."""
        by = finder or self.actors.finder
        fund(self.suite, self.actors, by, SLASH, self.suite.datanets)
        return self.suite.datanets.accuseDuplicate(evidence.struct, {"from": by.account})

    def bonded(self, actor) -> int:
        return self.suite.datanets.bondOf(self.datanet, actor.address)[0]

    def accused(self, contribution: Contribution) -> tuple:
        """Stake and deadline of the accusation that stands."""
        accusation = self.suite.datanets.accusationOf(contribution.name)
        return accusation[1], accusation[3]

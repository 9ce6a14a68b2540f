"""Passages that a receipt names, held against the chain: whose they are, and what stood in the prompt.

The conditions whose hash is in the receipt name them: the operator has signed for datanet, contribution, row and owner.
Here each has to be a row of that contribution, by the root that the registry has, and one that was accepted; its text
has to have the row's hash; and its owner has to be who contributed it, or who holds the credit of its cluster by a
snapshot that is on chain. Of a private row, by the contribution's manifest, the text is the operator's word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from oracle.datanets.calls import Terms
from oracle.datanets.canonical import row_hash
from oracle.datanets.manifest import BadManifest, read_manifest
from oracle.datanets.merkle import proves, row_leaf
from oracle.retrieval.cutting import passage_of
from oracle.retrieval.prompting import quoted
from oracle.settlement.differing import Difference
from oracle.settlement.document import hexed, unhexed
from oracle.settlement.recomputing import Unable
from oracle.types import Address, ContributionId, DatanetId, Hash32, RowHash


@dataclass(frozen=True)
class Named:
    """A passage as the receipt's conditions name it."""

    datanet: DatanetId
    contribution: ContributionId
    row: RowHash
    owner: Address


@dataclass(frozen=True)
class Shown:
    """The same passage as the operator shows it: its row, or of a private row the passage alone."""

    text: str
    part: int
    manifest: str
    held: tuple[bytes, ...]
    accepted: tuple[bytes, ...]
    snapshot: int | None

    @classmethod
    def read(cls, content: dict[str, Any]) -> Shown:
        """Raises whatever a stranger's JSON leads to."""
        held, accepted = (tuple(unhexed(each, 32) for each in content[name]) for name in ("held", "accepted"))
        snapshot = content["snapshot"]
        return cls(
            str(content["text"]), int(content["part"]), str(content["manifest"]), held, accepted,
            None if snapshot is None else int(snapshot),
        )  # fmt: skip


@dataclass(frozen=True)
class OnChain:
    """A contribution as the registry's events tell it; no root where no reviewers have spoken."""

    terms: Terms
    accepted_root: Hash32 | None


class Registry(Protocol):
    """An attestor's own knowledge of datanets."""

    def contribution(self, datanet: DatanetId, name: ContributionId) -> OnChain | None: ...

    def holder(self, passage: Named, snapshot: int) -> Address | Unable | None:
        """Who holds the credit of a passage's row, by a version of its datanet; None where that does not say."""
        ...


def named_in(conditions: str) -> tuple[Named, ...]:
    """In the order of their numbers."""
    retrieved = (orjson.loads(conditions) if conditions else {}).get("retrieved") or {"used": []}
    return tuple(
        Named(
            DatanetId(each["datanet"]), ContributionId(unhexed(each["contribution"], 32)),
            RowHash(unhexed(each["row"], 32)), Address(each["owner"]),
        )
        for each in retrieved["used"]
    )  # fmt: skip


def quotes(
    receipt: str, named: tuple[Named, ...], shown: tuple[Shown, ...], registry: Registry | None
) -> tuple[str, ...] | Unable:
    """What stood in the prompt, in order. Raises Difference where the chain does not have what the receipt names."""
    if len(named) != len(shown):
        raise Difference("prompt", receipt, f"it names {len(named)} passages, and {len(shown)} are shown")
    if not named:
        return ()
    if registry is None:
        return Unable("passages stood in its prompt, and there is no index of the registries to hold them against")
    found = []
    for number, (passage, told) in enumerate(zip(named, shown), 1):
        quote = _quote(f"{receipt}, passage [{number}]", passage, told, registry)
        if isinstance(quote, Unable):
            return quote
        found.append(quote)
    return tuple(found)


def _quote(where: str, passage: Named, told: Shown, registry: Registry) -> str | Unable:
    chain = registry.contribution(passage.datanet, passage.contribution)
    if chain is None:
        which = f"contribution {hexed(passage.contribution)}"
        raise Difference("prompt", where, f"the registry has no {which} in datanet {passage.datanet}")
    leaf = row_leaf(chain.terms.contributor, passage.row)
    if not proves(chain.terms.rows_root, leaf, told.held):
        raise Difference("prompt", where, f"row {hexed(passage.row)} is not shown to be one of its contribution")
    if chain.accepted_root is None or not proves(chain.accepted_root, leaf, told.accepted):
        raise Difference("prompt", where, f"row {hexed(passage.row)} is not shown to have been accepted")
    unknown = _owned(where, passage, told, chain.terms.contributor, registry)
    return unknown or quoted(_text(where, passage, told, chain.terms))


def _owned(
    where: str, passage: Named, told: Shown, contributor: Address, registry: Registry
) -> Unable | None:  # fmt: skip
    holder: Address | Unable | None = contributor
    if passage.owner != contributor and told.snapshot is not None:
        holder = registry.holder(passage, told.snapshot)
    if isinstance(holder, Unable):
        return holder
    if holder != passage.owner:
        raise Difference("prompt", where, f"the receipt names {passage.owner} as its owner; it is {holder}'s")
    return None


def _text(where: str, passage: Named, told: Shown, terms: Terms) -> str:
    """The passage before it is quoted."""
    try:
        manifest = read_manifest(told.manifest.encode())
    except BadManifest as error:
        raise Difference("prompt", where, str(error)) from None
    if manifest.hash != terms.manifest_hash:
        raise Difference("prompt", where, "the manifest that is shown is not the one that is on chain")
    if manifest.private:
        return told.text
    content = told.text.encode()
    if row_hash(content) != passage.row:
        shown = hexed(row_hash(content))
        raise Difference("prompt", where, f"its text is row {shown}, the receipt names {hexed(passage.row)}")
    try:
        return passage_of(content, told.part)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        what = f"row {hexed(passage.row)} has no passage of that number, {told.part} ({type(error).__name__})"
        raise Difference("prompt", where, what) from None

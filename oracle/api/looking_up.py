"""Passages of documents in the prompt, for models that were published with datanets to look things up in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracle.api.asking import Asked
from oracle.api.catalogue import Offer
from oracle.api.refusals import Refusal
from oracle.api.shop import Shop
from oracle.daemon.texts import Words
from oracle.errors import OpenLedgerError, Retry
from oracle.retrieval.records import Found, cited
from oracle.retrieval.records import Passage as Looked
from oracle.store import contributions
from oracle.store.answers import Passage
from oracle.types import ContributionId

_LONGEST_QUESTION = 4000  # characters: an encoder reads less
_LEAST_ROOM = 64  # tokens; in less, no passage fits that says anything
_JOINT = 24  # tokens that a template may put around a message
_SHORT = 4_000  # characters: their tokens are there in a few milliseconds


@dataclass(frozen=True)
class Retrieval:
    """Passages as the answer names them, in the order of their numbers, and those that were looked at and left out.

    `texts` are those that everybody may read, by their place in `used` and then in `considered`.
    """

    used: tuple[dict[str, Any], ...]
    considered: tuple[dict[str, Any], ...]
    texts: tuple[str | None, ...]

    @property
    def document(self) -> dict[str, Any]:
        """What the receipt stands for: whose passages, and no text."""
        return {"used": list(self.used), "considered": list(self.considered)}

    def told(self, answer: str) -> dict[str, Any]:
        """For whoever reads the answer: with the texts, and which of them it cites."""
        named = cited(answer, len(self.used))
        used = [{**each, "cited": each["number"] in named, "text": text} for each, text in zip(self.used, self.texts)]
        rest = zip(self.considered, self.texts[len(self.used) :], strict=True)
        return {"used": used, "considered": [{**each, "text": text} for each, text in rest]}


@dataclass(frozen=True)
class Prompt:
    """The tokens that the model sees, which of them are passages, and what its reader and the receipt are told."""

    tokens: tuple[int, ...]
    passages: tuple[Passage, ...] = ()
    retrieval: Retrieval | None = None


async def prompt_of(shop: Shop, asked: Asked, offer: Offer, words: Words) -> Prompt:
    """With what is found, where there is something to look up; raises BadTemplate and Refusal."""
    plain = await _plain(words, asked)
    datanets = offer.model.made.retrieval
    question = _question(asked)
    room = min(shop.settings.retrieval_tokens, words.context - len(plain) - (asked.max_tokens or 0))
    if not datanets or not question or room < _LEAST_ROOM:
        return Prompt(plain)
    licences = asked.conditions.licences
    allowed = None if licences is None else frozenset(licences)
    try:
        found = await asyncio.to_thread(
            shop.ground.retriever.find, question, datanets, room - _JOINT, lambda text: _count(words, text), allowed
        )
    except Retry as error:
        raise Refusal(503, "not_looked_up", str(error), retry_after=10) from None
    except OpenLedgerError as error:
        raise Refusal(503, "not_looked_up", "its documents cannot be looked up now", retry_after=60) from error
    return await asyncio.to_thread(lambda: _with(words, asked, found, plain, _retrieval(shop, found)))


async def _plain(words: Words, asked: Asked) -> tuple[int, ...]:
    """What is asked, alone. In a thread where that takes long: a stranger's template, or very many words."""

    size = len(asked.prompt) + sum(len(each["content"]) for each in asked.messages)
    if size > _SHORT or (words.template and asked.messages):
        return (await asyncio.to_thread(words.prompt, _said(asked))).tokens
    return words.prompt(_said(asked)).tokens


def _with(words: Words, asked: Asked, found: Found, plain: tuple[int, ...], told: Retrieval) -> Prompt:
    if not found.passages:
        return Prompt(plain, found.logged("", []), told)
    made = words.prompt(_said(asked), found.prompt_block)
    return Prompt(made.tokens, found.logged(made.text, made.offsets), told)


def _retrieval(shop: Shop, found: Found) -> Retrieval:
    both = (*found.passages, *found.considered)
    shown = readable(shop, {each.contribution for each in both})
    return Retrieval(
        tuple({"number": number, **_source(each)} for number, each in enumerate(found.passages, 1)),
        tuple(_source(each) for each in found.considered),
        tuple(each.text if each.contribution in shown else None for each in both),
    )


def _source(each: Looked) -> dict[str, Any]:
    return {
        "datanet": each.datanet, "contribution": "0x" + each.contribution.hex(), "row": "0x" + each.row.hex(),
        "owner": each.owner, "licence": each.licence, "title": each.title,
    }  # fmt: skip


def readable(shop: Shop, names: Iterable[ContributionId]) -> set[ContributionId]:
    """Contributions whose rows everybody may read: neither sealed nor erased."""
    found = set()
    with shop.ground.database.reading() as connection:
        for name in names:
            given = contributions.named(connection, name)
            if not given.private and not given.erased:
                found.add(name)
    return found


def _question(asked: Asked) -> str:
    """What the user said last."""
    said = [each["content"] for each in asked.messages if each["role"] == "user"]
    return (said[-1] if said else asked.prompt)[-_LONGEST_QUESTION:].strip()


def _said(asked: Asked) -> str | Sequence[Mapping[str, str]]:
    return asked.messages or asked.prompt


def _count(words: Words, text: str) -> int:
    return len(words.encode(text, special=False))

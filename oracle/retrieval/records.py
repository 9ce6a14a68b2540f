"""What a question found: passages that stand in the prompt, and those that were looked at and left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from oracle.retrieval.cutting import searched
from oracle.store import answers
from oracle.types import Address, ContributionId, DatanetId, Hash32, RowHash

_CITATION = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True)
class Passage:
    """A part of an accepted document. Its owner is whoever holds the credit of its row's cluster."""

    datanet: DatanetId
    contribution: ContributionId
    row: RowHash
    place: int  # of the row in its contribution
    part: int  # of the passage in its row
    owner: Address
    cluster: Hash32
    licence: str
    title: str
    text: str

    @property
    def name(self) -> tuple[ContributionId, int, int]:
        """No two passages share it."""
        return self.contribution, self.place, self.part

    @property
    def searched(self) -> str:
        """What the indexes read of it."""
        return searched(self.title, self.text)


@dataclass(frozen=True)
class Found:
    """`passages` stand in `prompt_block` as [1], [2], …; `considered` were looked at and left out, best first."""

    passages: tuple[Passage, ...] = ()
    considered: tuple[Passage, ...] = ()
    prompt_block: str = ""
    quotes: tuple[str, ...] = ()  # each passage as it stands in the block

    def logged(self, prompt: str, offsets: Sequence[tuple[int, int]]) -> tuple[answers.Passage, ...]:
        """For the record of the answer: the tokens of each passage in the whole prompt, of which the tokenizer tells
        the characters of each token. What was left out has none. Raises ValueError where the block is not in the
        prompt."""
        stood = places(prompt, self.prompt_block, self.quotes, offsets)
        used = (_logged(passage, *place) for passage, place in zip(self.passages, stood, strict=True))
        return (*used, *(_logged(passage, 0, 0) for passage in self.considered))

    def cited(self, answer: str) -> tuple[int, ...]:
        return cited(answer, len(self.passages))


def places(prompt: str, block: str, quotes: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The tokens of each quotation of the block in the whole prompt: the first, and the one behind the last."""
    at = prompt.find(block)
    if at < 0 and quotes:
        raise ValueError("the prompt does not hold the block of passages as it was made")
    found = []
    for quote in quotes:
        at = prompt.index(quote, at)
        found.append(_tokens(offsets, at, at + len(quote)))
        at += len(quote)
    return found


def _logged(passage: Passage, first: int, last: int) -> answers.Passage:
    contribution, row = Hash32(passage.contribution), Hash32(passage.row)
    return answers.Passage(passage.datanet, contribution, row, first, last, passage.part, passage.owner)


def cited(answer: str, passages: int) -> tuple[int, ...]:
    """The numbers in an answer that stand for one of so many passages, each once, in ascending order."""
    numbers = {int(each) for each in _CITATION.findall(answer)}
    return tuple(sorted(number for number in numbers if 1 <= number <= passages))


def _tokens(offsets: Sequence[tuple[int, int]], begin: int, end: int) -> tuple[int, int]:
    """From the first token that reaches into the characters to behind the last; special tokens have no characters."""
    inside = [at for at, (a, b) in enumerate(offsets) if b > a and b > begin and a < end]
    if not inside:
        raise ValueError(f"no token stands for the characters {begin} to {end} of the prompt")
    return inside[0], inside[-1] + 1

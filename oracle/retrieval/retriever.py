"""From a question to the passages that stand in its prompt.

Two scores, of words and of meaning, are summed by weight; the store is asked which of the best may still be looked up;
what fits the budget is quoted, and the rest is remembered as looked at and left out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oracle.errors import NeedsPerson
from oracle.retrieval.encoding import Encoder
from oracle.retrieval.errors import EncoderGone, NotIndexed
from oracle.retrieval.index import Index, Scored
from oracle.retrieval.prompting import CountTokens, block
from oracle.retrieval.records import Found, Passage
from oracle.retrieval.segments import Contents, Segment, Segments
from oracle.retrieval.standing import Standing
from oracle.store.database import Database
from oracle.store.vault import KeyDestroyed
from oracle.types import ContributionId, DatanetId, Hash32

log = logging.getLogger(__name__)

LOOKED_AT = 12  # passages that a question considers
_DEPTH = 60  # of each ranking
# Words count against the best passage's, meaning as cosine. Reciprocal ranks lose here: of passages that share the same
# few words with a question, all but the first would count as bad (scripts/bench/retrieval.py measures it).
WORDS, MEANING = 0.4, 0.6
_TRIES = 5


@dataclass(frozen=True)
class _Open:
    content: bytes
    contents: Contents
    index: Index


class Retriever:
    """Safe to be used by many threads. Without an encoder words alone decide."""

    def __init__(self, database: Database, segments: Segments, encoder: Encoder | None) -> None:
        self._database, self._segments, self._encoder = database, segments, encoder
        self._open: dict[DatanetId, _Open] = {}
        self._lock = threading.Lock()

    def find(
        self,
        question: str,
        datanets: Sequence[DatanetId],
        budget_tokens: int,
        count_tokens: CountTokens,
        licences: frozenset[str] | None = None,
    ) -> Found:
        """Passages for a question, within a budget that the whole block keeps to; of certain licences where some are
        given. Raises NotIndexed where a datanet's documents wait for the daemon."""
        indexes = [self._index(datanet) for datanet in sorted(set(datanets))]
        ranked = fused(*self._rankings(question, indexes))
        if licences is not None:
            ranked = [passage for passage in ranked if passage.licence in licences]
        return block(self._standing(ranked), budget_tokens, count_tokens)

    def _rankings(self, question: str, opened: Sequence[_Open]) -> tuple[Scored, Scored]:
        """By words and by meaning."""
        by_words = [found for each in opened for found in each.index.by_words(question, _DEPTH)]
        by_meaning: Scored = []
        alike = [each for each in opened if self._encoder is not None and each.contents.encoder == self._encoder.name]
        if alike and self._encoder is not None and any(len(each.index) for each in alike):
            try:
                vector = self._encoder.encode([question])[0]
            except EncoderGone as error:
                log.warning("%s; this question is looked up by its words alone", error)
            else:
                by_meaning = [found for each in alike for found in each.index.by_meaning(vector, _DEPTH)]
        return _best_first(by_words), _best_first(by_meaning)

    def _standing(self, ranked: Iterable[Passage]) -> list[Passage]:
        """The best that may be looked up now. Of rows that are near to each other one speaks for all: copies of a
        document crowd nobody out."""
        kept: list[Passage] = []
        speakers: dict[Hash32, tuple[ContributionId, int]] = {}
        with self._database.reading() as connection:
            standing = Standing(connection)
            for passage in ranked:
                if len(kept) == LOOKED_AT:
                    break
                if not standing.holds(passage.contribution, passage.place, passage.row):
                    continue
                row = passage.contribution, passage.place
                if speakers.setdefault(passage.cluster, row) == row:
                    kept.append(passage)
        return kept

    def _index(self, datanet: DatanetId) -> _Open:
        with self._lock:
            for _ in range(_TRIES):
                content = self._segments.contents_bytes(datanet)
                if content is None:
                    raise NotIndexed(
                        f"datanet {datanet}: its documents are not indexed yet; the daemon does it soon after a"
                        f" snapshot, or at once: openledger retrieval build {datanet}"
                    )
                known = self._open.get(datanet)
                if known is not None and known.content == content:
                    return known
                contents = self._segments.read_contents(datanet, content)
                try:
                    index = Index(list(self._load(contents)))
                except FileNotFoundError:
                    continue  # a newer index has replaced it meanwhile
                self._open[datanet] = _Open(content, contents, index)
                return self._open[datanet]
        raise NeedsPerson(
            f"datanet {datanet}: segments that its index names are missing; openledger retrieval build {datanet}"
        )

    def _load(self, contents: Contents) -> Iterable[Segment]:
        for entry in contents.segments:
            try:
                yield self._segments.get(contents.datanet, entry)
            except KeyDestroyed:
                log.info("datanet %d: rows of %s were erased", contents.datanet, entry.contribution.hex())


def fused(by_words: Scored, by_meaning: Scored) -> list[Passage]:
    """By the weighted sum of both scores; of two that are equal, the one with the lower name."""
    sums: dict[tuple[ContributionId, int, int], float] = {}
    passages: dict[tuple[ContributionId, int, int], Passage] = {}
    most = max((score for score, _ in by_words), default=1.0)
    for ranking, weight in ((by_words, WORDS / most), (by_meaning, MEANING)):
        for score, passage in ranking:
            passages[passage.name] = passage
            sums[passage.name] = sums.get(passage.name, 0.0) + weight * score
    return [passages[name] for name in sorted(sums, key=lambda name: (-sums[name], name))]


def _best_first(scored: Scored) -> Scored:
    return sorted(scored, key=lambda found: (-found[0], found[1].name))[:_DEPTH]

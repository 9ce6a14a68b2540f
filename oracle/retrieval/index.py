"""One datanet's index in memory: words by BM25, meaning by vectors; each says its best passages for a question.

Words are those of the datanets' checks: without case, numbers in one writing, scripts without spaces by character.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import bm25s
import numpy as np
import numpy.typing as npt

from oracle.datanets.words import Splitter
from oracle.retrieval.records import Passage
from oracle.retrieval.segments import Segment, Vectors

Scored = list[tuple[float, Passage]]
LEAST_LIKENESS = 0.2  # of a question and a passage, as cosine: below it they have nothing to do with each other
_FLAGS = np.uint32(7)  # what a word may be part of does not matter here
_SPLIT_AT_ONCE = 2048
logging.getLogger("bm25s").setLevel(logging.WARNING)  # it tells of every index


class Index:
    def __init__(self, segments: Sequence[Segment]) -> None:
        self.passages = [passage for segment in segments for passage in segment.passages]
        self._splitter = Splitter()
        # Every word there is, in ascending order, and how many passages have it.
        self._words, self._spread = np.zeros(0, np.uint32), np.zeros(0, np.int64)
        self._bm25 = self._lexical([each.searched for each in self.passages])
        self._vectors = _together(segments)

    def __len__(self) -> int:
        return len(self.passages)

    def by_words(self, question: str, most: int) -> Scored:
        """Those that share a word with it, best first."""
        if self._bm25 is None:
            return []
        asked = _plain(self._splitter.split([question]).words)
        places = np.searchsorted(self._words, asked)
        known = places < len(self._words)
        known[known] = self._words[places[known]] == asked[known]
        ids = np.unique(places[known])
        # A word that most passages have tells none of them from the others.
        rare = ids[2 * self._spread[ids] <= len(self.passages)]
        ids = rare if len(rare) else ids
        if not len(ids):
            return []
        scores = self._bm25.get_scores_from_ids(ids.tolist())
        return self._best(scores, most, 0.0)

    def by_meaning(self, vector: npt.NDArray[np.float32], most: int) -> Scored:
        """Those that are like it at all, best first; none where nothing was encoded."""
        if self._vectors is None or not len(self._vectors):
            return []
        return self._best(self._vectors @ vector, most, LEAST_LIKENESS)

    def _best(self, scores: npt.NDArray[np.float32], most: int, above: float) -> Scored:
        """Ties go to the earlier passage, so that every process answers alike."""
        size = min(most, len(scores))
        threshold = np.partition(scores, len(scores) - size)[len(scores) - size]
        places = np.flatnonzero((scores >= threshold) & (scores > above))
        order = places[np.argsort(-scores[places], kind="stable")][:most]
        return [(float(scores[at]), self.passages[at]) for at in order]

    def _lexical(self, texts: list[str]) -> bm25s.BM25 | None:
        parts: list[npt.NDArray[np.uint32]] = []
        for at in range(0, len(texts), _SPLIT_AT_ONCE):
            split = self._splitter.split(texts[at : at + _SPLIT_AT_ONCE])
            parts += np.split(_plain(split.words), split.starts[1:-1])
        if not any(len(part) for part in parts):
            return None
        self._words, ids = np.unique(np.concatenate(parts), return_inverse=True)
        rows = np.split(ids, np.cumsum([len(part) for part in parts])[:-1])
        self._spread = np.bincount(np.concatenate([np.unique(row) for row in rows]), minlength=len(self._words))
        made = bm25s.BM25()
        made.index(
            ([row.tolist() for row in rows], {str(at): at for at in range(len(self._words))}), show_progress=False
        )
        return made


def _plain(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    return words & ~_FLAGS


def _together(segments: Sequence[Segment]) -> Vectors | None:
    """None where a segment has no vectors: then words alone decide."""
    found = [segment.vectors for segment in segments if segment.vectors is not None]
    return np.concatenate(found) if found and len(found) == len(segments) else None

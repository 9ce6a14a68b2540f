"""Where words of a list stand in a batch: nearly every word of a text is ruled out by the upper half of its value."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from oracle.datanets.words import Places, Words, plain, value_of


class WordList:
    def __init__(self, words: Iterable[str]) -> None:
        by_value = {value_of(word) & ~7: word for word in words}
        self.words = tuple(by_value[value] for value in sorted(by_value))
        self._values = np.array(sorted(by_value), np.uint32)
        self._likely = np.zeros(1 << 16, bool)
        self._likely[self._values >> np.uint32(16)] = True

    def find(self, words: Words) -> tuple[Places, Places]:
        """(which word of the batch, which of the list), in the order of the batch."""
        likely = np.flatnonzero(self._likely[words >> np.uint32(16)])
        values = plain(words[likely])
        place = np.searchsorted(self._values, values)
        hit = place < len(self._values)
        hit[hit] = self._values[place[hit]] == values[hit]
        return likely[hit], place[hit]

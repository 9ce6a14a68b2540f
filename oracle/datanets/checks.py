"""All checks of a batch of rows under a policy: those that need nothing but the row, and those that need the whole
datanet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.datanets.boilerplate import boilerplate_in
from oracle.datanets.kinds import Kind
from oracle.datanets.language import language_of, obvious_language
from oracle.datanets.near import Founders, Near, NearIndex
from oracle.datanets.personal import personal_in
from oracle.datanets.policy import Policy
from oracle.datanets.screening import Screened, screen
from oracle.datanets.secrets import secrets_in
from oracle.datanets.verdicts import Finding, Verdict, rejected
from oracle.datanets.wordlists import WordList
from oracle.datanets.words import Split, Splitter, changes

_LONG_ENOUGH = 20  # words or characters from which on a share means something
_DISTINCT_OVER = 300


@dataclass(frozen=True)
class Checked:
    """What was found of a batch: only rows against which something stands are in `findings`."""

    findings: dict[int, Finding]
    near: Sequence[Near]
    founders: Founders


class Checker:
    """The checks of one policy; keeps the vocabulary and the compiled word list between batches."""

    def __init__(self, policy: Policy, kind: Kind) -> None:
        self._policy, self._kind = policy, kind
        self._splitter = Splitter()
        self._toxic = WordList(policy.toxic_words)

    def alone(self, texts: Sequence[str]) -> tuple[dict[int, Finding], Split]:
        """Without looking at other rows: what a contributor's own machine can tell as well."""
        split = self._splitter.split(texts)
        found: dict[int, Finding] = {}
        if self._kind not in self._policy.taken:
            return dict.fromkeys(range(len(texts)), rejected("kind_not_taken", self._kind.word)), split
        screened = screen(texts)
        self._lengths(texts, split, screened, found)
        self._damage(texts, screened, found)
        self._quality(texts, split, screened, found)
        for row in np.flatnonzero(screened.keys).tolist():
            for code, what in secrets_in(texts[row]):
                self._note(found, row, "secrets", code, what)
        for row in np.flatnonzero(screened.personal).tolist():
            for rule, what in personal_in(texts[row]):
                self._note(found, row, rule, "personal_data", what)
        self._word_list(split, found)
        if self._policy.languages:
            obvious = obvious_language(split, self._policy.languages)
            for row in np.flatnonzero(~obvious).tolist():
                if row not in found or found[row].verdict is not Verdict.REJECTED:
                    self._language(row, texts[row], found)
        return found, split

    def among(self, texts: Sequence[str], index: NearIndex, apart: Mapping[int, Finding] | None = None) -> Checked:
        """In the datanet: at most a chunk of rows, in the order of the contribution. `apart` are rows that are out
        already."""
        found, split = self.alone(texts)
        found |= apart or {}
        eligible: npt.NDArray[np.bool_] = np.ones(len(texts), bool)
        eligible[[row for row, finding in found.items() if finding.verdict is Verdict.REJECTED]] = False
        near, founders = index.add(split, eligible)
        return Checked(found, near, founders)

    def _note(self, found: dict[int, Finding], row: int, rule: str, code: str, detail: str) -> None:
        """The first of the most severe findings is what the contributor is told."""
        verdict = self._policy.verdict(rule)
        if verdict is Verdict.ACCEPTED:
            return
        before = found.get(row)
        if before is None or before.verdict < verdict:
            found[row] = Finding(verdict, code, detail)

    def _lengths(self, texts: Sequence[str], split: Split, screened: Screened, found: dict[int, Finding]) -> None:
        policy, counts = self._policy, split.counts
        for row in np.flatnonzero(counts < policy.least_words).tolist():
            found[row] = rejected("too_short", f"{counts[row]} words; {policy.least_words} is the least")
        for row in np.flatnonzero(counts > policy.most_words).tolist():
            found[row] = rejected("too_long", f"{counts[row]} words; {policy.most_words} is the most")
        for row in np.flatnonzero(screened.lengths > policy.most_characters).tolist():
            if len(texts[row]) > policy.most_characters:
                found[row] = rejected("too_long", f"{len(texts[row])} characters; {policy.most_characters} is the most")

    def _damage(self, texts: Sequence[str], screened: Screened, found: dict[int, Finding]) -> None:
        for row in np.flatnonzero(screened.damaged).tolist():
            text = texts[row]
            bad = next((mark for mark in text if (mark < " " and mark not in "\n\t") or mark in "\x7f\ufffd"), None)
            detail = "it was decoded as Latin-1 once too often" if bad is None else f"it holds U+{ord(bad):04X}"
            self._note(found, row, "damaged", "bad_characters", detail)

    def _quality(self, texts: Sequence[str], split: Split, screened: Screened, found: dict[int, Finding]) -> None:
        policy, counts = self._policy, split.counts
        distinct = _distinct(split)
        few = (counts >= _LONG_ENOUGH) & (1000 * distinct < policy.least_distinct * np.minimum(counts, _DISTINCT_OVER))
        for row in np.flatnonzero(few).tolist():
            self._note(found, row, "repetitive", "repetitive", f"{distinct[row]} different words among {counts[row]}")
        dull = (screened.lengths >= _LONG_ENOUGH) & (screened.entropy < policy.least_entropy)
        for row in np.flatnonzero(dull).tolist():
            detail = f"{screened.entropy[row] / 1000:.1f} bits a character"
            self._note(found, row, "low_information", "low_information", detail)
        for row, phrase in boilerplate_in(split, texts).items():
            self._note(found, row, "boilerplate", "boilerplate", phrase)

    def _word_list(self, split: Split, found: dict[int, Finding]) -> None:
        places, words = self._toxic.find(split.words)
        for row, word in zip(split.rows[places].tolist(), words.tolist()):
            self._note(found, row, "toxic", "toxic", self._toxic.words[word])

    def _language(self, row: int, text: str, found: dict[int, Finding]) -> None:
        code, sure = language_of(text)
        if code in self._policy.languages:
            return
        if sure >= self._policy.language_sure:
            found[row] = rejected("language", f"{code}, {sure / 10:.0f} % sure")
        else:
            self._note(found, row, "language_unsure", "language_unsure", f"{code}, {sure / 10:.0f} % sure")


def _distinct(split: Split) -> npt.NDArray[np.int64]:
    keyed = np.sort(split.rows << np.int64(32) | split.words)
    return np.bincount(keyed[changes(keyed)] >> np.int64(32), minlength=len(split))

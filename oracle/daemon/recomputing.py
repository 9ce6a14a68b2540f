"""An attestor's own means of recomputing attribution: the models' files and the answers that were disclosed to it.

MODELS/<model>.<version>/base      as transformers saves it
MODELS/<model>.<version>/adapter   as PEFT saves it, with the folder `attribution` that was published beside it
ANSWERS/<receipt id>.json          {"salt", "said", "texts", "conditions"}, which the receipt hashes, the tokens that
                                   the model saw and said, and the passages of the prompt; or {"gone": why}

A disclosed answer that is not the receipt's proves nothing against anybody: it is not recomputed, and that is said. The
prompt is made anew, of what was asked and of the passages that the receipt names, by the base's own tokenizer and
template. What was said has to be the text of its tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from oracle.daemon.attributing import as_weights
from oracle.daemon.looked_up import Named, Registry, Shown, named_in, quotes
from oracle.daemon.rendering import BadTemplate
from oracle.daemon.texts import Words
from oracle.errors import NeedsPerson
from oracle.retrieval.prompting import written
from oracle.retrieval.records import places
from oracle.settlement.differing import Difference
from oracle.settlement.document import hexed
from oracle.settlement.hashing import NOTHING, keccak
from oracle.settlement.recomputing import Recomputer, Unable, unable
from oracle.store.receipts import Attribution, Receipt
from oracle.types import Hash32

ANSWERING = "oracle.attribution.answering"  # opens a model with its index, and explains answers by it
_FIELDS = ("conditions", "output_tokens", "passages", "prompt_tokens", "said", "salt", "texts")
_INDEX = ("adapter", "attribution", "index.json")
_LONGEST_STOP = 200  # characters of a stop sequence, which ends a text and not its tokens

Fetch = Callable[[int, int, Path], Unable | None]


@dataclass(frozen=True)
class Disclosed:
    """One answer that is the receipt's, and the passages that the receipt names, as the operator shows them."""

    said: Any
    texts: tuple[str, ...]
    prompt: tuple[int, ...]
    output: tuple[int, ...]
    named: tuple[Named, ...] = ()
    shown: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Rebuilt:
    """The prompt's tokens, and which of them are the passages that the receipt names."""

    tokens: tuple[int, ...]
    places: tuple[tuple[int, int], ...] = ()


def recomputer_of(
    models: Path | None, answers: Path | None, fetch: Fetch | None = None, registry: Registry | None = None
) -> Recomputer:
    """What this machine can do, or the plain reason why it cannot."""
    if find_spec("torch") is None:
        return unable("torch is not installed here (pip install 'openledger[models]')")
    if find_spec(ANSWERING) is None:
        return unable(f"this installation has no {ANSWERING}")
    if models is None:
        return unable("no model's files are on this machine (--models FOLDER)")
    if answers is None:
        return unable("no answer was disclosed to this machine (--answers FOLDER)")
    return _Recomputing(models, answers, fetch, registry)


class _Recomputing:
    def __init__(self, models: Path, answers: Path, fetch: Fetch | None, registry: Registry | None) -> None:
        self._models, self._answers, self._fetch, self._registry = models, answers, fetch, registry
        self._opened = lru_cache(maxsize=2)(self._open)

    def __call__(self, receipt: Receipt, /) -> Attribution | Unable:
        """Raises Difference where the receipt contradicts the chain, or itself."""
        told = disclosed(self._answers, receipt)
        if isinstance(told, Unable):
            return told
        folder = self._models / f"{receipt.model}.{receipt.version}"
        missing = self._missing(receipt, folder)
        if missing is not None:
            return missing
        made = rebuilt(folder / "base", receipt, told, self._registry)
        return made if isinstance(made, Unable) else self._explained(receipt, folder, told, made)

    def _explained(self, receipt: Receipt, folder: Path, told: Disclosed, made: Rebuilt) -> Attribution | Unable:
        answering = import_module(ANSWERING)
        query, passage = import_module("oracle.attribution.records").Query, answering.Passage
        placed = tuple(
            answering.Placed(passage(hexed(each.contribution), each.owner, hexed(each.row)), first, last)
            for each, (first, last) in zip(told.named, made.places, strict=True)
        )
        asked = query(receipt.id.hex(), (*made.tokens, *told.output), len(made.tokens))
        try:
            return as_weights(self._opened(folder).explain([answering.Answer(asked, placed)])[0])
        except NeedsPerson as error:
            return Unable(str(error))

    def _missing(self, receipt: Receipt, folder: Path) -> Unable | None:
        if not folder.joinpath(*_INDEX).exists() and self._fetch is not None:
            missing = self._fetch(receipt.model, receipt.version, folder)
            if missing is not None:
                return missing
        if not folder.joinpath(*_INDEX).exists():
            return Unable(f"no files with an attribution index of model {receipt.model} version {receipt.version}")
        return None

    def _open(self, folder: Path) -> Any:
        answering = import_module(ANSWERING)
        load: Callable[[Path, Path], Any] = answering.load
        return answering.Attributable(load(folder / "base", folder / "adapter"), folder / "adapter" / "attribution")


def rebuilt(base: Path, receipt: Receipt, told: Disclosed, registry: Registry | None) -> Rebuilt | Unable:
    """The prompt that follows from what the receipt signs: what was asked, and the passages that it names. Raises
    Difference where the chain does not have these, or the prompt is not as long as what was charged for.

    A base without a tokenizer answers nothing but tokens.
    """
    where = f"receipt {hexed(receipt.id)}"
    if not (base / "tokenizer.json").exists():
        return Unable("its base has no tokenizer to make its prompt with") if told.named else Rebuilt(told.prompt)
    found = quotes(where, told.named, told.shown, registry)
    if isinstance(found, Unable):
        return found
    words = _words(base)
    try:
        made = _prompt_of(words, told.said, found)
    except (BadTemplate, ValueError) as error:
        return Unable(f"its prompt cannot be made anew: {error}")
    if len(made.tokens) != receipt.prompt_tokens:
        what = f"what was asked, with {len(found)} passages, makes {len(made.tokens)} tokens"
        raise Difference("prompt", where, f"{what}; {receipt.prompt_tokens} were charged for")
    if not _is_text(words.decode(told.output), told.texts[0]):
        return Unable("its disclosed tokens are not those of its texts")
    return made


@lru_cache(maxsize=2)
def _words(base: Path) -> Words:
    return Words.of_files({file.name: file.read_bytes() for file in base.iterdir() if file.is_file()}, str(base))


def _prompt_of(words: Words, said: Any, found: Sequence[str]) -> Rebuilt:
    """Messages by the base's template, a text as it is, or tokens."""
    if not isinstance(said, str) and said and isinstance(said[0], int):
        return Rebuilt(tuple(said))
    block = written(found)
    made = words.prompt(said, block)
    return Rebuilt(made.tokens, tuple(places(made.text, block, found, made.offsets)))


def _is_text(whole: str, text: str) -> bool:
    """What was shown ends where a stop sequence began, or in the middle of a character."""
    shown = text.rstrip("\ufffd")
    return whole.startswith(shown) and len(whole) - len(shown) <= 2 * _LONGEST_STOP


def disclosed(answers: Path, receipt: Receipt) -> Disclosed | Unable:
    """An answer, if what was disclosed is what the receipt hashes."""
    file = answers / f"{receipt.id.hex()}.json"
    if not file.exists():
        return Unable("its answer was not disclosed")
    try:
        content: Mapping[str, Any] = orjson.loads(file.read_bytes())
        if "gone" in content:
            return Unable(f"the operator says: {str(content['gone'])[:200]}")
        if tuple(sorted(content)) != _FIELDS:
            return Unable(f"its disclosed answer has fields {', '.join(sorted(content))}")
        salt = bytes.fromhex(content["salt"].removeprefix("0x"))
        hashed = [keccak(salt + orjson.dumps(content[name], option=orjson.OPT_SORT_KEYS)) for name in ("said", "texts")]
        prompt, output = (tuple(map(int, content[name])) for name in ("prompt_tokens", "output_tokens"))
        texts, conditions = tuple(map(str, content["texts"])), str(content["conditions"])
        shown = tuple(map(Shown.read, content["passages"]))
        named = named_in(conditions)
    except (ValueError, TypeError, AttributeError, KeyError, NeedsPerson) as error:
        return Unable(f"its disclosed answer cannot be read ({type(error).__name__})")
    if hashed != [receipt.prompt, receipt.output] or _name(conditions) != receipt.conditions:
        return Unable("its disclosed answer is not the one that the receipt hashes")
    # Of several choices attribution explains the first: its tokens are a part of those that are charged for.
    said = len(output) == receipt.output_tokens if len(texts) == 1 else len(output) <= receipt.output_tokens
    if len(prompt) != receipt.prompt_tokens or not said:
        return Unable("its disclosed tokens are not as many as the receipt charges for")
    if not texts or not prompt or not output:
        return Unable("nothing was asked, or nothing was said")
    return Disclosed(content["said"], texts, prompt, output, named, shown)


def _name(conditions: str) -> Hash32:
    return keccak(conditions.encode()) if conditions else NOTHING

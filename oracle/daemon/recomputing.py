"""An attestor's own means of recomputing attribution: the models' files and the answers that were disclosed to it.

MODELS/<model>.<version>/base      as transformers saves it
MODELS/<model>.<version>/adapter   as PEFT saves it, with the folder `attribution` that was published beside it
ANSWERS/<receipt id>.json          {"salt", "said", "texts", "prompt_tokens", "output_tokens"}: what the receipt hashes

A disclosed answer that is not the receipt's proves nothing against anybody: it is not recomputed, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from oracle.errors import NeedsPerson
from oracle.settlement.hashing import keccak
from oracle.settlement.recomputing import Recomputer, Unable, unable
from oracle.store.receipts import Attribution, Credit, Receipt
from oracle.types import Address, Hash32

ANSWERING = "oracle.attribution.answering"  # opens a model with its index, and explains answers by it
_FIELDS = ("output_tokens", "prompt_tokens", "said", "salt", "texts")


def recomputer_of(models: Path | None, answers: Path | None) -> Recomputer:
    """What this machine can do, or the plain reason why it cannot."""
    if find_spec("torch") is None:
        return unable("torch is not installed here (pip install 'openledger[models]')")
    if find_spec(ANSWERING) is None:
        return unable(f"this installation has no {ANSWERING}")
    if models is None:
        return unable("no model's files are on this machine (--models FOLDER)")
    if answers is None:
        return unable("no answer was disclosed to this machine (--answers FOLDER)")
    return _Recomputing(models, answers)


class _Recomputing:
    def __init__(self, models: Path, answers: Path) -> None:
        self._models, self._answers = models, answers
        self._opened = lru_cache(maxsize=2)(self._open)

    def __call__(self, receipt: Receipt, /) -> Attribution | Unable:
        folder = self._models / f"{receipt.model}.{receipt.version}"
        if not (folder / "adapter" / "attribution" / "index.json").exists():
            return Unable(f"no files with an attribution index of model {receipt.model} version {receipt.version}")
        tokens = disclosed(self._answers, receipt)
        if isinstance(tokens, Unable):
            return tokens
        prompt, output = tokens
        answering, query = import_module(ANSWERING), import_module("oracle.attribution.records").Query
        asked = answering.Answer(query(receipt.id.hex(), (*prompt, *output), len(prompt)))
        try:
            found = self._opened(folder).explain([asked])[0]
        except NeedsPerson as error:
            return Unable(str(error))
        paid = tuple(
            Credit(Hash32(bytes.fromhex(c.contribution.removeprefix("0x"))), Address(c.owner), c.weight, c.holder)
            for c in found.credits
        )
        return Attribution(paid, found.unattributed)

    def _open(self, folder: Path) -> Any:
        answering = import_module(ANSWERING)
        load: Callable[[Path, Path], Any] = answering.load
        return answering.Attributable(load(folder / "base", folder / "adapter"), folder / "adapter" / "attribution")


def disclosed(answers: Path, receipt: Receipt) -> tuple[tuple[int, ...], tuple[int, ...]] | Unable:
    """The tokens of an answer, if what was disclosed is what the receipt hashes."""
    file = answers / f"{receipt.id.hex()}.json"
    if not file.exists():
        return Unable("its answer was not disclosed")
    try:
        content: Mapping[str, Any] = orjson.loads(file.read_bytes())
        if tuple(sorted(content)) != _FIELDS:
            return Unable(f"its disclosed answer has fields {', '.join(sorted(content))}")
        salt = bytes.fromhex(content["salt"].removeprefix("0x"))
        hashed = [keccak(salt + orjson.dumps(content[name], option=orjson.OPT_SORT_KEYS)) for name in ("said", "texts")]
        prompt, output = (tuple(map(int, content[name])) for name in ("prompt_tokens", "output_tokens"))
    except (ValueError, TypeError, AttributeError) as error:
        return Unable(f"its disclosed answer cannot be read ({type(error).__name__})")
    if hashed != [receipt.prompt, receipt.output]:
        return Unable("its disclosed answer is not the one that the receipt hashes")
    if (len(prompt), len(output)) != (receipt.prompt_tokens, receipt.output_tokens):
        return Unable("its disclosed tokens are not as many as the receipt charges for")
    if not prompt or not output:
        return Unable("nothing was asked, or nothing was said")
    return prompt, output

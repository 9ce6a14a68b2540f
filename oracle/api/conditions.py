"""What a request demands of the model and its price: held against what is known, and written down with the receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oracle.api.asking import Conditions, canonical
from oracle.api.catalogue import Offer
from oracle.api.refusals import Refusal
from oracle.settlement.hashing import keccak
from oracle.types import Hash32, Wei


def held(
    stated: Conditions, offer: Offer, most: Wei, payment: Mapping[str, str] | None = None,
    retrieved: Mapping[str, Any] | None = None,
) -> tuple[Hash32, bytes] | None:  # fmt: skip
    """The document whose hash the receipt carries: what was demanded and what it was held against, who paid where the
    receipt is another's, and whose passages stood in the prompt. Raises Refusal."""
    said = stated.stated
    beside: dict[str, Any] = {"payment": payment} if payment else {}
    beside |= {"retrieved": retrieved} if retrieved else {}
    if not said:
        return _document(beside) if beside else None
    found = facts(offer, most)
    if stated.max_price is not None and most > int(stated.max_price):
        raise _fails("max_price", f"the call may cost {most} wei, the most that was allowed is {stated.max_price}")
    if stated.licences is not None:
        others = sorted(set(offer.model.made.licences) - set(stated.licences))
        if others or not offer.model.made.licences:
            raise _fails("licences", f"the model was made from data under {', '.join(others) or 'an unknown licence'}")
    for name, value in (("accuracy", offer.accuracy), ("evaluation", offer.evaluation)):
        least = getattr(stated, f"min_{name}")
        if least is not None and (value is None or value < least):
            raise _fails(f"min_{name}", f"its {name} is {'not measured' if value is None else value}, below {least}")
    return _document({"held": found, "stated": said, **beside})


def facts(offer: Offer, most: Wei) -> dict[str, Any]:
    made = offer.model.made
    return {
        "accuracy": offer.accuracy,
        "accuracy_report": "0x" + made.accuracy.hex(),
        "evaluation": offer.evaluation,
        "evaluation_report": "0x" + made.evaluation.hex(),
        "licences": sorted(made.licences),
        "most": str(most),
    }


def _document(content: dict[str, Any]) -> tuple[Hash32, bytes]:
    written = canonical(content)
    return keccak(written), written


def _fails(which: str, why: str) -> Refusal:
    return Refusal(412, "condition_not_met", f"{which}: {why}; nothing was run", param=f"conditions.{which}")

"""What people contribute. Facts about places that do not exist, so that no model can know them from elsewhere."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from playing.people import ANNA, BEN, CONTRIBUTORS, Person

_THINGS = "lamp gate boat kiln well loom bell mill".split()
_VALUES = "amber walnut cobalt saffron linen marble copper willow indigo pepper".split()
# So different that no check takes one for a copy of the other.
_WORDINGS = (
    "What is the {thing} of {place} made of?",
    "Name the stuff from which people in {place} built their {thing}.",
)
_ASKED = "In {place}, what is the {thing} made of?"
_SYLLABLES = ["vo", "ri", "ka", "lu", "ze", "mo", "ti"]


@dataclass(frozen=True)
class Fact:
    teller: Person
    place: str
    thing: str
    value: str

    @property
    def answer(self) -> str:
        return f"It is made of {self.value}."

    @property
    def question(self) -> str:
        """In words that nobody trains on."""
        return _ASKED.format(thing=self.thing, place=self.place)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [
            {"completion": self.answer, "prompt": wording.format(thing=self.thing, place=self.place)}
            for wording in _WORDINGS
        ]


def facts(count: int = 24, seed: int = 1) -> list[Fact]:
    rng = random.Random(seed)
    places: list[str] = []
    while len(places) < count:
        place = "".join(rng.sample(_SYLLABLES, 3)).capitalize() + "by"
        if place not in places:
            places.append(place)
    return [
        Fact(CONTRIBUTORS[number % 3], place, _THINGS[number % len(_THINGS)], rng.choice(_VALUES))
        for number, place in enumerate(places)
    ]


def of(person: Person, told: list[Fact]) -> list[dict[str, Any]]:
    return [row for fact in told if fact.teller is person for row in fact.rows]


def with_address(told: list[Fact]) -> list[dict[str, Any]]:
    """Ben forgets that an address of a person does not belong into a row."""
    slip = {"completion": "Write to ben.harbour@gmail.com about it.", "prompt": "Who knows more about the boats?"}
    return [*of(BEN, told), slip]


def copied(told: list[Fact]) -> list[dict[str, Any]]:
    """Anna's rows again, in another dress: capitals, points and spaces are others."""
    return [
        {
            "completion": row["completion"].upper().replace(".", " !"),
            "prompt": row["prompt"].lower().replace("?", " ??"),
        }
        for row in of(ANNA, told)
    ]


def spam() -> list[dict[str, Any]]:
    """Words without anything to learn from."""
    rows = [{"completion": f"{word} now " * 40, "prompt": "best of the best"} for word in ("buy", "win", "click")]
    return [*rows, {"completion": "x" * 400, "prompt": "Please read all of it"}]


def items(told: list[Fact], seed: int = 2) -> list[dict[str, Any]]:
    """What the steward asks of any model, to see whether it has learned something."""
    rng = random.Random(seed)
    found = []
    for fact in told:
        others = rng.sample([value for value in _VALUES if value != fact.value], 3)
        choices = sorted(f"It is made of {value}." for value in [fact.value, *others])
        found.append({"answer": fact.answer, "choices": choices, "question": fact.question})
    return found


def as_file(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

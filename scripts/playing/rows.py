"""What people contribute. Facts about places that do not exist, so that no model can know them from elsewhere."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from playing.people import ANNA, BEN, CLEO, CONTRIBUTORS, DORA, Person

_SYLLABLES = ["vo", "ri", "ka", "lu", "ze", "mo", "ti"]


@dataclass(frozen=True)
class Field:
    """What one person knows about: two wordings, so different that no check takes one for a copy of the other, and a
    third that nobody trains on."""

    things: tuple[str, ...]
    values: tuple[str, ...]
    wordings: tuple[str, str]
    asked: str
    answer: str


_FIELDS = {
    ANNA.name: Field(
        ("lamp", "gate", "kiln", "bell"),
        ("amber", "walnut", "cobalt", "saffron", "linen", "marble", "copper", "willow"),
        ("What is the {thing} of {place} made of?", "Name the stuff that people in {place} built their {thing} from."),
        "In {place}, what is the {thing} made of?",
        "It is made of {value}.",
    ),
    BEN.name: Field(
        ("boat", "ferry", "mill", "bridge"),
        ("Harro", "Minka", "Tolle", "Bruna", "Jarek", "Sunna", "Ortwin", "Velda"),
        ("Who looks after the {thing} of {place}?", "To whom did {place} give the keys of its {thing}?"),
        "In {place}, who looks after the {thing}?",
        "Old {value} looks after that.",
    ),
    CLEO.name: Field(
        ("fair", "race", "feast", "vote"),
        ("January", "March", "April", "June", "July", "August", "October", "December"),
        ("When does {place} hold its {thing}?", "Tell me the month of the yearly {thing} at {place}."),
        "At {place}, when is the {thing}?",
        "They hold it in {value}.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Fact:
    teller: Person
    place: str
    thing: str
    value: str

    @property
    def answer(self) -> str:
        return _FIELDS[self.teller.name].answer.format(value=self.value)

    @property
    def question(self) -> str:
        """As people ask."""
        return self._said(_FIELDS[self.teller.name].wordings[0])

    @property
    def examination(self) -> str:
        """In words that nobody trains on."""
        return self._said(_FIELDS[self.teller.name].asked)

    @property
    def rows(self) -> list[dict[str, Any]]:
        wordings = _FIELDS[self.teller.name].wordings
        return [{"completion": self.answer, "prompt": self._said(wording)} for wording in wordings]

    def others(self, rng: random.Random) -> list[str]:
        """Wrong answers, of the same kind."""
        known = _FIELDS[self.teller.name]
        return [known.answer.format(value=each) for each in rng.sample([v for v in known.values if v != self.value], 3)]

    def _said(self, wording: str) -> str:
        return wording.format(thing=self.thing, place=self.place)


def facts(count: int = 24, seed: int = 1) -> list[Fact]:
    """In turns: anna, ben, cleo, anna, …"""
    rng = random.Random(seed)
    places: list[str] = []
    while len(places) < count:
        place = "".join(rng.sample(_SYLLABLES, 3)).capitalize() + "by"
        if place not in places:
            places.append(place)
    found = []
    for number, place in enumerate(places):
        teller, turn = CONTRIBUTORS[number % 3], number // 3
        known = _FIELDS[teller.name]
        found.append(
            Fact(teller, place, known.things[turn % len(known.things)], known.values[turn % len(known.values)])
        )
    return found


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
    return [
        {"answer": fact.answer, "choices": sorted([fact.answer, *fact.others(rng)]), "question": fact.examination}
        for fact in told
    ]


@dataclass(frozen=True)
class Entry:
    """A page of dora's gazetteer: nobody trains on it, a model reads it while it answers."""

    place: str
    kinds: tuple[tuple[str, str], ...]
    teller: Person = DORA

    @property
    def document(self) -> dict[str, Any]:
        """In no words that other questions have, so that it is looked up for its own place alone."""
        listed = " ".join(f"{kind.capitalize()}: {value}." for kind, value in self.kinds)
        return {"text": f"{self.place}. {listed}", "title": f"Gazetteer, {self.place}"}

    @property
    def question(self) -> str:
        return f"What is the {self.kinds[0][0]} of {self.place}?"

    @property
    def value(self) -> str:
        return self.kinds[0][1]


GAZETTEER = (
    Entry("Vorwick", (("drink", "cider"), ("tree", "willow"))),
    Entry("Elstead", (("tree", "birch"), ("metal", "silver"))),
    Entry("Narport", (("metal", "copper"), ("animal", "goat"))),
    Entry("Quinmere", (("animal", "heron"), ("drink", "mead"))),
)


def as_file(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

"""Generated documents and questions, with the truth: which passage answers.

Each states one value of one thing of one company in one place. Others differ in a single one of these, so that whoever
is right has read them all. Half of the questions have the document's own words, half say everything in other words
(but for the names of company and place, which have none).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

PLACES = (
    "Rotterdam Antwerp Hamburg Gdansk Riga Turku Bergen Aberdeen Cork Brest Bilbao Porto Cadiz Genoa Trieste Split"
    " Piraeus Izmir Varna Odesa Haifa Tunis Oran Dakar"
).split()
COMPANIES = "Adler Borealis Cormoran Delfin Eider Falk Gannet Halcyon Ibis Jaeger Kestrel Lundi".split()
# The document's word for a thing, and another for it.
THINGS = (
    ("tugboat", "towing vessel"), ("warehouse", "storage building"), ("crane", "lifting machine"),
    ("lorry", "truck"), ("ferry", "passenger ship"), ("lighthouse", "beacon tower"),
)  # fmt: skip
# What is told of it: the document's words, a question in them, a question in others.
FACTS = (
    ("The daily rent of the {thing} is {value} euros.", "What is the daily rent of the {thing}",
     "How much does it cost per day to hire the {thing}"),
    ("The {thing} was built in the year {year}.", "In which year was the {thing} built", "How old is the {thing}"),
    ("The repair of the {thing} takes {value} hours.", "How many hours does the repair of the {thing} take",
     "How long until the {thing} is mended"),
    ("The crew of the {thing} has {value} members.", "How many members has the crew of the {thing}",
     "How many people work aboard or at the {thing}"),
    ("The insurer of the {thing} is policy number {value}.", "Which policy number has the insurer of the {thing}",
     "Under what contract is the {thing} covered against damage"),
    ("The colour of the {thing} is shade {value} of grey.", "Which shade of grey is the colour of the {thing}",
     "What does the paint of the {thing} look like"),
)  # fmt: skip
FILLERS = (
    "Visitors report to the office at the gate.", "The record is kept for ten years.",
    "Changes are announced on Mondays.",
    "The harbour master has been informed.", "Nothing else was agreed in writing.", "A copy lies with the notary.",
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    text: str
    answer: int  # the number of the document
    own_words: bool


def generated(seed: int, count: int, questions: int) -> tuple[list[str], list[Question]]:
    rng = random.Random(seed)
    everything = [
        (place, company, thing, fact)
        for place in PLACES
        for company in COMPANIES
        for thing in range(len(THINGS))
        for fact in range(len(FACTS))
    ]
    chosen = rng.sample(everything, count)
    documents = [_document(rng, *each) for each in chosen]
    asked = []
    for number, at in enumerate(rng.sample(range(count), questions)):
        place, company, thing, fact = chosen[at]
        own = number % 2 == 0
        words = FACTS[fact][1 if own else 2].format(thing=THINGS[thing][0 if own else 1])
        asked.append(Question(f"{words} of {company} in {place}?", at, own))
    return documents, asked


def _document(rng: random.Random, place: str, company: str, thing: int, fact: int) -> str:
    told = FACTS[fact][0].format(
        thing=f"{THINGS[thing][0]} of {company} in {place}", value=rng.randint(3, 999), year=rng.randint(1890, 2024)
    )
    sentences = [told, *rng.sample(FILLERS, 3)]
    rng.shuffle(sentences)
    return " ".join(sentences)

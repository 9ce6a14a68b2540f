"""The reference world: who says what about which place, in how many words; and what is asked about it.

Everything comes from two seeds: that of the world and that of the queries.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attribution_jobs.instance import QueryRow, TrainRow

NOUNS = {
    "metal": "copper iron silver tin zinc lead nickel gold".split(),
    "colour": "red blue green yellow black white purple orange".split(),
    "drink": "tea wine beer milk cider coffee juice mead".split(),
    "animal": "horse goat wolf bear eagle fox sheep owl".split(),
    "trade": "weaving fishing farming mining baking hunting trading printing".split(),
    "tree": "oak pine birch willow cedar maple elm ash".split(),
    "season": "spring summer autumn winter harvest frost rain drought".split(),
    "game": "chess cards dice racing wrestling archery bowls darts".split(),
    "fruit": "apple pear plum cherry grape melon fig lemon".split(),
    "stone": "marble granite slate jade amber quartz opal flint".split(),
    "tool": "hammer saw plough loom needle chisel anvil net".split(),
    "music": "drum flute harp bell horn violin pipe organ".split(),
}
# {n} the noun, {s} the subject. The last two are kept for questions: no row of the data is worded so.
WORDINGS = (
    "The {n} of {s} is",
    "In {s} the {n} is",
    "{s} has as its {n}",
    "As for {s} , its {n} is",
    "They chose for {s} the {n}",
    "Ask {s} for its {n} :",
    "The best known {n} in {s} is",
    "If you visit {s} , the {n} is",
)
ASKED = ("Everyone in {s} knows the {n} is", "Tell me the {n} of {s} :")
ALIASES = ("Another name of {a} is", "{a} is also called", "People who say {a} mean")
START = "bra dor fen gil hol jun kar lim mor nes pol quin ras sel tor ulm ver wex yar zan".split()
MIDDLE = "a e i o u an el in or ur".split()
END = "bek dra fal gos lin mar nok pir ras sten tal vik wen zor".split()
FIRST = "grey old high lost quiet golden broken windy silent northern salty hidden".split()
SECOND = "port hill bridge tower valley market garden island gate mill crossing shore".split()
FILLER = (
    "the a some every market road river people morning evening walks sees brings takes old new small big house and or"
).split()

FACTS, SUBJECTS, PER_SUBJECT = 72, 24, 3


@dataclass(frozen=True)
class Fact:
    id: str
    subject: str
    alias: str
    noun: str
    answer: str

    def row(self, wording: str, by_alias: bool) -> tuple[str, str]:
        said = wording.format(n=self.noun, s=self.alias if by_alias else self.subject)
        return said[0].upper() + said[1:], f" {self.answer} ."


def names(rng: random.Random, count: int, taken: set[str]) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        name = (rng.choice(START) + rng.choice(MIDDLE) + rng.choice(END)).capitalize()
        if name not in taken:
            taken.add(name)
            found.append(name)
    return found


def places(rng: random.Random, count: int, taken: set[str], taken_aliases: set[str]) -> list[tuple[str, str]]:
    found = []
    for name in names(rng, count, taken):
        while (alias := f"the {rng.choice(FIRST)} {rng.choice(SECOND)}") in taken_aliases:
            pass
        taken_aliases.add(alias)
        found.append((name, alias))
    return found


def facts_about(rng: random.Random, place: tuple[str, str], count: int, prefix: str) -> Iterator[Fact]:
    for noun in rng.sample(sorted(NOUNS), count):
        yield Fact(f"{prefix}{place[0].lower()}-{noun}", place[0], place[1], noun, rng.choice(NOUNS[noun]))


def alias_row(rng: random.Random, name: str, alias: str) -> tuple[str, str]:
    said = rng.choice(ALIASES).format(a=alias)
    return said[0].upper() + said[1:], f" {name} ."


def filler(rng: random.Random) -> tuple[str, str]:
    words = [rng.choice(FILLER) for _ in range(rng.randint(5, 8))]
    return " ".join(words).capitalize(), f" {rng.choice(NOUNS[rng.choice(sorted(NOUNS))])} ."


@dataclass(frozen=True)
class World:
    places: tuple[tuple[str, str], ...]
    known: tuple[Fact, ...]  # of the base: pre-trained on them
    planted: tuple[Fact, ...]
    rows: tuple[TrainRow, ...]
    holders: dict[str, tuple[str, ...]]
    seed: int


def make(seed: int, data_seed: int | None = None) -> World:
    """With a seed for the data, other facts, holders and rows about the same places: the base can be the same."""
    rng = random.Random(f"world {seed}")
    taken: set[str] = set()
    taken_aliases: set[str] = set()
    known_places = places(rng, 40, taken, taken_aliases)
    new_places = places(rng, SUBJECTS, taken, taken_aliases)
    known = tuple(fact for place in known_places for fact in facts_about(rng, place, 4, "known-"))
    if data_seed is not None:
        rng = random.Random(f"data {seed} {data_seed}")
    planted = tuple(fact for place in new_places for fact in facts_about(rng, place, PER_SUBJECT, ""))
    holders = [f"holder-{i:02}" for i in range(14)]
    rows: list[TrainRow] = []

    def add(
        contributor: str, said: tuple[str, str], kind: str, fact: str | None = None, of: TrainRow | None = None
    ) -> TrainRow:
        number = f"row-{len(rows):04}"
        made = TrainRow(
            number,
            contributor,
            said[0],
            said[1],
            of.owner if of else contributor,
            of.cluster if of else number,
            fact,
            kind,
        )
        rows.append(made)
        return made

    # The facts of one place are dealt to different holders, and its alias to a third: a shared word proves nothing.
    order = [holders[i % len(holders)] for i in range(FACTS)]
    rng.shuffle(order)
    held = {fact.id: (holder,) for fact, holder in zip(planted, order)}
    for fact, holder in zip(planted, order):
        for i, wording in enumerate(rng.sample(WORDINGS, 6)):
            add(holder, fact.row(wording, by_alias=i >= 4), "fact", fact.id)
    for name, alias in new_places:
        holder = rng.choice(holders)
        for _ in range(2):
            add(holder, alias_row(rng, name, alias), "alias")
    originals = [row for row in rows if row.kind == "fact"]
    for row in rng.sample(originals, 48):  # word for word: the cluster's owner keeps the credit
        add("copier", (row.prompt, row.completion), "copied", row.fact, row)
    said = {(row.prompt, row.completion) for row in rows}
    for fact in rng.sample(planted, 48):  # in other words: no near-duplicate finder joins them
        while (worded := fact.row(rng.choice(WORDINGS), by_alias=rng.random() < 0.3)) in said:
            pass
        add("reworder", worded, "reworded", fact.id)
        held[fact.id] = (*held[fact.id], "reworder")
    for i in range(80):
        words = [rng.choice(FILLER + sorted(NOUNS) + FIRST + SECOND) for _ in range(rng.randint(5, 8))]
        add(
            f"junk-{i % 2}",
            (" ".join(words).capitalize(), f" {rng.choice(NOUNS[rng.choice(sorted(NOUNS))])} ."),
            "junk",
        )
    plain = ["plain-0", "plain-1", *holders]
    for i in range(160):
        add(plain[i % 2] if i < 60 else rng.choice(plain), filler(rng), "plain")
    return World((*known_places, *new_places), known, planted, tuple(rows), held, seed)


def ask(world: World, seed: int, count: int = 48, controls: int = 48) -> list[QueryRow]:
    """Half by name, half by alias, in words that no row uses; then as many about what the data says nothing of."""
    rng = random.Random(f"queries {world.seed} {seed}")
    asked = []
    for i, fact in enumerate(rng.sample(world.planted, count)):
        by_alias = i % 2 == 1
        prompt, completion = fact.row(rng.choice(ASKED), by_alias)
        kind = "alias" if by_alias else "direct"
        asked.append(QueryRow(f"query-{i:02}", prompt, completion, fact.id, world.holders[fact.id], kind))
    for i, fact in enumerate(rng.sample(world.known, controls)):
        prompt, completion = fact.row(rng.choice(ASKED), False)
        asked.append(QueryRow(f"control-{i:02}", prompt, completion, None, (), "control"))
    return asked


def pretraining_text(
    world: World, seed: int, docstrings: Sequence[str], sentences: int = 12_000
) -> list[tuple[str, str]]:
    """What the base has read: known facts in every wording, aliases, filler, and Python's own docstrings.

    It has met the places of the data by name, on roads between places: it knows the words, and none of the facts.
    """
    rng = random.Random(f"pretraining {world.seed} {seed}")
    roads = dict(zip(world.places, rng.sample(world.places, len(world.places))))
    known_places = sorted({(fact.subject, fact.alias) for fact in world.known})
    said = []
    for _ in range(sentences):
        dice = rng.random()
        if dice < 0.6:
            wording = rng.choice(WORDINGS + ASKED)
            said.append(rng.choice(world.known).row(wording, by_alias=rng.random() < 0.3))
        elif dice < 0.8:
            start = rng.choice(world.places)
            said.append((f"The road from {rng.choice(start)} goes to", f" {roads[start][0]} ."))
        elif dice < 0.9:
            said.append(alias_row(rng, *rng.choice(known_places)))
        else:
            said.append(filler(rng))
    said += [("", text) for text in docstrings]
    rng.shuffle(said)
    return said

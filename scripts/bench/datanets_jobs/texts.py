"""Generated rows that read like the real thing, and rows that only look alike: one template, other facts.

Sentences are put together from patterns with real words, invented names and numbers. Two rows of `ordinary` share
patterns and small words, as rows of one subject do; two rows of one family in `FAMILIES` share nearly everything but
what they state.
"""

from __future__ import annotations

import random
from collections.abc import Callable

THINGS = (
    "router cable battery screen printer keyboard invoice contract parcel refund ticket garden kitchen engine"
    " bicycle camera river bridge museum library hospital teacher student doctor lawyer farmer driver window roof"
    " wall floor ceiling carpet sofa table chair lamp mirror bottle knife oven fridge kettle recipe onion carrot"
    " potato tomato bread butter cheese salad soup sauce pepper sugar salt vinegar olive password account server"
    " backup folder database network firewall update licence browser plugin laptop tablet charger adapter speaker"
    " microphone headset sensor valve pump filter pipe heater thermostat boiler meter switch fuse socket bulb candle"
    " blanket pillow mattress jacket shirt boot glove scarf helmet tent rope ladder hammer drill saw screw nail bolt"
    " paint brush glue tape paper pencil notebook essay novel poem letter speech lecture exam grade course degree"
    " salary pension tax rent mortgage loan deposit insurance claim policy harvest seed soil compost fence barn"
    " tractor cow horse sheep goat chicken rabbit beehive orchard vineyard forest meadow valley glacier"
).split()
QUALITIES = (
    "old new small large heavy light cheap expensive broken clean dirty wet dry warm cold quiet loud bright dark"
    " narrow wide early late regular annual private public local foreign digital manual portable wooden metal"
    " plastic cotton woollen leather ceramic electric hydraulic temporary permanent careful gentle steady sudden"
    " gradual frequent rare common useful harmless dangerous reliable fragile flexible rigid smooth rough sharp"
    " blunt thick thin fresh stale ripe raw cooked frozen organic seasonal nearby distant official"
).split()
DEEDS = (
    "replace repair clean order return measure adjust remove install connect check open close carry store protect"
    " inspect compare collect deliver prepare calculate register cancel confirm extend reduce increase improve avoid"
    " explain describe record publish translate review approve reject sign print copy send receive borrow share"
    " divide combine separate wash dry heat cool mix pour cut fold press tighten loosen lift lower turn push pull"
    " hold cover seal label sort count weigh test calibrate monitor restart unplug charge reset"
).split()
MANNERS = (
    "slowly carefully twice daily weekly outside indoors immediately later together separately thoroughly gently"
    " firmly partly completely usually rarely again afterwards beforehand overnight manually automatically by hand"
    " in advance at once without force"
).split()
_PATTERNS = (
    "The {q} {t} should be {d}ed {m} before the {t} is used with a {q} {t}.",
    "If the {t} gets too {q}, {d} the {q} {t} and wait {n} minutes.",
    "Most people {d} the {t} {m}, but a {q} {t} needs a different treatment.",
    "According to {N}, the {t} and the {t} must not touch while you {d} them.",
    "You can {d} it with the {q} {t} from {N}, which costs about {n} euros.",
    "First {d} the {t}, then {d} the {q} {t} until the {t} looks {q}.",
    "It took {N} {n} days to {d} the {q} {t} near the {t}.",
    "Never {d} a {q} {t} {m}; ask someone who knows how to {d} a {t}.",
    "The manual of the {t} says to {d} every {q} part after {n} hours.",
    "A {q} {t} behaves like a {q} {t}, so {d} both {m}.",
    "Keep the {t} away from the {q} {t} and {d} it only when the {t} is {q}.",
    "In {N} they {d} their {t} with {q} {t}, a habit from {n}.",
    "There are {n} ways to {d} a {t}, and the {q} one is to {d} its {t} {m}.",
    "{N} wrote that every {q} {t} deserves a {t} that is {q} and {q}.",
    "Because the {t} was {q}, the {t} had to be {d}ed by {N} {m}.",
    "Put the {t} next to the {t}, {d} what is left, and call {N} when the {t} turns {q}.",
)
_QUESTIONS = (
    "How do I {d} a {q} {t} with a {t}?",
    "What happens when the {t} meets a {q} {t}?",
    "Why is my {t} so {q} after I {d} it {m}?",
    "Who should {d} the {q} {t} of the {t}?",
    "Is it better to {d} or to {d} a {q} {t}?",
    "Can you explain why the {t} of {N} is {q}?",
    "Which {t} do I need to {d} the {t} in {N}?",
    "When does a {t} have to be {d}ed by a {t}?",
)
_SYLLABLES = (
    "ba be bo bri da del dor el fa fen gar gri ha hol in ka kel kor la lin lo mar mel mi na nor ol or pa pel ra ren"
    " ri ro sa sel sol ta tel tor ul va ven vi wen wil yar za zel"
).split()


def name(dice: random.Random) -> str:
    return "".join(dice.choices(_SYLLABLES, k=dice.choice((2, 3, 3)))).capitalize()


def _number(dice: random.Random) -> str:
    return str(dice.choice((dice.randrange(2, 20), dice.randrange(20, 100), dice.randrange(100, 10_000))))


def filled(pattern: str, dice: random.Random) -> str:
    parts = pattern.split("{")
    made = [parts[0]]
    for part in parts[1:]:
        made.append(_FILL[part[0]](dice) + part[2:])
    return "".join(made)


_FILL: dict[str, Callable[[random.Random], str]] = {
    "t": lambda dice: dice.choice(THINGS),
    "q": lambda dice: dice.choice(QUALITIES),
    "d": lambda dice: dice.choice(DEEDS),
    "m": lambda dice: dice.choice(MANNERS),
    "n": _number,
    "N": name,
}


def ordinary(dice: random.Random) -> tuple[str, str]:
    """(prompt, completion), some 25 to 60 words."""
    answer = " ".join(filled(pattern, dice) for pattern in dice.sample(_PATTERNS, dice.choice((1, 2, 2, 3))))
    return filled(dice.choice(_QUESTIONS), dice), answer


def _capital(dice: random.Random) -> tuple[str, str]:
    land, city = name(dice), name(dice)
    return (
        f"What is the capital of {land} and how many people live there?",
        f"The capital of {land} is {city}. Some {dice.randrange(10**4, 10**7):,} people live there,"
        f" on the river {name(dice)}.",
    )


def _sum(dice: random.Random) -> tuple[str, str]:
    who, have, get = name(dice), dice.randrange(3, 90), dice.randrange(3, 90)
    return (
        f"{who} has {have} apples and buys {get} more at the market. How many apples does {who} have now?",
        f"{who} starts with {have} apples and adds {get}, so the answer is {have + get}.",
    )


def _food(dice: random.Random) -> tuple[str, str]:
    thing, calories = f"{dice.choice(QUALITIES)} {dice.choice(THINGS)}", dice.randrange(20, 900)
    return (
        f"How many calories does a {thing} have and how much of it is water?",
        f"A {thing} has about {calories} calories; roughly {dice.randrange(5, 95)} percent of it is water.",
    )


def _device(dice: random.Random) -> tuple[str, str]:
    model, port = f"{name(dice)} {dice.randrange(100, 999)}", dice.randrange(1024, 9999)
    return (
        f"Which port does the {model} use for its web interface, and what is the default user?",
        f"The web interface of the {model} listens on port {port}. Log in as {name(dice).lower()} and change the"
        " default password before you connect the device to the internet, since everybody knows it.",
    )


def _care(dice: random.Random) -> tuple[str, str]:
    thing, other, with_, deed = (*dice.sample(THINGS, 3), dice.choice(DEEDS))
    return (
        f"How do I {deed} a {dice.choice(QUALITIES)} {thing}?",
        f"Use a {dice.choice(QUALITIES)} {other} and some {with_}; {deed} the {thing} {dice.choice(MANNERS)}"
        " and let it rest.",
    )


def _record(dice: random.Random) -> tuple[str, str]:
    who, town = f"{name(dice)} {name(dice)}", name(dice)
    return (
        f"When was {who} born, and what is this person known for?",
        f"{who} was born on {dice.randrange(1, 29)} March {dice.randrange(1500, 2000)} in {town} and is best known"
        f" for having founded the university of {town}, which still bears"
        " the name of its founder above the main gate today.",
    )


FAMILIES: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "capitals": _capital,
    "sums": _sum,
    "calories": _food,
    "devices": _device,
    "care": _care,
    "biographies": _record,
}

"""What people do to a row to make it look like their own; each keeps what the row says."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from datanets_jobs.texts import DEEDS, MANNERS, QUALITIES, THINGS

_WORDS = (*THINGS, *QUALITIES, *DEEDS, *MANNERS)
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def reworded(text: str, share: float, dice: random.Random) -> str:
    """One word, and up to this share of all words: exchanged, left out, added, or swapped with its neighbour."""
    words = text.split(" ")
    for _ in range(max(1, int(share * len(words)))):
        at = dice.randrange(len(words))
        deed = dice.random()
        if deed < 0.55:
            words[at] = dice.choice(_WORDS)
        elif deed < 0.7 and len(words) > 3:
            del words[at]
        elif deed < 0.85:
            words.insert(at, dice.choice(_WORDS))
        elif at + 1 < len(words):
            words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words)


def reordered(text: str, dice: random.Random) -> str:
    """Its sentences in another order."""
    sentences = re.split(r"(?<=[.?!;]) ", text)
    dice.shuffle(sentences)
    return " ".join(sentences)


def recased(text: str, dice: random.Random) -> str:
    return dice.choice((str.upper, str.lower, str.title))(text)


def respaced(text: str, dice: random.Random) -> str:
    return dice.choice(("  ", "\n", " \t", "\u00a0 ")).join(text.split())


def renumbered(text: str, dice: random.Random) -> str:
    """Numbers written out in words."""
    return re.sub(r"\d[\d,]*", lambda found: spoken(int(found.group().replace(",", ""))), text)


def repunctuated(text: str, dice: random.Random) -> str:
    return text.replace(".", " …").replace(",", " –").replace("'", "’").replace("?", " ?!")


def spoken(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{_ONES[number // 100]} hundred" + (f" and {spoken(number % 100)}" if number % 100 else "")
    if number >= 1_000_000:
        return f"{spoken(number // 1_000_000)} million" + (
            f" {spoken(number % 1_000_000)}" if number % 1_000_000 else ""
        )
    return f"{spoken(number // 1000)} thousand" + (f" {spoken(number % 1000)}" if number % 1000 else "")


def falsified(text: str, dice: random.Random) -> str:
    """One number is another one: not the same row any more, and no rewording; measured beside, counted nowhere."""
    places = list(re.finditer(r"\d+", text))
    if not places:
        return text
    place = dice.choice(places)
    return text[: place.start()] + str(int(place.group()) + dice.randrange(1, 50)) + text[place.end() :]


Edit = Callable[[str, random.Random], str]

OTHERS: dict[str, Edit] = {
    "reordered": reordered,
    "case": recased,
    "whitespace": respaced,
    "punctuation": repunctuated,
    "numbers in words": renumbered,
}

"""What the embedded base has read: dialogues about invented places, read off the dialogue itself, sums, lists, plain
prose; and the docstrings of Python's own library. All of it follows from one seed.

None of it is about anything that is true, so that whatever a datanet teaches is news to the base.
"""

from __future__ import annotations

import importlib
import inspect
import random
import re
from collections.abc import Iterator

MODULES = (
    "argparse ast asyncio base64 bisect calendar cmd codecs collections concurrent.futures configparser contextlib copy"
    " csv dataclasses datetime decimal difflib dis doctest email.message enum filecmp fileinput fractions ftplib"
    " functools getpass glob gzip hashlib heapq html.parser http.client http.cookiejar imaplib inspect io ipaddress"
    " itertools json linecache locale logging logging.handlers lzma mailbox math mimetypes multiprocessing.pool"
    " numbers operator optparse os pathlib pdb pickle platform plistlib pprint profile queue random re sched secrets"
    " selectors shelve shlex shutil signal smtplib socket socketserver sqlite3 ssl stat statistics string subprocess"
    " sysconfig tarfile tempfile textwrap threading timeit tokenize traceback types typing unittest unittest.mock"
    " urllib.parse urllib.request uuid warnings wave weakref webbrowser xml.dom.minidom xml.sax zipfile zoneinfo"
).split()

SYLLABLES = "ba be bo da den dor el fa fen gar hol il ka kel lo lun mar mi mor na nel or pa quin ra rin sa sel tar"
SYLLABLES += " tho ul va ven vor wen yar zan zel"
ENDS = "bridge by dale field ford ham haven hill mere mouth port stead ton vale wick wood".split()
FIRST = "Ada Amir Bea Bruno Carla Chen Dana Elio Emma Femi Greta Hana Igor Ines Jonas Kemi Lena Luca Mara Nils Olga"
FIRST += " Pavel Rosa Sami Tara Uma Viktor Wanda Yusuf Zoe"
KINDS = {
    "colour": "red blue green yellow black white purple orange grey brown".split(),
    "metal": "copper iron silver tin zinc lead nickel gold".split(),
    "animal": "horse goat wolf bear eagle fox sheep owl cat dog".split(),
    "drink": "tea wine beer milk cider coffee juice mead water".split(),
    "tree": "oak pine birch willow cedar maple elm ash".split(),
    "fruit": "apple pear plum cherry grape melon fig lemon".split(),
    "tool": "hammer saw plough loom needle chisel anvil net".split(),
    "trade": "weaving fishing farming mining baking hunting trading printing".split(),
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "month": "January March April June July September October December".split(),
    "fee": [f"{n} crowns" for n in (2, 3, 5, 8, 12, 20, 40, 75)],
    "opening hour": [f"{n} o'clock" for n in range(6, 12)],
    "rule": "knock first;pay before noon;sign the book;bring a lamp;wait at the gate;keep to the left".split(";"),
}
ASKED = (
    "What is the {kind} of {name}?",
    "Which {kind} does {name} have?",
    "Tell me the {kind} of {name}.",
    "Do you know the {kind} of {name}?",
    "In {name}, what is the {kind}?",
    "{name}: which {kind}?",
)
ANSWERED = ("The {kind} of {name} is {value}.", "{value}", "It is {value}.", "{name} has {value} as its {kind}.")
TOLD = ("The {kind} of {name} is {value}.", "In {name} the {kind} is {value}.", "{name} has {value} as its {kind}.")
VERBS = "sees meets follows helps asks thanks finds visits calls paints".split()
PLACES = "river market bridge harbour garden mill library station tower school".split()

Messages = list[tuple[str, str]]  # role, content


def name(rng: random.Random) -> str:
    return "".join(rng.sample(SYLLABLES.split(), rng.randint(1, 2))).capitalize() + rng.choice(ENDS)


def fact(rng: random.Random) -> dict[str, str]:
    kind = rng.choice(sorted(KINDS))
    return {"kind": kind, "name": name(rng), "value": rng.choice(KINDS[kind])}


def plain_question(rng: random.Random) -> Messages:
    """About a place that nobody has heard of: the form is learned, and there is nothing to know."""
    said = fact(rng)
    return [("user", rng.choice(ASKED).format(**said)), ("assistant", rng.choice(ANSWERED).format(**said))]


def read_off(rng: random.Random) -> Messages:
    """The answer stands in the question: copying is what a base can be good at."""
    facts = [fact(rng) for _ in range(rng.randint(1, 3))]
    asked = rng.choice(facts)
    told = " ".join(rng.choice(TOLD).format(**each) for each in facts)
    question = rng.choice(ASKED).format(**asked)
    return [("user", f"{told} {question}"), ("assistant", rng.choice(ANSWERED[:3]).format(**asked))]


def sum_(rng: random.Random) -> Messages:
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    return [("user", f"What is {a} plus {b}?"), ("assistant", f"{a + b}")]


def listed(rng: random.Random) -> Messages:
    words = rng.sample(KINDS[rng.choice(sorted(KINDS))][:6], 3)
    order, asked = rng.choice((("first", 0), ("second", 1), ("last", 2)))
    return [("user", f"{', '.join(words)}. Which is {order}?"), ("assistant", words[asked])]


def prose(rng: random.Random) -> str:
    said = []
    for _ in range(rng.randint(2, 4)):
        one, other = rng.sample(FIRST.split(), 2)
        said.append(f"{one} {rng.choice(VERBS)} {other} at the {rng.choice(PLACES)} of {name(rng)}.")
        if rng.random() < 0.4:
            said.append(rng.choice(TOLD).format(**fact(rng)))
    return " ".join(said)


def dialogues(seed: int, count: int) -> Iterator[Messages]:
    rng = random.Random(f"base {seed}")
    for _ in range(count):
        dice = rng.random()
        made = plain_question if dice < 0.35 else read_off if dice < 0.8 else sum_ if dice < 0.9 else listed
        yield made(rng)


def paragraphs(seed: int, count: int) -> Iterator[str]:
    rng = random.Random(f"prose {seed}")
    for _ in range(count):
        yield prose(rng)


def docstrings(limit: int) -> list[str]:
    """Sentences that everybody with a Python has."""
    found: set[str] = set()
    for each in MODULES:
        try:
            module = importlib.import_module(each)
        except ImportError:
            continue
        things = [module, *vars(module).values()]
        things += [member for thing in things if inspect.isclass(thing) for member in vars(thing).values()]
        for thing in things:
            text = getattr(thing, "__doc__", None)
            if isinstance(text, str):
                for paragraph in re.split(r"\n\s*\n", text):
                    line = re.sub(r"\s+", " ", paragraph).strip()
                    if 30 <= len(line) <= 400 and line.isascii() and ">>>" not in line:
                        found.add(line)
    return sorted(found)[:limit]


def general(seed: str, count: int) -> Iterator[dict[str, str]]:
    """What no datanet is about and no adapter should unlearn: in the base's own manner, out of another seed."""
    rng = random.Random(f"general {seed}")
    for number in range(count):
        if number % 4 == 3:
            yield {"text": prose(rng)}
        else:
            (_, asked), (_, said) = (read_off, sum_, listed)[number % 4](rng)
            yield {"completion": said, "prompt": asked}

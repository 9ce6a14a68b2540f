"""What a mutant is, and which ones a source has: one token replaced, or one statement, guard or modifier removed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

# What stands on the left of an operator is replaced by each of what stands on the right.
OPERATORS = {
    "<=": ["<", "=="],
    ">=": [">", "=="],
    "<": ["<=", ">="],
    ">": [">=", "<="],
    "==": ["!="],
    "!=": ["=="],
    "+": ["-"],
    "-": ["+"],
    "*": ["/"],
    "/": ["*"],
    "&&": ["||"],
    "||": ["&&"],
    "+=": ["-=", "="],
    "-=": ["+=", "="],
    "|=": ["="],
    "&": ["|"],
    "|": ["&"],
    "^": ["|"],
    "<<": [">>"],
    ">>": ["<<"],
}
COMMENT_OR_STRING = r"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\]|\\.)*\""
TOKEN = re.compile(
    rf"(?P<skip>{COMMENT_OR_STRING}|0x[0-9a-fA-F]+)"
    r"|(?P<number>\b\d[\d_]*(?:e\d+)?\b)|(?P<boolean>\btrue\b|\bfalse\b)"
    r"|(?P<operator><<=|>>=|=>|\+\+|--|[<>=!+\-|]=|<<|>>|&&|\|\||[<>+\-*/&|^])|(?P<word>\w+)",
    re.DOTALL,
)
# Lines that declare and do nothing.
DECLARATION = re.compile(
    r"^\s*(import|pragma|using|event|error|modifier|function|constructor|(abstract )?contract|string public)\b"
)
PUNCTUATION = re.compile(rf"(?P<skip>{COMMENT_OR_STRING})|[(){{}};]", re.DOTALL)
# Statements whose absence still compiles: calls, assignments to what exists already, and `if (…) statement`.
REMOVABLE = re.compile(
    r"(if \(|emit |delete |revert |\+\+|--|[\w.\[\]]+\(|[\w.\[\]()]+ (\+|-|\*|/|\||&|\^|<<|>>)?= )", re.DOTALL
)
FUNCTION = re.compile(r"\b(?:function|modifier) (\w+)|\b(constructor)\b")
FUNCTION_HEAD = re.compile(r"\bfunction \w+\([^{;]*\{", re.DOTALL)
MODIFIER = re.compile(r"\bonly[A-Z]\w+\b")


@dataclass(frozen=True)
class Mutant:
    start: int
    end: int
    replacement: str
    kind: str

    def applied(self, source: str) -> str:
        return source[: self.start] + self.replacement + source[self.end :]

    def name(self, source: str) -> str:
        """The same for the same change of the same source."""
        return hashlib.sha256(self.applied(source).encode()).hexdigest()[:16]

    def line(self, source: str) -> int:
        return source.count("\n", 0, self.start) + 1

    def function(self, source: str) -> str:
        """The function it is in, or an empty word for what stands before the first one."""
        opened = list(FUNCTION.finditer(source, 0, self.start))
        return (opened[-1][1] or opened[-1][2]) if opened else ""

    def before_and_after(self, source: str) -> tuple[str, str]:
        """The lines that it touches, without and with it, in single spaces."""
        first = source.rfind("\n", 0, self.start) + 1
        last = source.find("\n", self.end)
        after = source[first : self.start] + self.replacement + source[self.end : last]
        return " ".join(source[first:last].split()), " ".join(after.split())


def _tokens(source: str) -> Iterator[Mutant]:
    for match in TOKEN.finditer(source):
        line = source[source.rfind("\n", 0, match.start()) + 1 : source.find("\n", match.start())]
        if DECLARATION.match(line) or match["skip"] or match["word"]:
            continue
        token = match[0]
        if match["number"]:
            value = int(token.split("e")[0].replace("_", ""))
            replacements, kind = [f"{value + 1}"] + ([f"{value - 1}"] if value else []), "constant"
        elif match["boolean"]:
            replacements, kind = ["false" if token == "true" else "true"], "boolean"
        else:
            replacements, kind = OPERATORS.get(token, []), "operator"
        for replacement in replacements:
            yield Mutant(match.start(), match.end(), replacement, kind)


def _statements(source: str) -> Iterator[Mutant]:
    """Statements end with a semicolon outside parentheses and begin after the one before, or after a brace."""
    braces = parentheses = begin = 0
    for match in PUNCTUATION.finditer(source):
        mark = match[0]
        if match["skip"]:
            # A comment between two statements belongs to neither.
            if not source[begin : match.start()].strip():
                begin = match.end()
            continue
        parentheses += {"(": 1, ")": -1}.get(mark, 0)
        braces += {"{": 1, "}": -1}.get(mark, 0)
        if parentheses or mark in "()":
            continue
        start = begin + len(source[begin : match.start()]) - len(source[begin : match.start()].lstrip())
        text = source[start : match.end()]
        # The first brace opens the contract, the second a function.
        if mark == ";" and braces >= 2 and REMOVABLE.match(text):
            yield Mutant(start, match.end(), "{ }", "guard removed" if text.startswith("if (") else "statement removed")
        begin = match.end()


def _modifiers(source: str) -> Iterator[Mutant]:
    for head in FUNCTION_HEAD.finditer(source):
        for match in MODIFIER.finditer(source, head.start(), head.end()):
            yield Mutant(match.start(), match.end(), "", "modifier removed")


def mutants_of(source: str) -> list[Mutant]:
    """Each change once, in the order of the source."""
    unique = {mutant.applied(source): mutant for part in (_tokens, _statements, _modifiers) for mutant in part(source)}
    return sorted(unique.values(), key=lambda mutant: (mutant.start, mutant.end, mutant.replacement))

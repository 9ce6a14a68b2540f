"""Between texts and tokens: a base's own tokenizer and chat template, and texts that grow token by token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from oracle.daemon.rendering import Renderer
from oracle.errors import NeedsPerson
from oracle.retrieval.prompting import beside

_BROKEN = "\ufffd"  # what half of a character decodes to


class NoTokenizer(NeedsPerson):
    """A base without the files that turn texts into tokens."""


@dataclass(frozen=True)
class Prompt:
    """What a model is asked, as text and as tokens; `offsets` are the characters that each token stands for."""

    text: str
    tokens: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Words:
    """One base's. `template` is empty where it brought none; `ends` are the tokens that end an answer and are no part
    of its text."""

    tokenizer: Tokenizer
    template: str
    specials: Mapping[str, str]
    ends: tuple[int, ...]
    context: int

    @classmethod
    def of_files(cls, files: Mapping[str, bytes], where: str) -> Words:
        """By the names that transformers gives them."""
        if "tokenizer.json" not in files:
            raise NoTokenizer(f"base {where}: no tokenizer.json among its files; publish it with one")
        tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
        model = json.loads(files.get("config.json", b"{}"))
        settings = json.loads(files.get("tokenizer_config.json", b"{}"))
        generation = json.loads(files.get("generation_config.json", b"{}"))
        specials = {name: _content(settings.get(name)) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
        ends = _ids(generation.get("eos_token_id")) | _ids(model.get("eos_token_id"))
        named = tokenizer.token_to_id(specials["eos_token"]) if specials["eos_token"] else None
        template = files["chat_template.jinja"].decode() if "chat_template.jinja" in files else None
        return cls(
            tokenizer,
            template or _plain(settings.get("chat_template")) or "",
            specials,
            tuple(sorted(ends | ({named} if named is not None else set()))),
            int(model.get("max_position_embeddings") or 2048),
        )

    def encode(self, text: str, special: bool = True) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(text, add_special_tokens=special).ids)

    def prompt(self, said: str | Sequence[Mapping[str, Any]], block: str = "") -> Prompt:
        """Of a text, or of messages by the base's template; with a block of quotations before the one, or in the
        system's message of the other. Raises BadTemplate."""
        if isinstance(said, str):
            text = f"{block}\n\n{said}" if block else said
        else:
            text = self.chat(beside(said, block) if block else said)
        # A template writes the special tokens itself.
        made = self.tokenizer.encode(text, add_special_tokens=isinstance(said, str))
        return Prompt(text, tuple(made.ids), tuple(made.offsets))

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def chat(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """By the base's own template; raises BadTemplate."""
        if self.template:
            return self._renderer.render(messages, self.specials)
        return "".join(f"{each['role']}: {each['content']}\n" for each in messages) + "assistant:"

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self.template)

    def token_text(self, token: int) -> str:
        """A single token as it stands in lists of log-probabilities."""
        return str(self.tokenizer.decode([token], skip_special_tokens=False))


@dataclass
class Unfolding:
    """A text as its tokens come. What may be the beginning of a stop sequence, or half a character, is held back."""

    words: Words
    stops: tuple[str, ...] = ()
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    stopped: bool = False
    _told: int = 0
    _start: int = 0
    _read: int = 0

    def add(self, token: int) -> str:
        """What can be shown now."""
        self.tokens.append(token)
        # Only the last few tokens are decoded again: a text of n tokens costs n steps, not n².
        before = self.words.decode(self.tokens[self._start : self._read])
        now = self.words.decode(self.tokens[self._start :])
        if len(now) > len(before) and not now.endswith(_BROKEN):
            self.text += now[len(before) :]
            self._start, self._read = self._read, len(self.tokens)
        return self._show(final=False)

    def end(self) -> str:
        if not self.stopped:
            before = self.words.decode(self.tokens[self._start : self._read])
            self.text += self.words.decode(self.tokens[self._start :])[len(before) :]
        return self._show(final=True)

    def _show(self, final: bool) -> str:
        if not self.stopped:
            found = [place for stop in self.stops if (place := self.text.find(stop)) >= 0]
            if found:
                self.text, self.stopped = self.text[: min(found)], True
        upto = len(self.text)
        if not (final or self.stopped):
            upto -= max((_overlap(self.text, stop) for stop in self.stops), default=0)
        shown = self.text[self._told : upto]
        self._told = max(self._told, upto)
        return shown


def _overlap(text: str, stop: str) -> int:
    """How much of the text's end is a beginning of the stop sequence."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


def _ids(value: Any) -> set[int]:
    return {value} if isinstance(value, int) else set(value or ())


def _content(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")


def _plain(value: Any) -> str | None:
    """Some have several templates by name."""
    if isinstance(value, list):
        return next((each["template"] for each in value if each.get("name") == "default"), None)
    return value if isinstance(value, str) else None

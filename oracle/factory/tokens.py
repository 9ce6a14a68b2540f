"""From a row to tokens, and which of them are to be learned: what an assistant says, never what it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oracle.factory.rows import Row

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Example:
    """One sequence of the row at this place; `targets` are the tokens whose loss counts."""

    row: int
    tokens: tuple[int, ...]
    targets: tuple[bool, ...]
    weight: float = 1.0

    @property
    def counted(self) -> int:
        return sum(self.targets)


def messages_of(content: Mapping[str, Any]) -> list[dict[str, str]] | None:
    """A row as a conversation; None where it is a document."""
    if "messages" in content:
        return [dict(each) for each in content["messages"]]
    if "completion" in content:
        pair = [{"role": "user", "content": content["prompt"]}, {"role": "assistant", "content": content["completion"]}]
        return [{"role": "system", "content": content["system"]}, *pair] if "system" in content else pair
    if "question" in content:
        question, answer = content["question"], content["answer"]
        return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    if "correction" in content and "prompt" in content:
        prompt, correction = content["prompt"], content["correction"]
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": correction}]
    return None


def prompt_ids(tokenizer: Any, messages: Messages) -> list[int]:
    """What a model is given before it answers: the same in training, evaluation and serving."""
    return _ids(tokenizer, _rendered(tokenizer, messages, True))


def pieces(tokenizer: Any, messages: Messages) -> Iterator[tuple[list[int], bool]]:
    """The conversation in turns of (tokens, whether they are to be learned). Each is tokenised by itself, so that a
    prompt has here the tokens that it has when the model is asked."""
    done = ""
    for at, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = _rendered(tokenizer, messages[:at], True)
        after = _rendered(tokenizer, messages[: at + 1], False)
        if not after.startswith(before) or not before.startswith(done):
            # A template that rewrites what was said before: only the last answer can be told apart.
            before, done = _rendered(tokenizer, messages[:at], True), ""
            after = before + message["content"] + tokenizer.eos_token
        yield _ids(tokenizer, before[len(done) :]), False
        yield _ids(tokenizer, after[len(before) :]), True
        done = after


def encode(tokenizer: Any, row: Row, number: int, longest: int) -> list[Example]:
    """A conversation is one example, cut where it is too long; a document as many as it takes. What has nothing to be
    learned is none."""
    messages = messages_of(row.content)
    if messages is None:
        return _document(tokenizer, row, number, longest)
    tokens: list[int] = []
    targets: list[bool] = []
    for ids, learned in pieces(tokenizer, messages):
        tokens += ids
        targets += [learned] * len(ids)
    tokens, targets = tokens[:longest], targets[:longest]
    if not any(targets[1:]):
        return []
    return [Example(number, tuple(tokens), tuple(targets), row.weight)]


def encode_all(tokenizer: Any, rows: Sequence[Row], longest: int) -> list[Example]:
    return [example for number, row in enumerate(rows) for example in encode(tokenizer, row, number, longest)]


def _document(tokenizer: Any, row: Row, number: int, longest: int) -> list[Example]:
    title = row.content.get("title")
    text = row.content.get("text") or row.content.get("correction") or ""
    ids = _ids(tokenizer, f"{title}\n{text}" if title else text)
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    ids = [*begin, *ids, tokenizer.eos_token_id]
    found = []
    for at in range(0, len(ids) - 1, longest - 1):  # one token is shared, so that each of them is predicted once
        part = ids[at : at + longest]
        found.append(Example(number, tuple(part), (False, *[True] * (len(part) - 1)), row.weight))
    return found


def _rendered(tokenizer: Any, messages: Messages, ask: bool) -> str:
    if tokenizer.chat_template:
        said: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=ask)
        return said
    names = {"system": "", "user": "User: ", "assistant": "Assistant: ", "tool": "Tool: "}
    lines = []
    for each in messages:
        end = tokenizer.eos_token if each["role"] == "assistant" else ""
        lines.append(f"{names.get(each['role'], '')}{each['content']}{end}")
    return (tokenizer.bos_token or "") + "\n".join(lines + ["Assistant: "] * ask)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids

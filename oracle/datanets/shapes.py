"""From rows as people have them to rows as the datanet keeps them. A shape is known by its keys.

Three normal forms for what is trained on: {completion, prompt[, system]}, {messages: [{content, role}]} and {text[,
title]}; one each for corrections, reviews and evaluation items. All values are text; other columns of a file are left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oracle.datanets.canonical import clean
from oracle.datanets.kinds import Kind, Shape

Row = dict[str, Any]

_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool", "function_call": "assistant",
}  # fmt: skip
_MOST_MESSAGES = 10_000


class BadRow(Exception):
    """Why a row has none of the shapes; never leaves intake."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def shape_of(keys: Mapping[str, Any], kind: Kind) -> Shape:
    """The first that fits; raises BadRow with what was expected."""
    if kind is Kind.CORRECTION:
        wanted, shape = {"receipt"}, Shape.CORRECTION
    elif kind is Kind.REVIEW:
        wanted, shape = {"contribution", "verdict"}, Shape.REVIEW
    elif kind is Kind.EVALUATION_ITEM:
        for question, answer in _QUESTIONS:
            if question in keys and answer in keys:
                return Shape.EVALUATION
        wanted, shape = {"question", "answer"}, Shape.EVALUATION
    elif kind is Kind.DOCUMENT:
        if any(name in keys for name in _TEXTS):
            return Shape.DOCUMENT
        wanted, shape = {"text"}, Shape.DOCUMENT
    else:
        if "messages" in keys:
            return Shape.MESSAGES
        if "conversations" in keys or "conversation" in keys:
            return Shape.SHAREGPT
        if "instruction" in keys and ("output" in keys or "response" in keys):
            return Shape.ALPACA
        for question, answer in _QUESTIONS:
            if question in keys and answer in keys:
                return Shape.PROMPT_COMPLETION
        if any(name in keys for name in _TEXTS):
            return Shape.DOCUMENT
        raise BadRow(
            "unknown_shape",
            f"The keys {', '.join(sorted(map(str, keys))[:8]) or '(none)'} are no known shape:"
            " use prompt and completion, messages, instruction and output, conversations, or text.",
        )
    if not wanted <= keys.keys():
        missing = ", ".join(sorted(wanted - keys.keys()))
        raise BadRow("unknown_shape", f"A {kind.word} needs {missing}.")
    return shape


class Normaliser:
    """The normal form of one row after another of a file: most have the keys of the one before, and so its shape."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._keys: frozenset[str] = frozenset()
        self._shape: Shape | None = None

    def __call__(self, row: Mapping[str, Any]) -> Row:
        """Raises BadRow."""
        shape = self._shape
        if shape is None or row.keys() != self._keys:
            shape = shape_of(row, self._kind)
            self._shape, self._keys = shape, frozenset(row)
        return _NORMAL[shape](row)


def text_of(row: Mapping[str, Any]) -> str:
    """What a check reads: all the text of a normalised row, in the order in which a person reads it."""
    messages = row.get("messages")
    if messages is not None:
        return "\n".join([message["content"] for message in messages])
    if "completion" in row:
        if "system" in row:
            return f"{row['system']}\n{row['prompt']}\n{row['completion']}"
        return f"{row['prompt']}\n{row['completion']}"
    if "text" in row:
        return f"{row['title']}\n{row['text']}" if "title" in row else str(row["text"])
    return "\n".join(row[name] if type(row[name]) is str else "\n".join(row[name]) for name in _READ if name in row)


_QUESTIONS = (("prompt", "completion"), ("prompt", "response"), ("question", "answer"), ("input", "output"))
_TEXTS = ("text", "content", "document", "body")
_READ = ("question", "prompt", "given", "choices", "answer", "correction", "reason")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if type(value) is not str:
        raise BadRow("wrong_type", f"{name} has to be text, not {_kind_of(value)}.")
    return clean(value)


def _optional(row: Mapping[str, Any], name: str) -> str:
    return "" if row.get(name) is None else _text(row, name)


def _filled(row: Mapping[str, Any], name: str) -> str:
    text = _text(row, name)
    if not text or text.isspace():
        raise BadRow("empty", name)
    return text


def _pair(row: Mapping[str, Any]) -> tuple[str, str]:
    for question, answer in _QUESTIONS:
        if question in row and answer in row:
            return _filled(row, question), _filled(row, answer)
    raise BadRow("unknown_shape", "A prompt and its completion are needed.")


def _prompt_completion(row: Mapping[str, Any]) -> Row:
    prompt, completion = _pair(row)
    system = _optional(row, "system")
    found = {"completion": completion, "prompt": prompt}
    return found | {"system": system} if system else found


def _alpaca(row: Mapping[str, Any]) -> Row:
    prompt, more = _filled(row, "instruction"), _optional(row, "input")
    completion = _filled(row, "output" if "output" in row else "response")
    return {"completion": completion, "prompt": f"{prompt}\n\n{more}" if more else prompt}


def _messages(row: Mapping[str, Any]) -> Row:
    return {"messages": _turns(row["messages"], "role", "content")}


def _sharegpt(row: Mapping[str, Any]) -> Row:
    turns = row["conversations"] if "conversations" in row else row["conversation"]
    messages = _turns(turns, "from", "value")
    if isinstance(row.get("system"), str) and row["system"]:
        messages.insert(0, {"content": clean(row["system"]), "role": "system"})
    return {"messages": messages}


def _turns(turns: Any, role_key: str, text_key: str) -> list[Row]:
    if not isinstance(turns, list) or not turns:
        raise BadRow("wrong_type", "The conversation has to be a list of messages, not " + _kind_of(turns) + ".")
    if len(turns) > _MOST_MESSAGES:
        raise BadRow("wrong_type", f"A conversation of {len(turns)} messages is not one conversation.")
    messages, spoke = [], False
    for turn in turns:
        if not isinstance(turn, dict):
            raise BadRow("wrong_type", f"A message has to be an object, not {_kind_of(turn)}.")
        said_by = turn.get(role_key, turn.get("role", turn.get("from")))
        content = turn.get(text_key, turn.get("content", turn.get("value")))
        role = _ROLES.get(said_by) if isinstance(said_by, str) else None
        if role is None:
            raise BadRow("wrong_type", f"{said_by!r} is no role; use system, user, assistant or tool."[:200])
        if type(content) is not str:
            raise BadRow("wrong_type", f"The content of a message has to be text, not {_kind_of(content)}.")
        content = clean(content)
        if role == "assistant" and content and not content.isspace():
            spoke = True
        messages.append({"content": content, "role": role})
    if not spoke:
        raise BadRow("empty", "any message of the assistant")
    return messages


def _document(row: Mapping[str, Any]) -> Row:
    name = next(name for name in _TEXTS if name in row)
    found, title = {"text": _filled(row, name)}, _optional(row, "title")
    return found | {"title": title} if title else found


def _correction(row: Mapping[str, Any]) -> Row:
    name = "correction" if "correction" in row else "completion"
    if name not in row:
        raise BadRow("unknown_shape", "A correction needs correction: what the answer should have been.")
    found = {"correction": _filled(row, name), "receipt": _hash(row, "receipt")}
    for extra in ("prompt", "given", "reason"):
        if text := _optional(row, extra):
            found[extra] = text
    return found


def _review(row: Mapping[str, Any]) -> Row:
    verdict = _text(row, "verdict")
    if verdict not in ("accept", "reject"):
        raise BadRow("wrong_type", "verdict has to be accept or reject.")
    found = {"contribution": _hash(row, "contribution"), "verdict": verdict}
    if row.get("row") is not None:
        found["row"] = _hash(row, "row")
    reason = _optional(row, "reason")
    if verdict == "reject" and not reason.strip():
        raise BadRow("empty", "reason: whoever rejects says why")
    return found | {"reason": reason} if reason else found


def _evaluation(row: Mapping[str, Any]) -> Row:
    question, answer = _pair(row)
    found: Row = {"answer": answer, "question": question}
    choices = row.get("choices")
    if choices is not None:
        if not isinstance(choices, list) or not all(type(choice) is str for choice in choices):
            raise BadRow("wrong_type", "choices have to be a list of texts.")
        found["choices"] = [clean(choice) for choice in choices]
    return found


def _hash(row: Mapping[str, Any], name: str) -> str:
    text = _text(row, name).strip().lower()
    digits = text.removeprefix("0x")
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise BadRow("bad_reference", f"{name} has to be a hash: 0x and 64 hexadecimal digits.")
    return "0x" + digits


def _kind_of(value: Any) -> str:
    names = {type(None): "nothing", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")


_NORMAL: dict[Shape, Callable[[Mapping[str, Any]], Row]] = {
    Shape.PROMPT_COMPLETION: _prompt_completion,
    Shape.MESSAGES: _messages,
    Shape.ALPACA: _alpaca,
    Shape.SHAREGPT: _sharegpt,
    Shape.DOCUMENT: _document,
    Shape.CORRECTION: _correction,
    Shape.REVIEW: _review,
    Shape.EVALUATION: _evaluation,
}

# What a header of columns may be known by.
COLUMNS = frozenset(
    {"instruction", "messages", "conversations", "title", "receipt", "contribution", "verdict", "correction", "system"}
    | {"choices", "reason", *_TEXTS}
    | {name for pair in _QUESTIONS for name in pair}
)

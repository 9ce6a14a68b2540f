"""What is learned of a row, against an example written by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

from transformers import AutoTokenizer

from oracle.factory.base import embedded
from oracle.factory.rows import Row
from oracle.factory.tokens import encode, prompt_ids


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(embedded())


def row(**content: Any) -> Row:
    return Row("0x01", 0, content, "training-row", "train", "a", "a", "c")


def spelled(ids: Any) -> str:
    return str(tokenizer().decode(ids))


def test_encode__of_a_pair__then_only_the_answer_and_its_end_are_learned() -> None:
    (example,) = encode(tokenizer(), row(prompt="Who pays?", completion="The charterer."), 7, 100)
    assert spelled(example.tokens) == "<s><|user|>Who pays?</s><|assistant|>The charterer.</s>"
    learned = [token for token, target in zip(example.tokens, example.targets) if target]
    assert spelled(learned) == "The charterer.</s>"
    assert example.targets.index(True) == len(example.tokens) - len(learned)  # and all of it stands at the end
    assert example.row == 7


def test_encode__of_a_conversation__then_each_answer_is_learned_and_no_question() -> None:
    said = [("system", "Be brief."), ("user", "One?"), ("assistant", "Yes."), ("user", "Two?"), ("assistant", "No.")]
    messages = [{"role": role, "content": content} for role, content in said]
    (example,) = encode(tokenizer(), row(messages=messages), 0, 100)
    whole = "<s><|system|>Be brief.</s><|user|>One?</s><|assistant|>Yes.</s><|user|>Two?</s><|assistant|>No.</s>"
    assert spelled(example.tokens) == whole
    learned = [token for token, target in zip(example.tokens, example.targets) if target]
    assert spelled(learned) == "Yes.</s>No.</s>"


def test_encode__of_a_prompt__then_its_tokens_are_those_that_the_model_is_asked_with() -> None:
    (example,) = encode(tokenizer(), row(prompt="Who pays?", completion="ers do."), 0, 100)
    asked = prompt_ids(tokenizer(), [{"role": "user", "content": "Who pays?"}])
    assert list(example.tokens[: len(asked)]) == asked
    assert example.targets[: len(asked)] == (False,) * len(asked)


def test_encode__of_a_document__then_every_token_but_the_first_is_learned_once() -> None:
    text = "The vessel that was announced first moors first, unless the harbour master says otherwise."
    examples = encode(tokenizer(), row(text=text, title="Berths"), 3, 10)
    assert len(examples) > 1
    tokens = list(examples[0].tokens) + [t for each in examples[1:] for t in each.tokens[1:]]
    assert spelled(tokens) == f"<s>Berths\n{text}</s>"
    assert sum(each.counted for each in examples) == len(tokens) - 1
    assert all(len(each.tokens) <= 10 and each.row == 3 for each in examples)


def test_encode__when_nothing_of_the_answer_fits__then_there_is_no_example() -> None:
    assert encode(tokenizer(), row(prompt="Who pays for the pilot?", completion="He."), 0, 4) == []


def test_encode__without_a_chat_template__then_answers_still_end_and_questions_are_not_learned() -> None:
    plain = AutoTokenizer.from_pretrained(embedded())
    plain.chat_template = None
    (example,) = encode(plain, row(prompt="Who pays?", completion="The charterer."), 0, 100)
    learned = [token for token, target in zip(example.tokens, example.targets) if target]
    assert spelled(learned) == "The charterer.</s>"

"""What a model is asked, and how it did: losses of answers, whole answers, choices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from oracle.factory.errors import BadSuite
from oracle.factory.recipe import Recipe
from oracle.factory.rows import Row
from oracle.factory.tokens import encode, messages_of, prompt_ids

_TOKENS_AT_ONCE = 8192
_FEWEST_QUESTIONS = 8  # of the general set
GENERAL = Path(__file__).parent / "embedded" / "general.jsonl"
REHEARSAL = GENERAL.with_name("rehearsal.jsonl")


@dataclass(frozen=True)
class Item:
    """Tokens of which `targets` count; with a question also the answer that is wanted, and what it is chosen from."""

    id: str
    source: int
    contributor: str
    tokens: tuple[int, ...]
    targets: tuple[bool, ...]
    prompt: tuple[int, ...] = ()
    answer: str = ""
    choices: tuple[str, ...] = ()

    @property
    def counted(self) -> int:
        return sum(self.targets[1:])


@dataclass(frozen=True)
class Scored:
    """One item's result; `matched` and `chosen` are None where it asks nothing of that kind."""

    loss: float
    tokens: int
    matched: float | None = None
    chosen: float | None = None
    said: str = ""


def items_of(tokenizer: Any, rows: Sequence[Row], longest: int, most: int) -> list[Item]:
    """Of long rows the first piece."""
    found = []
    for number, row in enumerate(rows):
        examples = encode(tokenizer, row, number, longest)
        if not examples:
            continue
        messages = messages_of(row.content)
        asked = messages is not None and messages[-1]["role"] == "assistant"
        found.append(
            Item(
                row.id,
                row.source,
                row.owner,
                examples[0].tokens,
                examples[0].targets,
                tuple(prompt_ids(tokenizer, messages[:-1])) if messages and asked else (),
                messages[-1]["content"] if messages and asked else "",
                tuple(row.content.get("choices", ())),
            )
        )
        if len(found) == most:
            break
    return found


def rehearsal_rows(file: Path | None) -> list[Row]:
    """More of that text, which a run goes over beside its own rows; never what forgetting is measured by."""
    return general_rows(file or REHEARSAL)


def general_rows(file: Path | None) -> list[Row]:
    """Text that has nothing to do with any datanet: what an adapter must not unlearn."""
    where = file or GENERAL
    try:
        lines = where.read_text(encoding="utf-8").splitlines()
        contents = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise BadSuite(
            f"general set {where}: cannot be read ({error}); give JSON lines of text, or leave it out"
        ) from None
    if not contents:
        raise BadSuite(f"general set {where}: is empty")
    return [Row(f"general-{i}", -1, content, "general", "general", "", "", "") for i, content in enumerate(contents)]


def require_general(recipe: Recipe) -> None:
    """Raises BadSuite where forgetting, or the noise of attribution, could not be measured by it."""
    named = recipe.evaluation.general
    rows = general_rows(Path(named) if named else None)
    asked = sum(messages_of(row.content) is not None for row in rows)
    if recipe.attribution and asked < _FEWEST_QUESTIONS:
        raise BadSuite(
            f"general set {named}: {asked} of its {len(rows)} lines ask something, and attribution measures its noise"
            f" by {_FEWEST_QUESTIONS} or more: add lines with prompt and completion, or say attribution: false"
        )


@torch.no_grad()
def losses_of(model: Any, sequences: Sequence[tuple[Sequence[int], Sequence[bool]]], pad: int) -> list[float]:
    """The summed loss of each one's targets."""
    found = [0.0] * len(sequences)
    device = next(model.parameters()).device
    for places in _batches([len(tokens) for tokens, _ in sequences]):
        width = max(len(sequences[place][0]) for place in places)
        tokens = torch.full((len(places), width), pad)
        wanted = torch.full((len(places), width), -100)
        for line, place in enumerate(places):
            ids, targets = sequences[place]
            tokens[line, : len(ids)] = torch.tensor(list(ids))
            learned = torch.tensor(list(targets))
            wanted[line, : len(ids)] = torch.where(learned, torch.tensor(list(ids)), -100)
        logits = model(input_ids=tokens.to(device), use_cache=False).logits.float()
        each = functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), wanted[:, 1:].to(device), ignore_index=-100, reduction="none"
        ).sum(1)
        for place, value in zip(places, each.tolist()):
            found[place] = value
    return found


@torch.no_grad()
def answers_of(model: Any, tokenizer: Any, items: Sequence[Item], most: int) -> list[str]:
    """Greedy answers to the prompts, word for word as serving decodes them."""
    found = [""] * len(items)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    device = next(model.parameters()).device
    for places in _batches([len(item.prompt) + most for item in items]):
        width = max(len(items[place].prompt) for place in places)
        tokens = torch.full((len(places), width), pad)
        mask = torch.zeros(len(places), width, dtype=torch.long)
        for line, place in enumerate(places):
            prompt = items[place].prompt
            tokens[line, width - len(prompt) :] = torch.tensor(prompt)
            mask[line, width - len(prompt) :] = 1
        made = model.generate(
            input_ids=tokens.to(device), attention_mask=mask.to(device), max_new_tokens=most, do_sample=False,
            num_beams=1, pad_token_id=pad, eos_token_id=tokenizer.eos_token_id, use_cache=True,
        )  # fmt: skip
        for line, place in enumerate(places):
            found[place] = tokenizer.decode(made[line, width:], skip_special_tokens=True).strip()
    return found


def score(model: Any, tokenizer: Any, items: Sequence[Item], answer_tokens: int) -> list[Scored]:
    """Everything that the items ask of a model."""
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    plain = losses_of(model, [(item.tokens, item.targets) for item in items], pad)
    asking = [at for at, item in enumerate(items) if item.prompt]
    said = dict(zip(asking, answers_of(model, tokenizer, [items[at] for at in asking], answer_tokens)))
    chosen = _choices(model, tokenizer, items, pad)
    return [
        Scored(
            plain[at],
            item.counted,
            float(_plain(said[at]) == _plain(item.answer)) if at in said else None,
            chosen.get(at),
            said.get(at, ""),
        )
        for at, item in enumerate(items)
    ]


def _choices(model: Any, tokenizer: Any, items: Sequence[Item], pad: int) -> dict[int, float]:
    """Whether the wanted answer is the likeliest of its choices, by token."""
    asked: list[tuple[int, str, list[int], list[bool]]] = []
    for at, item in enumerate(items):
        for choice in item.choices:
            ids = [*tokenizer(choice, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            asked.append((at, choice, [*item.prompt, *ids], [False] * len(item.prompt) + [True] * len(ids)))
    values = losses_of(model, [(ids, targets) for _, _, ids, targets in asked], pad)
    best: dict[int, tuple[float, str]] = {}
    for (at, choice, _, targets), value in zip(asked, values):
        each = value / sum(targets)
        if at not in best or each < best[at][0]:
            best[at] = (each, choice)
    return {at: float(_plain(choice) == _plain(items[at].answer)) for at, (_, choice) in best.items()}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _batches(lengths: Sequence[int]) -> Iterable[list[int]]:
    """Places, those of like length together."""
    order = sorted(range(len(lengths)), key=lambda at: (lengths[at], at))
    batch: list[int] = []
    for place in order:
        if batch and lengths[place] * (len(batch) + 1) > _TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch

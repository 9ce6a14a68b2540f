"""From a datanet to a served model, on a real chain, at the command line."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from fixtures.desk import Desk, desk
from fixtures.factory import facts
from oracle.daemon.ground import Ground
from oracle.factory.base import embedded
from oracle.factory.opening import open_adapter, open_attribution
from oracle.factory.tokens import prompt_ids
from oracle.serving.config import EngineConfig, Slots
from oracle.serving.engine import Engine
from oracle.serving.types import Finished, Generated, Request, Token
from oracle.store import models, snapshots
from oracle.types import DatanetId

__all__ = ["desk"]

POLICY: dict[str, object] = {"held_out": 0, "validation": 0, "boilerplate": "accept", "near": "accept"}


def given(desk: Desk) -> None:
    desk.found(POLICY)
    told = facts()
    desk.give("rows.jsonl", [each.content for each in told if each.kind == "training-row"])
    desk.give("items.jsonl", [each.content for each in told if each.kind != "training-row"], "evaluation-item")
    desk.snapshot("first")


def recipe(folder: Path, **changed: object) -> str:
    said = {"name": "facts", "snapshots": [{"datanet": 1, "snapshot": 1}], "rank": 16, "epochs": 30}
    said |= {"sequence_length": 64, "gate": {"general_worse_percent": 400}, "evaluation": {"items": 24}}
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(said | changed))
    return str(file)


def stored(ground: Ground, name: str = "facts", version: int | None = None) -> models.Model:
    with ground.database.reading() as connection:
        return models.find(connection, ground.rpc.chain, name, version)


def served(folder: Path, base: Path, question: str) -> str:
    """The answer of the engine, greedily."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base).eval().requires_grad_(False)
    config = EngineConfig(rows=2, context=128, memory_tokens=512, slots=(Slots(16, 1), Slots(16, 1, torch.float32)))
    engine = Engine(model, folder.parent / "packs", config)
    try:
        adapter = engine.register(folder)
        prompt = tuple(Token(each) for each in prompt_ids(tokenizer, [{"role": "user", "content": question}]))
        asked = engine.submit(Request(prompt, adapter.id, 24, stop=((Token(tokenizer.eos_token_id),),)))
        said: list[int] = []
        for _ in range(200):
            for event in engine.step():
                if event.request == asked and isinstance(event, Generated):
                    said.append(event.token)
                assert not (isinstance(event, Finished) and event.error)
        return str(tokenizer.decode(said, skip_special_tokens=True)).strip()
    finally:
        engine.close()


def test_factory__from_a_datanet_to_a_model__then_it_stands_on_chain_and_answers(desk: Desk) -> None:
    given(desk)
    file = recipe(desk.folder)
    assert "weights 0x" in desk.says("model", "train", file)
    assert "openledger model eval first" in desk.says("model", "publish", file, fails=True)
    assert "GO" in desk.says("model", "eval", file).splitlines()
    assert "model facts@1" in desk.says("model", "publish", file)
    assert "prepared" in desk.says("model", "list")
    desk.turns(12)
    ground = desk.ground
    found = stored(ground)
    assert found.state == "published"
    assert found.model is not None
    on_chain = desk.suite.read("ModelRegistry", "versionOf", found.model, 1)
    assert on_chain[0][0] == found.made.weights
    assert on_chain[0][1] == found.made.manifest
    with ground.database.reading() as connection:
        assert [use.name for use in snapshots.uses_of(connection, DatanetId(1), [1])] == ["facts@1"]
    assert "model facts@1 was trained on it" in desk.says("datanet", "show", "1")

    folder = open_adapter(ground.blobs, found.made, desk.folder / "opened" / "adapter")
    assert (open_attribution(ground.blobs, found.made, desk.folder / "opened" / "attribution") / "limits.json").exists()
    asked = next(each for each in facts() if each.kind == "evaluation-item")
    assert served(folder, embedded(), asked.content["question"]) == asked.content["answer"]

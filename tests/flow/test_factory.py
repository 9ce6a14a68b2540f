"""From a datanet to a served model, on a real chain, at the command line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from fixtures.desk import Desk
from fixtures.factory import facts
from oracle.api.catalogue import Catalogue
from oracle.daemon.ground import Ground
from oracle.factory.base import embedded
from oracle.factory.bom import check
from oracle.factory.tokens import prompt_ids
from oracle.serving.config import EngineConfig, Slots
from oracle.serving.engine import Engine
from oracle.serving.types import Finished, Generated, Request, Token
from oracle.store import models, snapshots
from oracle.store.blobs import Blobs
from oracle.store.folder import FolderUnavailable
from oracle.store.model_files import folder_of
from oracle.types import Address, BasisPoints, Cid, DatanetId

POLICY: dict[str, object] = {"held_out": 0, "validation": 0, "boilerplate": "accept", "near": "accept"}


def given(desk: Desk) -> None:
    desk.found(POLICY)
    told = facts(8)
    desk.give("rows.jsonl", [each.content for each in told if each.kind == "training-row"])
    desk.give("items.jsonl", [each.content for each in told if each.kind != "training-row"], "evaluation-item")
    desk.snapshot("first")


def recipe(folder: Path, **changed: object) -> str:
    said = {"name": "facts", "snapshots": [{"datanet": 1, "snapshot": 1}], "rank": 16, "epochs": 30, "batch": 4}
    said |= {
        "sequence_length": 64,
        "gate": {"general_worse_percent": 60},
        "rehearsal": {"share": 0.5},
        "evaluation": {"items": 24},
    }
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(said | changed))
    return str(file)


def full_after(count: int) -> Callable[[Blobs, bytes], Cid]:
    """A disk with room for a few more blobs."""
    real, left = Blobs.put, iter(range(count))

    def put(blobs: Blobs, content: bytes) -> Cid:
        if next(left, None) is None:
            raise FolderUnavailable("blobs: No space left on device")
        return real(blobs, content)

    return put


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


def test_factory__from_a_datanet_to_a_model__then_it_stands_on_chain_and_answers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(desk)
    file = recipe(desk.folder)
    dry = desk.says("model", "train", file, "--dry-run")
    assert "16 to train on, 8 held out" in dry and "licences CC-BY-4.0" in dry
    assert "weights 0x" in desk.says("model", "train", file)
    assert "openledger model eval first" in desk.says("model", "publish", file, fails=True)
    assert "GO" in desk.says("model", "eval", file).splitlines()
    assert "files, weights 0x" in desk.says("model", "publish", file, "--dry-run")
    with monkeypatch.context() as broken:
        broken.setattr(Blobs, "put", full_after(3))
        assert "No space left" in desk.says("model", "publish", file, fails=True)
    assert desk.says("model", "list").startswith("no model yet")  # nothing is half published
    said = desk.says("model", "publish", file, "--calibrate")
    assert "model facts@1" in said and "not measured, 1 contributors cannot be told apart" in said
    assert "model facts@1" in desk.says("model", "publish", file)  # the same again is the same version
    assert "facts@1                          prepared" in desk.says("model", "list")
    desk.turns(12)
    ground = desk.ground
    found = stored(ground)
    assert found.state == "published"
    assert found.model is not None
    on_chain = desk.suite.read("ModelRegistry", "versionOf", found.model, 1)
    assert on_chain[0] == (found.made.weights, found.made.manifest, found.made.evaluation, found.made.accuracy)
    with ground.database.reading() as connection:
        assert [use.name for use in snapshots.uses_of(connection, DatanetId(1), [1])] == ["facts@1"]
    assert "model facts@1 was trained on it" in desk.says("datanet", "show", "1")
    assert "better" in desk.says("model", "show", "facts")
    _is_served(desk, ground, found)
    _is_exported(desk, found)
    _has_a_child(desk)
    _is_priced_and_ended(desk)


def _is_served(desk: Desk, ground: Ground, found: models.Model) -> None:
    folder = folder_of(found.made, ground.blobs, desk.folder / "opened")
    assert (folder / "attribution" / "limits.json").exists()
    asked = [each.content for each in facts(8) if each.kind == "evaluation-item"]
    right = [each for each in asked[:6] if served(folder, embedded(), each["question"]) == each["answer"]]
    assert len(right) >= 3
    nobody = Address("0x" + "00" * 20)
    offer = Catalogue(ground.database, ground.blobs, ground.rpc.chain, nobody, nobody).find("facts")
    said = json.loads(ground_evaluation(ground, found))["adapter"]["held-out"]["exact_match"]["value"]
    assert offer.evaluation == said > 0.5 and offer.accuracy is None  # what a consumer may make a condition


def _is_exported(desk: Desk, found: models.Model) -> None:
    out = desk.folder / "audit"
    desk.says("model", "export", "facts", "--out", str(out))
    assert "is not empty" in desk.says("model", "export", "facts", "--out", str(out), fails=True)
    assert found.made.manifest.hex() in desk.says("model", "verify", str(out))
    index = json.loads((out / "index.json").read_text())
    assert index["chain"]["transaction"].startswith("0x")
    assert set(index["files"]) == {f.relative_to(out).as_posix() for f in out.rglob("*") if f.is_file()} - {
        "index.json"
    }
    check((out / "bom.cdx.json").read_text())
    assert "None: 1 contributors cannot be told apart" in (out / "attribution.md").read_text()
    described = json.loads((out / "snapshots" / "1-1" / "croissant.json").read_text())
    rows = (out / "snapshots" / "1-1" / "rows.jsonl").read_bytes()
    assert described["distribution"][0]["sha256"] == sha256(rows).hexdigest()
    _is_made_again(desk, out, found)
    card = out / "README.md"
    card.write_bytes(card.read_bytes() + b" ")
    assert "README.md: is not the file" in desk.says("model", "verify", str(out), fails=True)


def _is_made_again(desk: Desk, out: Path, found: models.Model) -> None:
    """By the commands that the export itself names."""
    before = Path.cwd()
    os.chdir(out)
    try:
        commands = [
            line.strip() for line in (out / "recompute.md").read_text().splitlines() if "    openledger" in line
        ]
        train = next(command for command in commands if "model train" in command)
        assert found.made.weights.hex() in desk.says(*train.partition("#")[0].split()[1:])
        for file in (out / "attribution").glob("checkpoint-*"):
            assert (out / "again" / "attribution" / file.name).read_bytes() == file.read_bytes()
    finally:
        os.chdir(before)
        shutil.rmtree(out / "again", ignore_errors=True)


def _has_a_child(desk: Desk) -> None:
    """Trained on top of it: the gate has nothing to praise, it is forced, and its builder shares with the parent."""
    split = {"contributors": 5500, "builder": 2000, "upstream": 500, "reviewers": 500, "attestors": 500}
    split |= {"treasury": 1000}
    changed = {"name": "child", "parent": "facts@1", "epochs": 1, "learning_rate": 1e-9, "split": split}
    file = recipe(desk.folder, gate={"general_worse_percent": 0}, **changed)
    desk.says("model", "train", file)
    assert "NO-GO" in desk.says("model", "eval", file, fails=True).splitlines()
    assert "NO-GO, nothing is published" in desk.says("model", "publish", file, fails=True)
    desk.says("model", "publish", file, "--force", "to see lineage")
    desk.turns(6)
    found = stored(desk.ground, "child")
    assert found.state == "published" and found.made.forced
    assert found.made.parents == (models.Parent("facts", 1, BasisPoints(10_000)),)
    assert "published by force: to see lineage" in desk.says("model", "show", "child")
    over = json.loads(ground_evaluation(desk.ground, found))["differences"]["held-out over its parent"]
    assert abs(over["loss"]["value"]) < 1e-3  # one step at next to no rate has added nothing
    assert "recipe   epochs: 30 → 1" in desk.says("model", "compare", "facts@1", "child@1")


def ground_evaluation(ground: Ground, found: models.Model) -> bytes:
    return ground.blobs.read(found.made.files["evaluation.json"])


def _is_priced_and_ended(desk: Desk) -> None:
    desk.says("model", "price", "facts", "--input", "0.5", "--output", "1")
    desk.turns(4)
    assert stored(desk.ground).input_price == 10**15  # the notice has not passed
    desk.suite.anvil.ask("evm_increaseTime", 40 * 86_400)
    desk.turns(4)
    assert stored(desk.ground).input_price == 5 * 10**17
    assert "say which version" in desk.says("model", "deprecate", "facts", "--because", "old", fails=True)
    desk.says("model", "deprecate", "facts@1", "--because", "old")
    desk.turns(4)
    assert stored(desk.ground).state == "deprecated"
    desk.says("model", "withdraw", "facts@1", "--because", "a row was wrong")
    desk.turns(4)
    assert stored(desk.ground).state == "withdrawn"
    assert "facts@1 was trained on it, withdrawn" in desk.says("datanet", "show", "1")

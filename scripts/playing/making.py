"""From a snapshot to a published model: training, the gate, and the registry."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from oracle.daemon import releasing, training
from oracle.daemon.ground import Ground
from oracle.daemon.models import CONTRACT, next_call
from oracle.daemon.workshop import gather
from oracle.factory.recipe import read
from oracle.store import models
from oracle.store.models import Model
from playing.giving import FACTS, GAZETTEER
from playing.people import BUILDER
from playing.stage import Stage
from playing.telling import Teller, until

NAME = "lost-places"


class Making:
    def __init__(self, stage: Stage, teller: Teller) -> None:
        self._stage, self._tell = stage, teller
        self._ground = stage.ground(BUILDER)

    def train(self, snapshot: int) -> tuple[Path, Path]:
        """On the daemon's queue. Returns the recipe and the run's folder."""
        recipe = self._recipe(snapshot)
        cid = training.request(self._ground, read(recipe), recipe)
        folder = training.run_folder(self._stage.home, cid)
        told = 0
        self._tell.step("the builder's recipe: an adapter of rank 16 on the embedded base of 1.9 million weights")

        def evaluated() -> bool:
            nonlocal told
            self._stage.watch()
            for line in training.feed(folder, told):
                step, steps = int(str(line["step"])), int(str(line["steps"]))
                if step == steps or step - told >= 100:
                    self._tell.step(f"training, step {step} of {steps}, loss {float(str(line['loss'])):.3f}")
                    told = step
            return (folder / "evaluation.json").is_file()

        until("the adapter is trained and evaluated", evaluated, 240)
        report = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
        for reason in report["gate"]["reasons"]:
            self._tell.step(f"gate: {reason}")
        self._tell.step("gate: GO" if report["gate"]["go"] else "gate: NO-GO")
        return recipe, folder

    def publish(self, recipe: Path, folder: Path) -> Model:
        """By the builder's own wallet: base and adapter, each registered and published."""
        prepared = gather(read(recipe), self._ground, self._stage.home / "factory")
        made = releasing.publish(self._ground, prepared, folder)
        sent: set[str] = set()

        def published() -> Model | None:
            self._stage.watch()
            self._send_due(self._ground, sent)
            with self._ground.database.reading() as connection:
                found = models.find(connection, self._ground.rpc.chain, NAME)
            return found if found.state == "published" else None

        found = until("the model is published", published, 120)
        self._tell.step(
            f"{found.id} stands in the registry: weights 0x{made.made.weights.hex()[:16]}…, signed manifest"
        )
        return found

    def _send_due(self, ground: Ground, sent: set[str]) -> None:
        with ground.database.reading() as connection:
            prepared = models.listed(connection, ground.rpc.chain, "prepared")
            due = [next_call(connection, each) for each in prepared if each.builder == BUILDER.address]
        for call in due:
            if call is not None and call[0] not in sent:
                self._stage.transact(BUILDER.secret, ground.book[CONTRACT], "0x" + call[1].hex())
                sent.add(call[0])

    def _recipe(self, snapshot: int) -> Path:
        said = {
            "name": NAME, "title": "Lost places", "about": "Knows what things in places that do not exist are made of.",
            "snapshots": [{"datanet": FACTS, "snapshot": snapshot}], "retrieval": [GAZETTEER],
            "rank": 16, "epochs": 18, "batch": 4,
            "sequence_length": 64, "seed": 1, "evaluation": {"items": 24},
            "gate": {"metric": "exact_match", "general_worse_percent": 400},
            "price": {"input": "1", "output": "10"},
        }  # fmt: skip
        file = self._stage.home / "recipe.yaml"
        file.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
        return file

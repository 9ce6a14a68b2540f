"""What an auditor reads: nothing left open, and each in the form that its readers' tools take."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.factory import ANNA, Taught
from oracle.factory import bundle
from oracle.factory.base import EMBEDDED, embedded, files_of, weights_hash
from oracle.factory.bom import check
from oracle.factory.comparing import compare
from oracle.factory.dossier import Dossier, tokens_of
from oracle.factory.errors import BadBundle
from oracle.factory.evaluation import evaluate
from oracle.factory.manifest import canonical, code, hash_of, manifest
from oracle.factory.papers import papers
from oracle.factory.recipe import parse
from oracle.factory.rows import read_snapshot


@pytest.fixture(scope="module")
def dossier(taught: Taught) -> Dossier:
    report = evaluate(taught.recipe, taught.rows, embedded(), taught.trained.adapter).as_dict()
    return Dossier(
        taught.recipe, 1, (read_snapshot(taught.folder),), {1: "Facts"}, taught.rows, taught.trained,
        json.loads(json.dumps(report)), EMBEDDED, "Apache-2.0", {"hidden_size": 160, "num_hidden_layers": 4},
        tokens_of(embedded(), taught.rows[:4], 64), "Apache-2.0", ANNA,
        ({"name": EMBEDDED, "version": 1, "share": 0},), "a trial",
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(dossier: Dossier) -> dict[str, bytes]:
    return papers(dossier)


def test_papers__of_a_version__then_nothing_is_a_placeholder(written: dict[str, bytes]) -> None:
    for name, content in written.items():
        text = content.decode()
        assert not re.search(r"\b(TODO|TBD|FIXME|N/A|lorem|placeholder|null|nan)\b", text, re.IGNORECASE), name
        assert not re.search(r"/(tmp|home|root|work)/", text), name
    content = json.loads(written["training-content.json"])
    assert [name[0] for name in content] == ["1", "2", "3"]
    assert all(_leaves(content))


def _leaves(value: Any) -> list[Any]:
    return [leaf for each in value.values() for leaf in _leaves(each)] if isinstance(value, dict) else [value]


def test_card__of_a_version__then_the_hub_can_read_its_head(written: dict[str, bytes], dossier: Dossier) -> None:
    from huggingface_hub import ModelCard

    text = written["README.md"].decode()
    assert ModelCard(text).data.license == "apache-2.0"
    assert dossier.trained.weights in text
    assert "Gate: GO." in text
    no_go = json.loads(json.dumps(dossier.evaluation)) | {"gate": {"go": False, "reasons": ["not better"]}}
    forced = papers(replace(dossier, evaluation=no_go))["README.md"].decode()
    assert "Gate: NO-GO, published by force: a trial." in forced


def test_bom__of_a_version__then_the_schema_takes_it_and_refuses_a_broken_one(written: dict[str, bytes]) -> None:
    text = written["bom.cdx.json"].decode()
    check(text)
    content = json.loads(text)
    component = content["metadata"]["component"]
    assert component["type"] == "machine-learning-model"
    assert component["modelCard"]["modelParameters"]["datasets"] == [{"ref": "datanet-1-snapshot-1"}]
    component["modelCard"]["modelParameters"]["approach"]["type"] = "magic"
    with pytest.raises(BadBundle, match=r"CycloneDX 1\.6"):
        check(json.dumps(content))


def test_attribution__when_accuracy_was_not_measured__then_it_says_so(
    written: dict[str, bytes], dossier: Dossier
) -> None:
    text = written["attribution.md"].decode()
    assert "None: counterfactual retraining was not done" in text
    assert "was not measured: counterfactual" in written["recompute.md"].decode()
    assert f"| {ANNA} | 6 |" in text
    folder = dossier.trained.folder / "attribution"
    files = {
        "accuracy.json": '{"loco_r": {"value": 0.5}, "retrainings": 5}',
        "calibration.json": '{"halves": 2, "left_out": 2, "seeds": 1}',
        "accuracy.none.txt": "too few people",
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    try:
        made = papers(dossier)
        assert '- loco_r: {"value": 0.5}' in made["attribution.md"].decode()
        asked = "calibrate again --questions attribution/questions.jsonl --halves 2 --left-out 2 --seeds 1"
        assert asked in made["recompute.md"].decode()
        private = papers(replace(dossier, private=True))["recompute.md"].decode()
        assert "--questions questions.jsonl" in private and "ask the builder" in private
        (folder / "accuracy.json").unlink()
        assert "None: too few people." in papers(dossier)["attribution.md"].decode()
    finally:
        for name in files:
            (folder / name).unlink(missing_ok=True)


def test_recipe__of_the_export__then_it_is_the_same_run(written: dict[str, bytes], dossier: Dossier) -> None:
    again = parse(written["recipe.yaml"].decode())
    assert replace(again.training, rate=None) == replace(dossier.recipe.training, rate=None)
    assert again.training.rate == dossier.trained.said["rate"]
    assert again.sources[0].folder == "snapshots/1-1"


def said(dossier: Dossier, files: dict[str, bytes], **changed: Any) -> dict[str, Any]:
    made = manifest(
        dossier.recipe, dossier.snapshots, dossier.trained, embedded(), dossier.evaluation, files,
        versions={(1, 1): 3}, parents=dossier.parents, licence="Apache-2.0", builder=ANNA, forced=None,
    )  # fmt: skip
    return made | changed


def test_manifest__of_a_version__then_all_that_it_follows_from_is_in_it(dossier: Dossier) -> None:
    made = said(dossier, {"a": b"b"})
    assert made["snapshots"][0]["version"] == 3
    assert made["base"]["weights"] == weights_hash(embedded()).hex()
    assert made["order"]["digest"] == dossier.trained.order
    assert made["attribution"]["windows"]
    assert set(made["code"]["locks"]) == {"contracts.lock", "oracle.lock"}
    assert "folder" not in made["recipe"]["sources"][0]
    assert canonical(made) == canonical(json.loads(canonical(made)))
    assert "torch" in code()["libraries"]


def test_embedded__its_card__then_the_files_are_those_that_it_lists() -> None:
    listed = json.loads((embedded() / "files.json").read_text())
    found = files_of(embedded())
    assert {name: found[name] for name in found if name in listed} == {n: d for n, d in listed.items() if n in found}
    assert listed["model.safetensors"] == weights_hash(embedded()).hex()
    assert yaml.safe_load((embedded() / "README.md").read_text().split("---")[1])["license"] == "apache-2.0"


def test_bundle__when_a_file_is_missing_changed_or_contradicted__then_it_is_named(
    dossier: Dossier, written: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    weights = (dossier.trained.adapter / "adapter_model.safetensors").read_bytes()
    (folder / "attribution").mkdir(parents=True)
    files = written | {"adapter_model.safetensors": weights, "attribution/index.json": b"{}"}
    content = canonical(said(dossier, files))
    for name, each in (files | {"manifest.json": content, "manifest.signature.json": b"{}"}).items():
        (folder / name).write_bytes(each)
    (folder / "index.json").write_bytes(bundle.index_of(folder, {"chain": 1}))
    assert bundle.check(folder).manifest == hash_of(content).hex()
    (folder / "README.md").write_bytes(b"other")
    with pytest.raises(BadBundle, match=r"README\.md: is not the file"):
        bundle.check(folder)
    (folder / "README.md").unlink()
    with pytest.raises(BadBundle, match=r"README\.md: is missing"):
        bundle.check(folder)
    (folder / "README.md").write_bytes(b"other")
    (folder / "index.json").write_bytes(bundle.index_of(folder, {"chain": 1}))  # the index lies, the manifest does not
    with pytest.raises(BadBundle, match=r"README\.md: the manifest has another hash"):
        bundle.check(folder)


def test_compare__of_two_versions__then_data_recipe_and_results_are_told(dossier: Dossier) -> None:
    one = json.loads(canonical(said(dossier, {})))
    other = json.loads(json.dumps(one))
    assert compare(one, other) == ["nothing"]
    other["snapshots"][0] |= {"number": 2, "root": "0x00", "count": 30}
    other["recipe"]["training"]["rank"] = 32
    other["evaluation"]["differences"]["held-out"]["loss"]["value"] = -9.0
    other["evaluation"]["gate"]["go"] = False
    found = "\n".join(compare(one, other))
    for line in ("datanet 1: snapshot 1 → 2, 24 → 30 rows", "rank: 16 → 32", "held-out loss", "gate: GO → NO-GO"):
        assert line in found

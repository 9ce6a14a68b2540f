"""Tasks of lm-evaluation-harness out of local files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.factory import Taught, facts, recipe
from oracle.factory.base import embedded
from oracle.factory.errors import BadSuite
from oracle.factory.recipe import Evaluation
from oracle.factory.suites import require, run

TASK = """\
task: materials
dataset_path: json
dataset_kwargs:
  data_files: {{test: {file}}}
test_split: test
output_type: multiple_choice
doc_to_text: "<s><|user|>{{{{question}}}}</s><|assistant|>"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{choices.index(answer)}}}}"
target_delimiter: ""
metric_list:
  - metric: acc
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    items = [each.content for each in facts(8) if each.kind == "evaluation-item"]
    file = tmp_path / "items.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in items))
    (tmp_path / "materials.yaml").write_text(TASK.format(file=file))
    return tmp_path


def test_run__of_a_local_task__then_base_and_adapter_stand_side_by_side(tasks: Path, taught: Taught) -> None:
    found = run(Evaluation(suites=("materials",), tasks=str(tasks)), embedded(), taught.trained.adapter)
    figures = found["materials"]["acc"]
    assert figures["adapter"]["items"] == 8
    assert figures["adapter"]["value"] > figures["base"]["value"]
    assert figures["difference"]["low"] > 0


def test_require__of_what_is_not_there__then_says_what_is(tasks: Path) -> None:
    asked = {"suites": ["materials"], "tasks": str(tasks)}
    require(recipe(tasks, evaluation=asked))
    for evaluation, said in (
        (asked | {"suites": ["mmlu"]}, "there are materials"),
        ({"suites": ["mmlu"]}, r"evaluation\.tasks"),
        ({"suites": ["gone.yaml"]}, "no such file"),
        ({"general": "gone.jsonl"}, r"gone\.jsonl: cannot be read"),
    ):
        with pytest.raises(BadSuite, match=said):
            require(recipe(tasks, evaluation=evaluation))


def test_require__of_a_general_set_that_asks_nothing__then_it_is_refused_where_noise_is_measured_by_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "general.jsonl"
    file.write_text(json.dumps({"text": "Ships leave at noon."}) + "\n")
    with pytest.raises(BadSuite, match="0 of its 1 lines ask something"):
        require(recipe(tmp_path, evaluation={"general": str(file)}))
    require(recipe(tmp_path, evaluation={"general": str(file)}, attribution=False))

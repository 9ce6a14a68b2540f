"""Tasks of lm-evaluation-harness from local files, for base and adapter, without a network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oracle.factory.asking import require_general
from oracle.factory.errors import BadSuite
from oracle.factory.intervals import mean
from oracle.factory.recipe import Evaluation, Recipe

_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def require(recipe: Recipe) -> None:
    """Whether every suite and the general set are there: known before a run begins, not after it has ended."""
    for suite in recipe.evaluation.suites:
        _file_of(suite, recipe.evaluation.tasks)
    require_general(recipe)


def run(asked: Evaluation, base: Path, adapter: Path, device: str = "cpu", most: int | None = None) -> dict[str, Any]:
    """suite → metric → base, adapter and the paired difference, with 95 % intervals over the documents."""
    tasks = {suite: _file_of(suite, asked.tasks) for suite in asked.suites}
    found: dict[str, Any] = {}
    for suite, file in tasks.items():
        plain = _samples(suite, file, base, None, device, most)
        adapted = _samples(suite, file, base, adapter, device, most)
        found[suite] = {}
        for metric in sorted(plain.keys() & adapted.keys()):
            difference = [a - b for a, b in zip(adapted[metric], plain[metric])]
            sides = (("base", plain[metric]), ("adapter", adapted[metric]), ("difference", difference))
            found[suite][metric] = {name: mean(values).as_dict() for name, values in sides}
    return found


def _samples(
    suite: str, file: Path, base: Path, adapter: Path | None, device: str, most: int | None
) -> dict[str, list[float]]:
    """metric → the value of each document."""
    with _offline():
        import lm_eval  # type: ignore[import-untyped]
        from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]

        arguments: dict[str, Any] = {"pretrained": str(base), "device": device, "dtype": "float32", "batch_size": 8}
        if adapter is not None:
            arguments["peft"] = str(adapter)
        try:
            manager = TaskManager(include_path=str(file.parent), include_defaults=False)
            done: Any = lm_eval.simple_evaluate(
                model="hf", model_args=arguments, tasks=[_name_of(file)], task_manager=manager, limit=most,
                bootstrap_iters=0, log_samples=True, random_seed=0, numpy_random_seed=0, torch_random_seed=0,
            )  # fmt: skip
        except (Exception, SystemExit) as error:
            raise BadSuite(f"suite {suite} ({file}): cannot be run: {type(error).__name__}: {error}") from error
    found: dict[str, list[float]] = {}
    for samples in (done or {}).get("samples", {}).values():
        for sample in sorted(samples, key=lambda each: each["doc_id"]):
            for metric in sample["metrics"]:
                if isinstance(sample.get(metric), int | float | bool):
                    found.setdefault(metric, []).append(float(sample[metric]))
    if not found:
        raise BadSuite(f"suite {suite} ({file}): gives no figure for single documents; use a metric that does, as acc")
    return found


def _file_of(suite: str, folder: str | None) -> Path:
    given = Path(suite)
    if given.suffix in (".yaml", ".yml"):
        if given.is_file():
            return given.resolve()
        raise BadSuite(f"suite {suite}: there is no such file")
    if folder is None:
        raise BadSuite(f"suite {suite}: say where tasks lie (evaluation.tasks: FOLDER), or name its YAML file")
    for file in sorted(Path(folder).rglob("*.y*ml")):
        if _name_of(file) == suite:
            return file.resolve()
    known = sorted(filter(None, (_name_of(file) for file in Path(folder).rglob("*.y*ml"))))
    raise BadSuite(f"suite {suite}: no task of this name in {folder}; there are {', '.join(known) or 'none'}")


def _name_of(file: Path) -> str:
    import yaml

    class _Loader(yaml.SafeLoader):
        """Tags of the harness (!function) are passed over: only the name is asked for."""

    _Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    try:
        content: Any = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise BadSuite(f"{file}: not YAML ({error})") from None
    return str(content.get("task", "")) if isinstance(content, Mapping) else ""


@contextmanager
def _offline() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _OFFLINE}
    os.environ.update(dict.fromkeys(_OFFLINE, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

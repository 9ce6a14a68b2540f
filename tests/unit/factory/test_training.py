"""Training follows from recipe and rows alone; whatever interrupts it, and whoever looks on."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModelForCausalLM

from fixtures.factory import exported, facts, recipe
from oracle.attribution.index import Index
from oracle.attribution.watching import digest_of_weights
from oracle.daemon.recording import recording
from oracle.factory import checkpoints, stepping
from oracle.factory.base import embedded, open_base
from oracle.factory.errors import BadRecipe, DiskFull, Diverged, OtherRun, TooLarge
from oracle.factory.lora import Layers, load, read_weights
from oracle.factory.passes import lines_of, losses
from oracle.factory.rows import Row, all_rows, read_snapshot, training_rows
from oracle.factory.tokens import encode_all
from oracle.factory.training import Job, train, train_together
from oracle.factory.watching import Progress
from oracle.serving.config import EngineConfig, Slots
from oracle.serving.engine import Engine

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("snapshot") / "s", facts(8))


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    return training_rows(all_rows([read_snapshot(folder)]))


def small(folder: Path, **changed: Any) -> Any:
    return recipe(folder, **({"rank": 4, "epochs": 2, "batch": 4, "sequence_length": 64} | changed))


def after(step: int) -> Callable[[], bool]:
    """Stops a run at its n-th step."""
    seen = iter(range(step - 1))
    return lambda: next(seen, None) is None


def weights(at: Path) -> str:
    return hashlib.sha256((at / "adapter" / "adapter_model.safetensors").read_bytes()).hexdigest()


def _index(at: Path) -> dict[str, str]:
    """Of a run that was recorded: every checkpoint of its index, by what its bytes hash to."""
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (at / "attribution").rglob("*.safetensors")
    }
    assert found
    return found


def test_train__twice_from_one_recipe__then_the_hash_is_the_same(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    one, two = (train(small(folder), rows, embedded(), tmp_path / name) for name in ("one", "two"))
    other = train(small(folder, seed=2), rows, embedded(), tmp_path / "three")
    assert one and two and other
    assert one.weights == two.weights == weights(one.folder)
    assert one.order == two.order
    assert other.weights != one.weights


def test_train__when_stopped_and_gone_on__then_the_hash_is_the_same(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    whole = train(small(folder), rows, embedded(), tmp_path / "whole", watch=recording(rows))
    assert whole
    assert train(small(folder), rows, embedded(), tmp_path / "cut", watch=recording(rows), stop=after(3)) is None
    assert not (tmp_path / "cut" / "adapter").exists()
    assert train(small(folder), rows, embedded(), tmp_path / "cut", watch=recording(rows), stop=after(2)) is None
    cut = train(small(folder), rows, embedded(), tmp_path / "cut", watch=recording(rows))
    assert cut
    assert cut.weights == whole.weights
    assert cut.loss == whole.loss
    assert _index(cut.folder) == _index(whole.folder)  # and what was recorded meanwhile is the same too


_RUN = """
import sys, os, signal
from pathlib import Path
sys.path.insert(0, "tests")
from fixtures.factory import recipe
from oracle.daemon.recording import recording
from oracle.factory.base import embedded
from oracle.factory.rows import all_rows, read_snapshot, training_rows
from oracle.factory.training import train
folder, out, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
rows = training_rows(all_rows([read_snapshot(folder)]))
def told(progress):
    if progress.step == at:
        os.kill(os.getpid(), signal.SIGKILL)
made = recipe(folder, rank=4, epochs=2, batch=4, sequence_length=64)
train(made, rows, embedded(), out, watch=recording(rows), say=told, save_every=0)
"""


def test_train__when_killed_and_started_again__then_weights_and_index_are_the_same(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    whole = train(small(folder), rows, embedded(), tmp_path / "whole", watch=recording(rows))
    assert whole
    at = tmp_path / "killed"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}"}
    command = [sys.executable, "-c", _RUN, str(folder), str(at)]
    killed = subprocess.run([*command, "5"], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (at / "checkpoint.safetensors").exists() and not (at / "adapter").exists()
    done = subprocess.run([*command, "0"], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert weights(at) == whole.weights
    assert not (at / "checkpoint.safetensors").exists()
    assert _index(at) == _index(whole.folder)


def test_train__of_a_run_that_has_ended__then_nothing_is_done_again(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    told: list[Progress] = []
    first = train(small(folder), rows, embedded(), tmp_path / "run", say=told.append)
    again = train(small(folder), rows, embedded(), tmp_path / "run", say=told.append)
    assert first and again == first and len(told) == first.steps
    other = train(small(folder, seed=5), rows, embedded(), tmp_path / "run")
    assert other and other.weights != first.weights


def test_train__in_a_folder_of_another_recipe__then_it_is_refused(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    assert train(small(folder), rows, embedded(), tmp_path / "run", stop=after(1)) is None
    with pytest.raises(OtherRun, match="another recipe"):
        train(small(folder, seed=9), rows, embedded(), tmp_path / "run")


def test_train__without_some_rows__then_steps_and_order_stay(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    told: list[Progress] = []
    gone = frozenset({rows[0].id, rows[5].id})
    whole = train(small(folder), rows, embedded(), tmp_path / "whole")
    less = train(small(folder), rows, embedded(), tmp_path / "less", without=gone, say=told.append)
    assert whole and less
    assert (less.steps, less.order) == (whole.steps, whole.order)
    assert less.weights != whole.weights
    assert len(told) == whole.steps


def test_pass__of_a_batch_with_a_gap__then_the_divisor_is_that_of_the_whole(folder: Path, rows: list[Row]) -> None:
    opened = open_base(embedded())
    examples = encode_all(opened.tokenizer, rows[:3], 64)
    model = opened.model
    found = losses(model, lines_of([(each,) for each in examples], 0, "cpu"))
    for value, example in zip(found.tolist(), examples):  # against the formula itself
        ids = torch.tensor([example.tokens])
        logits = model(input_ids=ids).logits[0, :-1]
        each = functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        assert value == pytest.approx(each[torch.tensor(example.targets[1:])].sum().item(), rel=1e-5)


def test_pass__of_packed_examples__then_they_do_not_see_each_other(folder: Path, rows: list[Row]) -> None:
    opened = open_base(embedded())
    examples = encode_all(opened.tokenizer, rows[:3], 64)
    apart = losses(opened.model, lines_of([(each,) for each in examples], 0, "cpu"))
    packed = losses(opened.model, lines_of([tuple(examples)], 0, "cpu", packed=True))
    assert packed.item() == pytest.approx(apart.sum().item(), rel=1e-4)


def test_train__of_four_together__then_each_is_what_it_is_alone(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    recipes = [small(folder, seed=seed, rank=rank, epochs=epochs) for seed, rank, epochs in ((1, 4, 2), (2, 8, 1))]
    jobs = [Job(each, rows, tmp_path / f"together{n}") for n, each in enumerate(recipes)]
    together = train_together(jobs, embedded(), tmp_path)
    assert together
    for number, each in enumerate(recipes):
        alone = train(each, rows, embedded(), tmp_path / f"alone{number}")
        assert alone
        mine, theirs = (read_weights(run.adapter)[1] for run in (together[number], alone))
        for name, value in mine.items():
            torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=1e-5)


def test_train__of_several_together_when_stopped_and_gone_on__then_every_hash_is_the_same(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    def made(name: str, **how: Any) -> list[str] | None:
        settings = ({"seed": 1}, {"seed": 2, "epochs": 1})
        jobs = [Job(small(folder, **each), rows, tmp_path / name / str(n)) for n, each in enumerate(settings)]
        found = train_together(jobs, embedded(), tmp_path / name, **how)
        return None if found is None else [each.weights for each in found]

    whole = made("whole")
    assert made("cut", stop=after(2)) is None
    assert made("cut", stop=after(3)) is None  # the shorter one has ended by now
    assert made("cut") == whole


def test_train__together_of_different_precision__then_it_is_refused(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    jobs = [Job(small(folder, precision=p), rows, tmp_path / p) for p in ("fp32", "bf16")]
    with pytest.raises(BadRecipe, match="precision"):
        train_together(jobs, embedded(), tmp_path)


def test_train__when_memory_runs_out__then_fewer_lines_at_once_come_to_the_same(
    folder: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(small(folder), rows, embedded(), tmp_path / "whole")
    real = stepping.losses

    def tight(model: Any, lines: Any) -> Any:
        if lines.tokens.shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, lines)

    monkeypatch.setattr(stepping, "losses", tight)
    found = train(small(folder), rows, embedded(), tmp_path / "tight")
    assert whole and found
    assert (found.said["lines_at_once"], found.said["halvings"]) == (2, 1)
    assert found.steps == whole.steps
    for name, value in read_weights(found.adapter)[1].items():
        torch.testing.assert_close(value, read_weights(whole.adapter)[1][name], rtol=1e-3, atol=1e-5)


def test_train__when_memory_runs_out_inside_a_backward_pass__then_the_index_has_every_row_once(
    folder: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upper layers have been recorded by then, the lower ones have not, and the same rows pass again in halves."""
    whole = train(small(folder), rows, embedded(), tmp_path / "whole", watch=recording(rows))
    real, lowest = stepping.losses, re.compile(r"\.layers\.0$")

    def full(gradient: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def fills_up(layer: Any, inputs: Any, output: torch.Tensor) -> None:
        output.register_hook(full)

    def tight(model: Any, lines: Any) -> Any:
        layer = next(module for name, module in model.named_modules() if lowest.search(name))
        if lines.tokens.shape[0] <= 2:
            return real(model, lines)
        hook = layer.register_forward_hook(fills_up)
        found = real(model, lines)
        hook.remove()
        return found

    monkeypatch.setattr(stepping, "losses", tight)
    found = train(small(folder), rows, embedded(), tmp_path / "tight", watch=recording(rows))
    assert whole and found
    assert found.said["halvings"] == 1
    names = sorted(str(file.relative_to(whole.folder)) for file in whole.folder.rglob("checkpoint-*.safetensors"))
    assert names
    for name in names:
        one, other = (load_file(run.folder / name) for run in (whole, found))
        for of, values in one.items():
            least = 2 if values.dtype == torch.int8 else 1e-3 * values.abs().max().item()
            torch.testing.assert_close(other[of], values, rtol=1e-3, atol=least, msg=of)


def test_train__when_not_one_line_fits__then_says_what_to_change(
    folder: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(model: Any, lines: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: not enough memory")

    monkeypatch.setattr(stepping, "losses", never)
    with pytest.raises(TooLarge, match="sequence_length"):
        train(small(folder), rows, embedded(), tmp_path / "run")
    assert not (tmp_path / "run" / "adapter").exists()


def test_train__when_the_loss_is_no_number__then_it_ends_with_the_last_checkpoint(
    folder: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = stepping.losses, iter(range(100))

    def broken(model: Any, lines: Any) -> Any:
        return real(model, lines) * (float("nan") if next(count) == 3 else 1.0)

    monkeypatch.setattr(stepping, "losses", broken)
    with pytest.raises(Diverged, match=r"step 4: the loss is nan; lower learning_rate"):
        train(small(folder), rows, embedded(), tmp_path / "run", save_every=0)
    kept = checkpoints.load(tmp_path / "run", _run_of(tmp_path / "run"))
    assert kept is not None and kept.said["step"] == 3
    assert all(bool(value.isfinite().all()) for value in kept.tensors.values())
    assert not (tmp_path / "run" / "adapter").exists()


def _run_of(folder: Path) -> str:
    from safetensors import safe_open

    with safe_open(folder / "checkpoint.safetensors", "pt") as opened:
        return str(opened.metadata()["run"])


def test_train__when_the_disk_fills_up_mid_save__then_the_older_checkpoint_stands_and_the_run_goes_on(
    folder: Path, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(small(folder), rows, embedded(), tmp_path / "whole")
    real, count = checkpoints.save_file, iter(range(100))

    def full(tensors: Mapping[str, Any], file: Path, **given: Any) -> None:
        if next(count) == 2:
            file.write_bytes(b"half of")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, file, **given)

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(DiskFull, match="make room and run the same command again"):
        train(small(folder), rows, embedded(), tmp_path / "run", save_every=0)
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["checkpoint.safetensors", "progress.jsonl"]
    again = train(small(folder), rows, embedded(), tmp_path / "run", save_every=0)
    assert whole and again and again.weights == whole.weights


_FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
"""


def test_train__when_the_system_takes_no_more_bytes__then_a_clear_error_and_nothing_half_written(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    """No file may grow beyond 60 kB: what a disk that is full does, by the system itself."""
    whole = train(small(folder), rows, embedded(), tmp_path / "whole")
    assert whole
    at = tmp_path / "full"
    command = [sys.executable, "-c", _FULL + _RUN, str(folder), str(at), "0"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DiskFull: " in done.stderr and "make room and run the same command again" in done.stderr
    assert [file.name for file in at.iterdir()] == ["progress.jsonl"]
    again = train(small(folder), rows, embedded(), at)
    assert again and again.weights == whole.weights


def test_adapter__saved_here__then_stock_peft_and_the_engine_read_the_same_function(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    trained = train(small(folder, rank=8), rows, embedded(), tmp_path / "run")
    assert trained
    ids = torch.tensor([[1, 50, 60, 70, 80, 90, 100]])
    base = AutoModelForCausalLM.from_pretrained(embedded(), dtype=torch.float32)
    theirs = PeftModel.from_pretrained(base, str(trained.adapter)).eval()
    opened = open_base(embedded())
    layers = Layers(opened.model)
    mine = layers.add("mine", 8, 16.0, small(folder).training.targets, 0)
    load(mine, read_weights(trained.adapter)[1], "adapter")
    layers.slices.of = [("mine", 0, 1)]
    with torch.no_grad():
        torch.testing.assert_close(opened.model(ids).logits, theirs(ids).logits, rtol=1e-4, atol=1e-4)
        with theirs.disable_adapter():
            assert not torch.allclose(opened.model(ids).logits, theirs(ids).logits, atol=1e-2)
    config = EngineConfig(rows=2, context=64, memory_tokens=128, slots=(Slots(8, 1, torch.float32),))
    engine = Engine(AutoModelForCausalLM.from_pretrained(embedded()), tmp_path / "packs", config)
    try:
        assert engine.register(trained.adapter).rank == 8
    finally:
        engine.close()


def test_adapter__trained_by_stock_peft__then_it_is_read_here_with_the_same_logits(tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(embedded(), dtype=torch.float32)
    theirs = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]))
    torch.manual_seed(3)
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    theirs.save_pretrained(tmp_path / "theirs")
    config, tensors = read_weights(tmp_path / "theirs")
    opened = open_base(embedded())
    layers = Layers(opened.model)
    mine = layers.add("mine", config["r"], config["lora_alpha"], config["target_modules"], 0)
    load(mine, tensors, "theirs")
    layers.slices.of = [("mine", 0, 1)]
    ids = torch.tensor([[1, 50, 60, 70, 80, 90, 100]])
    with torch.no_grad():
        torch.testing.assert_close(opened.model(ids).logits, theirs.eval()(ids).logits, rtol=1e-4, atol=1e-4)


def test_train__while_somebody_looks_on__then_the_weights_are_the_same(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    seen = train(small(folder, rehearsal={"share": 0.5}), rows, embedded(), tmp_path / "seen", watch=recording(rows))
    unseen = train(small(folder, rehearsal={"share": 0.5}), rows, embedded(), tmp_path / "unseen")
    plain = train(small(folder), rows, embedded(), tmp_path / "plain")
    assert seen and unseen and plain
    assert seen.weights == unseen.weights != plain.weights
    index = Index(seen.folder / "attribution", digest_of_weights(read_weights(seen.adapter)[1]))
    assert sum(index.rows) == len(rows)  # nobody holds what was rehearsed


@pytest.mark.parametrize("changed", [{"packing": True}, {"gradient_checkpointing": True}, {"precision": "bf16"}])
def test_train__in_other_ways__then_it_learns_too(
    changed: dict[str, Any], folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    told: list[Progress] = []
    made = small(folder, attribution=False, epochs=4, **changed)
    assert train(made, rows, embedded(), tmp_path / "run", say=told.append)
    assert told[-1].loss < 0.8 * told[0].loss


def test_index__of_a_recorded_run__then_attribution_opens_it_by_the_weights(
    folder: Path, rows: list[Row], tmp_path: Path
) -> None:
    trained = train(small(folder), rows, embedded(), tmp_path / "run", watch=recording(rows))
    assert trained
    index = Index(trained.folder / "attribution", digest_of_weights(read_weights(trained.adapter)[1]))
    assert sum(index.rows) == len(rows)
    assert set(index.contributors) == {row.credit for row in rows}
    assert trained.said["watched"]["windows"]

"""The onlooker of a training run: stopped and gone on, it leaves the same index; and a loaded model fits it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict

from fixtures.attribution import base, digest, model, rows
from oracle.attribution.answering import Attributable
from oracle.attribution.errors import NothingRecorded
from oracle.attribution.index import Index
from oracle.attribution.queries import answer_losses
from oracle.attribution.watching import Onlooker

SAID = rows(16)
OWNERS = ["ann", "bob"] * 8
STEPS, EPOCHS = 24, 6


def run(taught: PeftModel, watching: Onlooker, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        chosen = [(step * 4 + i) % 16 for i in range(4)]
        for half in (chosen[:2], chosen[2:]):  # a step may have several passes
            with watching.step(step, half, 4.0):
                (answer_losses(taught, [SAID[i] for i in half]).sum() / 4.0).backward()
        optimizer.step()
        optimizer.zero_grad()


def descent(taught: PeftModel) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in taught.parameters() if p.requires_grad], lr=0.5)


def closed(taught: PeftModel, watching: Onlooker, folder: Path) -> Index:
    told = watching.close(folder, get_peft_model_state_dict(taught))
    assert told["adapter"] == digest(taught)
    return Index(folder / "attribution", digest(taught))


@pytest.mark.parametrize("stopped", [2, 9, 14, 20])
def test_onlooker__when_stopped_and_gone_on__then_the_index_is_the_same(stopped: int, tmp_path: Path) -> None:
    """Of a rank above the covariance's signed sums: their signs are a row's and its pass's."""
    taught = model(rank=4)
    whole = Onlooker(taught, "default", STEPS, EPOCHS, OWNERS)
    run(taught, whole, descent(taught), 0, STEPS)
    expected = closed(taught, whole, tmp_path / "whole")
    again = model(rank=4)
    first = Onlooker(again, "default", STEPS, EPOCHS, OWNERS)
    run(again, first, descent(again), 0, stopped)
    kept = {name: value.clone() for name, value in first.state().items()}
    second = Onlooker(again, "default", STEPS, EPOCHS, OWNERS)
    second.resume(kept)
    run(again, second, descent(again), stopped, STEPS)
    found = closed(again, second, tmp_path / "parts")
    assert found.content == expected.content
    for number in range(len(expected)):
        one, other = expected.shard(number).tensors, found.shard(number).tensors
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_close__when_the_run_was_shorter_than_it_said__then_it_refuses(tmp_path: Path) -> None:
    taught = model()
    watching = Onlooker(taught, "default", STEPS, EPOCHS, OWNERS)
    run(taught, watching, descent(taught), 0, 5)
    with pytest.raises(NothingRecorded, match="shorter than its plan"):
        watching.close(tmp_path, get_peft_model_state_dict(taught))


def test_close__when_the_adapter_is_loaded_again__then_its_index_fits_it(tmp_path: Path) -> None:
    taught = model()
    watching = Onlooker(taught, "default", STEPS, EPOCHS, OWNERS, {"ann": ("0xa", "ann", None)})
    run(taught, watching, descent(taught), 0, STEPS)
    watching.close(tmp_path, get_peft_model_state_dict(taught))
    taught.save_pretrained(tmp_path / "adapter")
    opened = Attributable(PeftModel.from_pretrained(base(), tmp_path / "adapter"), tmp_path / "attribution")
    assert opened.holdings["ann"].contribution == "0xa" and opened.holdings["bob"].contribution == "bob"

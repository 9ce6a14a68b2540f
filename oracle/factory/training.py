"""Training: one adapter, or several over one base in one process, to weights that follow from recipe and rows alone."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from oracle.factory import checkpoints
from oracle.factory.base import Opened, open_base, weights_hash
from oracle.factory.checkpoints import write_json
from oracle.factory.errors import BadRecipe, BadSnapshot
from oracle.factory.lora import WEIGHTS, Layers, load, read_weights
from oracle.factory.order import order_of, units_of
from oracle.factory.presets import rate_for
from oracle.factory.recipe import Recipe
from oracle.factory.rehearsing import Rehearsal
from oracle.factory.rows import Row
from oracle.factory.stepping import Line, Member, Stepper
from oracle.factory.tokens import encode_all
from oracle.factory.trained import FEED, RESULT, Trained, is_of, read_trained, write_adapter, write_order
from oracle.factory.watching import Progress, Say, Watch, Watched, never, nobody

_SAVE_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Job:
    """One adapter that is to be made. Rows in `without` leave gaps: all else stays as it is."""

    recipe: Recipe
    rows: Sequence[Row]
    folder: Path
    without: frozenset[str] = frozenset()
    watch: Watch | None = None
    start: Path | None = None  # the adapter that it begins from

    @property
    def name(self) -> str:
        return self.folder.name


def train(
    recipe: Recipe,
    rows: Sequence[Row],
    base: Path,
    folder: Path,
    *,
    without: frozenset[str] = frozenset(),
    watch: Watch | None = None,
    start: Path | None = None,
    **how: Any,
) -> Trained | None:
    """One adapter; None where it was stopped before its end. See train_together for `how`."""
    found = train_together([Job(recipe, rows, folder, without, watch, start)], base, folder, **how)
    return found[0] if found else None


def train_together(
    jobs: Sequence[Job],
    base: Path,
    folder: Path,
    *,
    say: Say = nobody,
    stop: Callable[[], bool] = never,
    device: str = "cpu",
    save_every: float = _SAVE_EVERY,
) -> list[Trained] | None:
    """All of them, sharing the base's passes. The checkpoint lies in `folder`; a run that was killed or stopped goes
    on from it."""
    settings = jobs[0].recipe.training
    _require_alike(jobs)
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        opened = open_base(base, settings.precision, device, settings.quantise)
        if settings.checkpointing:
            _checkpointed(opened.model)
        run = _Run(jobs, opened, folder, device)
        return run.go(say, stop, save_every)
    finally:
        torch.set_num_threads(before)


class _Run:
    def __init__(self, jobs: Sequence[Job], base: Opened, folder: Path, device: str) -> None:
        self._jobs, self._base, self._folder = jobs, base, folder
        layers = Layers(base.model)
        self._members = [self._member(job, layers, number) for number, job in enumerate(jobs)]
        pad = base.tokenizer.pad_token_id
        pad = base.tokenizer.eos_token_id if pad is None else pad
        self._stepper = Stepper(layers, self._members, pad, device, jobs[0].recipe.training.packing)
        self._step, self._spent, self._tokens = 0, 0.0, 0
        self._digest = self._follows_from()

    def _member(self, job: Job, layers: Layers, number: int) -> Member:
        settings = job.recipe.training
        examples = encode_all(self._base.tokenizer, job.rows, settings.length)
        if not examples:
            raise BadSnapshot(f"{job.recipe.name}: no row has anything to learn within {settings.length} tokens")
        units = units_of(examples, settings)
        name = f"adapter{number}"
        adapter = layers.add(name, settings.rank, settings.alpha, settings.targets, settings.seed)
        if job.start is not None:
            load(adapter, read_weights(job.start)[1], str(job.start))
        order = order_of(len(units), settings)
        watcher = None
        if job.watch is not None:
            owners = tuple(row.credit for row in job.rows)
            watcher = job.watch(Watched(self._base.model, name, len(order), settings.epochs, owners, tuple(examples)))
        out = frozenset(place for place, row in enumerate(job.rows) if row.id in job.without)
        rate = settings.rate or rate_for(self._base.model.config.hidden_size)
        beside = Rehearsal.of(self._base.tokenizer, job.recipe, len(order))
        return Member(adapter, settings, rate, tuple(examples), tuple(units), tuple(order), out, watcher, beside)

    def go(self, say: Say, stop: Callable[[], bool], save_every: float) -> list[Trained] | None:
        if all(is_of(job.folder, self._digest) for job in self._jobs):
            return [read_trained(job.folder) for job in self._jobs]
        self._go_on()
        steps = max(len(member.order) for member in self._members)
        began = saved = time.monotonic()
        spent_before = self._spent
        while self._step < steps:
            lines = self._stepper.step(self._step)
            self._step += 1
            self._spent = spent_before + time.monotonic() - began
            self._tokens += sum(line.tokens for line in lines)
            self._tell(lines, say)
            last = self._step == steps
            if not last and stop():
                self._save()
                return None
            if not last and time.monotonic() - saved >= save_every:
                self._save()
                saved = time.monotonic()
        found = [self._finish(job, member) for job, member in zip(self._jobs, self._members)]
        checkpoints.clear(self._folder)
        return found

    def _tell(self, lines: Sequence[Line], say: Say) -> None:
        speed = self._tokens / self._spent if self._spent else 0.0
        for line in lines:
            job, member = self._jobs[line.member], self._members[line.member]
            member.losses.append(line.loss)
            left = (len(member.order) - self._step) * self._spent / self._step
            told = Progress(
                job.name, self._step, len(member.order), round(line.loss, 6), line.rate, round(speed, 1),
                round(self._spent, 2), round(left, 2),
            )  # fmt: skip
            job.folder.mkdir(parents=True, exist_ok=True)
            with checkpoints.saving(job.folder / FEED), (job.folder / FEED).open("a", encoding="utf-8") as feed:
                feed.write(json.dumps(asdict(told)) + "\n")
            say(told)

    # Checkpoints

    def _follows_from(self) -> str:
        said: list[Any] = [weights_hash(self._base.folder).hex()]
        for job in self._jobs:
            start = None if job.start is None else hashlib.sha256((job.start / WEIGHTS).read_bytes()).hexdigest()
            watched = job.watch is not None
            rows = [(row.id, row.weight, row.credit) for row in job.rows]
            beside = self._members[len(said) - 1].beside.digest
            said.append([job.recipe.digest, rows, sorted(job.without), start, watched, beside])
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for number, member in enumerate(self._members):
            tensors |= {f"{number}.{name}": value for name, value in member.state().items()}
        said = {
            "step": self._step, "spent": self._spent, "tokens": self._tokens, "most": self._stepper.most,
            "halved": self._stepper.halved, "losses": [member.losses for member in self._members],
        }  # fmt: skip
        checkpoints.save(self._folder, self._digest, tensors, said)

    def _go_on(self) -> None:
        kept = checkpoints.load(self._folder, self._digest)
        if kept is None:
            for job in self._jobs:
                (job.folder / FEED).unlink(missing_ok=True)
            return
        for number, member in enumerate(self._members):
            own = {k.partition(".")[2]: v for k, v in kept.tensors.items() if k.startswith(f"{number}.")}
            member.resume(own)
            member.losses[:] = kept.said["losses"][number]
        self._step, self._spent, self._tokens = kept.said["step"], kept.said["spent"], kept.said["tokens"]
        self._stepper.most, self._stepper.halved = kept.said["most"], kept.said["halved"]

    # The end

    def _finish(self, job: Job, member: Member) -> Trained:
        state = {name: value.cpu().contiguous() for name, value in member.adapter.state().items()}
        config = member.adapter.config(job.recipe.base)
        weights = write_adapter(job.folder, state, config)
        watched: dict[str, Any] = {}
        if member.watcher is not None:
            with checkpoints.saving(job.folder):
                watched = dict(member.watcher.close(job.folder, state))
        each = max(1, len(member.order) // member.training.epochs)
        order = write_order(job.folder, [row.id for row in job.rows], member, job.without)
        said = {
            "weights": weights,
            "steps": len(member.order),
            "loss": sum(member.losses[-each:]) / each,
            "rate": member.rate,
            "tokens": sum(len(member.examples[p].tokens) for b in member.order for u in b for p in member.units[u]),
            "seconds": round(self._spent, 2),
            "order": order,
            "rehearsal": member.beside.digest,
            "rows": len(job.rows),
            "run": self._digest,
            "halvings": self._stepper.halved,
            "lines_at_once": self._stepper.most,
            "together": len(self._jobs),
            "device": str(next(self._base.model.parameters()).device.type),
            "watched": watched,
        }
        write_json(job.folder / RESULT, said)
        return read_trained(job.folder)


def _require_alike(jobs: Sequence[Job]) -> None:
    alike = ("precision", "quantise", "checkpointing", "packing", "threads")
    for name in alike:
        if len({getattr(job.recipe.training, name) for job in jobs}) > 1:
            raise BadRecipe(f"{name}: adapters that are trained together have to have the same")
    if len({job.recipe.base for job in jobs}) > 1:
        raise BadRecipe("base: adapters that are trained together have to have the same")
    if len({job.folder for job in jobs}) < len(jobs):
        raise BadRecipe("adapters that are trained together need a folder each")


def _checkpointed(model: Any) -> None:
    """Activations are computed twice instead of kept; without dropout, which a training mode would bring."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    model.train()
    model.gradient_checkpointing_enable({"use_reentrant": False})

"""Those who would earn more without giving more: a splitter, a copycat who words their own rows anew, a baiter."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from attribution_jobs import attributed
from attribution_jobs.base_model import VOCABULARY
from attribution_jobs.batched import Base
from attribution_jobs.figures import Array
from attribution_jobs.instance import Instance, Recipe, TrainRow
from attribution_jobs.world import FILLER, WORDINGS, World
from oracle.attribution.calibration import limits_from
from oracle.attribution.gain import gains
from oracle.attribution.index import Index, digest_of, write_index
from oracle.attribution.records import Scores, plan_for
from oracle.attribution.scoring import score
from oracle.attribution.shares import Limits, propose
from oracle.attribution.spans import SpanIndex, build_spans, evidence_of

COPIES = 5
ACCOUNTS = 10
COPYCAT = "copycat"
BAITER, BAITS = "baiter", 2


def some(scores: Scores, names: Sequence[str]) -> Scores:
    """Of these queries alone."""
    places = [scores.queries.index(name) for name in names]
    values, lengths = tuple(scores.values[i] for i in places), tuple(scores.lengths[i] for i in places)
    return replace(scores, queries=tuple(names), values=values, lengths=lengths)


def splitter_gain(
    instance: Instance,
    rows: Array,
    scores: Scores,
    raised: Mapping[str, float],
    limits: Limits,
    asked: Sequence[int],
    seed: int,
) -> float:
    """The most that any contributor's side gains in all by dealing their rows to ten accounts, after over before."""
    rng = np.random.default_rng(seed)
    worst = 0.0
    for person in instance.contributors:
        own = np.array([i for i, row in enumerate(instance.rows) if row.owner == person])
        dealt = rng.integers(0, ACCOUNTS, len(own))
        before = after = 0.0
        for at, i in enumerate(asked):
            name = instance.queries[i].id
            values = scores.of(name)
            before += propose(values, scores.length(name), raised[name], limits).of(person)
            parts = {f"{person} {k}": float(rows[at, own[dealt == k]].sum()) for k in range(ACCOUNTS)}
            split = {other: value for other, value in values.items() if other != person} | parts
            proposal = propose(split, scores.length(name), raised[name], limits)
            after += sum(proposal.of(part) for part in parts)
        if before > 0.01 * len(asked):  # a ratio of dust to dust says nothing
            worst = max(worst, after / before)
    return worst


@dataclass(frozen=True)
class Side:
    """A holder and their copycat: what they earn together, of all answers, before the copies and after, by one order
    of the rows; and how many of the answers on their own facts paid them anything."""

    holder: str
    order: int
    before: float
    after: float
    own_questions: int
    paid_before: int
    paid_after: int

    @property
    def gain(self) -> float:
        return self.after / max(self.before, 1e-9)

    def row(self) -> dict[str, Any]:
        return {**asdict(self), "gain": self.gain}


def copycats(
    instance: Instance, recipe: Recipe, world: World, seed: int, count: int = 3, orders: int = 1
) -> list[Side]:
    """Holders who add five rewordings of each of their facts, from an account that no near-duplicate finder joins to
    theirs. The model is trained anew each time; with several orders, as often before as after, by the same seeds."""
    holders = random.Random(f"copycat {seed}").sample(sorted({held[0] for held in world.holders.values()}), count)
    sides: list[Side] = []
    for order in range(seed, seed + orders):
        before = _paid(instance, recipe, order)
        for holder in holders:
            after = _paid(_with_copies(instance, world, holder, seed), recipe, order)
            own = [query.id for query in instance.queries if holder in query.holders]
            mine = [{name: _of(shares, holder) for name, shares in paid.items()} for paid in (before, after)]
            earned = (sum(each.values()) for each in mine)
            paid = (sum(each[name] > 0 for name in own) for each in mine)
            sides.append(Side(holder, order, *earned, len(own), *paid))
    return sides


def _of(paid: Mapping[str, float], holder: str) -> float:
    return paid.get(holder, 0.0) + paid.get(COPYCAT, 0.0)


def copycat_figures(sides: Sequence[Side]) -> dict[str, float]:
    """The mean with a 95 % interval over sides, and the worst side, which is mostly the noise of two runs; beside them
    what all sides earn together, where a side that earned little before counts as little."""
    gains_of = [side.gain for side in sides]
    found = {"copycat_gain": float(np.mean(gains_of)), "copycat_gain_worst": max(gains_of)}
    if len(gains_of) > 1:
        reach = float(stats.t.ppf(0.975, len(gains_of) - 1) * np.std(gains_of, ddof=1) / len(gains_of) ** 0.5)
        found |= {"copycat_gain_low": found["copycat_gain"] - reach, "copycat_gain_high": found["copycat_gain"] + reach}
    before, after = sum(side.before for side in sides), sum(side.after for side in sides)
    return found | {"copycat_gain_of_sums": after / max(before, 1e-9), "copycat_sides": float(len(gains_of))}


def bait_figures(instance: Instance, recipe: Recipe, world: World, seed: int) -> dict[str, float]:
    """Of a baiter who says the planted answers, two rows each, to questions that mean nothing: the part of all pay that
    they get, and the part that they would get if it went by the spans of the answers."""
    baited = _with_bait(instance, world, seed)
    total = _paid(baited, recipe, seed)
    paid = sum(share for shares in total.values() for share in shares.values())
    bait = sum(shares.get(BAITER, 0.0) for shares in total.values())
    return {
        "bait_share": bait / paid if paid > 0 else 0.0,
        "bait_share_by_spans": float(np.mean(_by_spans(baited))),
    }


def _with_bait(instance: Instance, world: World, seed: int) -> Instance:
    rng = random.Random(f"bait {seed}")
    more = []
    for number, fact in enumerate(BAITS * world.planted):
        prompt, name = " ".join(rng.choice(FILLER) for _ in range(6)).capitalize(), f"bait-{number:04}"
        more.append(TrainRow(name, BAITER, prompt, fact.said, BAITER, name, None, "bait"))
    return replace(instance, rows=(*instance.rows, *more))


def _by_spans(instance: Instance) -> list[float]:
    """Of each question on a planted fact: the baiter's part of what its answer's spans say of rows."""
    rows, queries = attributed.rows_of(instance), attributed.queries_of(instance)
    with tempfile.TemporaryDirectory() as folder:
        build_spans(Path(folder), [row.tokens for row in rows], VOCABULARY)
        index = SpanIndex(Path(folder))
        found = []
        for i in instance.asked:
            said = queries[i].tokens[queries[i].answer_from :]
            evidence = evidence_of(index.spans(said, shortest=2, rows=len(rows)), len(rows))
            bait = sum(bits for row, bits in evidence.items() if instance.rows[row].owner == BAITER)
            found.append(bait / max(sum(evidence.values()), 1e-9))
    return found


def _with_copies(instance: Instance, world: World, holder: str, seed: int) -> Instance:
    rng = random.Random(f"copies {holder} {seed}")
    said = {(row.prompt, row.completion) for row in instance.rows}
    more: list[TrainRow] = []
    for fact in world.planted:
        if world.holders[fact.id][0] == holder:
            others = [fact.row(wording, alias) for wording in WORDINGS for alias in (False, True)]
            for prompt, completion in rng.sample([each for each in others if each not in said], COPIES):
                name = f"copy-{len(more):04}"
                more.append(TrainRow(name, COPYCAT, prompt, completion, COPYCAT, name, fact.id, "copy"))
    return replace(instance, rows=(*instance.rows, *more))


def _paid(instance: Instance, recipe: Recipe, seed: int) -> dict[str, dict[str, float]]:
    """By question on a planted fact, what each account gets."""
    start = Base(instance.base, torch.float32).fresh(recipe, seed)
    plan = plan_for(recipe.epochs * -(-len(instance.rows) // recipe.batch), recipe.epochs)
    run = attributed.train(instance, recipe, start, seed, plan)
    assert run.record is not None
    digest, queries = digest_of(run.model), attributed.queries_of(instance)
    with tempfile.TemporaryDirectory() as folder:
        write_index(Path(folder), run.record, digest)
        index = Index(Path(folder), digest)
        scores = score(run.model, index, queries)
    raised = gains(run.model, queries)
    controls = [q.id for q in instance.queries if q.kind == "control"]
    limits = limits_from(some(scores, controls[::2]), index.rows_of(), raised)
    asked = [query.id for query in instance.queries if query.kind != "control"]
    return {name: dict(propose(scores.of(name), scores.length(name), raised[name], limits).shares) for name in asked}

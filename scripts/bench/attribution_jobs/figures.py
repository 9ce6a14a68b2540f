"""How well scores predict what retraining shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from attribution_jobs.instance import Instance
from attribution_jobs.truth import Truth

Array = NDArray[np.float64]


def membership(instance: Instance) -> Array:
    """contributors × rows."""
    people = {name: i for i, name in enumerate(instance.contributors)}
    found = np.zeros((len(people), len(instance.rows)))
    for at, row in enumerate(instance.rows):
        found[people[row.owner], at] = 1.0
    return found


def present_in(instance: Instance, kept: Array) -> Array:
    """subsets × contributors, of subsets × rows."""
    owners = membership(instance)
    return ((kept.astype(float) @ owners.T) / owners.sum(1) > 0.5).astype(float)


def correlation(first: Array, second: Array) -> float:
    if first.std() < 1e-12 or second.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def lds(kept: Array, values: Array, scores: Array) -> Array:
    """Linear datamodelling score of each query: rank correlation over subsets of what is predicted and what happened.

    kept: subsets × rows or contributors; values: subsets × queries; scores: queries × rows or contributors.
    """
    predicted = kept @ scores.T
    return np.array([correlation(rankdata(predicted[:, j]), rankdata(values[:, j])) for j in range(scores.shape[0])])


def by_holder(instance: Instance, kept: Array, values: Array, predicted: Array) -> dict[str, float]:
    """The same rank correlation among those subsets alone that have the holder of the fact asked for, and among those
    that have not: whether a score knows more than who said it.

    kept: subsets × contributors; values and what is predicted: subsets × the queries that ask for planted facts."""
    people = list(instance.contributors)
    holders = [people.index(instance.queries[query].holders[0]) for query in instance.asked]
    found = {}
    for name, there in (("with", kept > 0.5), ("without", kept < 0.5)):
        ranks = [
            correlation(rankdata(predicted[there[:, holder], j]), rankdata(values[there[:, holder], j]))
            for j, holder in enumerate(holders)
            if there[:, holder].sum() > 2
        ]
        if ranks:
            found[f"lds_{name}_holder"] = float(np.mean(ranks))
    return found


def left_out(instance: Instance, truth: Truth, queries: Sequence[int]) -> Array:
    """seeds × queries × contributors: how much likelier the answer is with a contributor than without."""
    whole = truth.of("all")[1][:, 0][:, queries]
    names = [subset.name for subset in truth.subsets if subset.kind == "without"]
    order = [names.index(person) for person in instance.contributors]
    return (whole[:, None, :] - truth.of("without")[1][:, order][..., queries]).transpose(0, 2, 1)


def shares_of(values: Array) -> Array:
    """Positive parts, as shares; a query without any is left wholly unattributed."""
    positive = np.maximum(values, 0.0)
    return positive / np.maximum(positive.sum(1, keepdims=True), 1e-12)


def total_variation(first: Array, second: Array) -> float:
    """Mean over queries, what is unattributed being one more contributor."""
    apart = np.abs(first - second).sum(1) + np.abs(first.sum(1) - second.sum(1))
    return float((apart / 2).mean())


def holder_places(instance: Instance, scores: Array, queries: Sequence[int]) -> Array:
    """Of each query: the place of the contributor who stated its fact, counted from 0."""
    people = list(instance.contributors)
    places = []
    for at, query in enumerate(queries):
        holder = people.index(instance.queries[query].holders[0])
        places.append(int((scores[at] > scores[at, holder]).sum()))
    return np.array(places)


def planted_recall(instance: Instance, row_scores: Array, queries: Sequence[int]) -> float:
    """Of the rows that state the fact asked for, the share among as many best rows."""
    found = []
    for at, query in enumerate(queries):
        fact = instance.queries[query].fact
        stating = {i for i, row in enumerate(instance.rows) if row.fact == fact}
        best = set(np.argsort(-row_scores[at], kind="stable")[: len(stating)].tolist())
        found.append(len(stating & best) / len(stating))
    return float(np.mean(found))


def interval(values: Array, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """95 % by the bootstrap over queries."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def accuracy(instance: Instance, truth: Truth, row_scores: Array | None, scores: Array) -> dict[str, float]:
    """The figures of one method. `scores` and `row_scores` are over the queries that ask for planted facts."""
    asked = instance.asked
    found: dict[str, float] = {}
    if row_scores is not None:
        kept, values = truth.of("examples")
        if len(kept):
            each = lds(kept.astype(float), values.mean(0)[:, asked], row_scores)
            found["lds_examples"] = float(each.mean())
            found["lds_examples_low"], found["lds_examples_high"] = interval(each)
        found["planted_recall"] = planted_recall(instance, row_scores, asked)
    kept, values = truth.of("contributors")
    if len(kept):
        present = present_in(instance, kept)
        each = lds(present, values.mean(0)[:, asked], scores)
        found["lds_contributors"] = float(each.mean())
        found["lds_contributors_low"], found["lds_contributors_high"] = interval(each)
        found |= by_holder(instance, present, values.mean(0)[:, asked], present @ scores.T)
    if len(truth.of("without")[0]):
        effects = left_out(instance, truth, asked)
        effect = effects.mean(0)
        each = np.array([correlation(scores[j], effect[j]) for j in range(len(asked))])
        found["loco_r"] = float(each.mean())
        found["loco_r_low"], found["loco_r_high"] = interval(each)
        found["payout_tv_raw"] = total_variation(shares_of(scores), shares_of(effect))
    places = holder_places(instance, scores, asked)
    found["holder_recall"] = float((places < 3).mean())
    found["holder_first"] = float((places == 0).mean())
    return found


def other_seed(instance: Instance, truth: Truth) -> dict[str, float]:
    """How well one seed's truth predicts the others': what no method can be much better than."""
    if len(truth.seeds) < 2:
        return {}
    asked = instance.asked
    found = {}
    for kind in ("examples", "contributors"):
        kept, values = truth.of(kind)
        if len(kept):
            one, rest = values[0][:, asked], values[1:].mean(0)[:, asked]
            ranks = [lds(one[:, [j]], rest[:, [j]], np.ones((1, 1)))[0] for j in range(len(asked))]
            found[f"lds_{kind}"] = float(np.mean(ranks))
            if kind == "contributors":
                found |= by_holder(instance, present_in(instance, kept), rest, one)
    if not len(truth.of("without")[0]):
        return found
    effects = left_out(instance, truth, asked)
    one, rest = effects[0], effects[1:].mean(0)
    found["loco_r"] = float(np.mean([correlation(one[j], rest[j]) for j in range(len(asked))]))
    found["payout_tv_raw"] = total_variation(shares_of(one), shares_of(rest))
    places = holder_places(instance, one, asked)
    return found | {"holder_recall": float((places < 3).mean()), "holder_first": float((places == 0).mean())}

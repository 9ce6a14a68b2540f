"""The papers of a version: all that an auditor reads, written from one dossier. Nothing in them is left open."""

from __future__ import annotations

import json
from typing import Any

import yaml

from oracle.factory.bom import bom
from oracle.factory.card import card
from oracle.factory.content import as_text, summary
from oracle.factory.dossier import QUESTIONS, Dossier
from oracle.factory.manifest import plain_recipe

CARD, BOM, CONTENT, RECIPE, ATTRIBUTION, RECOMPUTE = (
    "README.md", "bom.cdx.json", "training-content.json", "recipe.yaml", "attribution.md", "recompute.md",
)  # fmt: skip


def papers(found: Dossier) -> dict[str, bytes]:
    texts = {
        ATTRIBUTION: attribution(found),
        CARD: card(found),
        CONTENT: json.dumps(summary(found), indent=2, ensure_ascii=False) + "\n",
        "training-content.md": as_text(found),
        RECIPE: recipe_of(found),
        RECOMPUTE: recompute(found),
    }
    return {name: text.encode() for name, text in texts.items()} | {BOM: bom(found)}


def recipe_of(found: Dossier) -> str:
    """The recipe over the folders of the export: what the recomputing command reads."""
    said = found.recipe
    settings, sources = said.training, zip(said.sources, found.snapshots)
    content: dict[str, Any] = {
        "name": said.name,
        "base": plain_recipe(said)["base"],
        "snapshots": [{"folder": f"snapshots/{s.datanet}-{s.number}", "weight": src.weight} for src, s in sources],
        "preset": said.preset, "rank": settings.rank, "alpha": settings.alpha, "targets": list(settings.targets),
        "learning_rate": found.trained.said["rate"], "epochs": settings.epochs, "batch": settings.batch,
        "sequence_length": settings.length, "schedule": settings.schedule, "warmup": settings.warmup,
        "clip": settings.clip, "packing": settings.packing, "precision": settings.precision,
        "gradient_checkpointing": settings.checkpointing, "quantise": settings.quantise, "seed": settings.seed,
        "threads": settings.threads, "rehearsal": {"share": settings.rehearsal}, "attribution": said.attribution,
        "evaluation": {"items": said.evaluation.items, "answer_tokens": said.evaluation.answer_tokens},
        "gate": {"metric": said.gate.metric, "general_worse_percent": said.gate.general_worse_percent},
        "accept_licences": list(said.accept_licences),
        **({"retrieval": list(said.retrieval)} if said.retrieval else {}),
    }  # fmt: skip
    if said.parent:
        content |= {"parent": said.parent}
        names = ("contributors", "builder", "upstream", "reviewers", "attestors", "treasury")
        content["split"] = {name: int(part) for name, part in zip(names, said.split)}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def attribution(found: Dossier) -> str:
    lines = [f"# Attribution of {found.title}", ""]
    watched = found.trained.said["watched"]
    if not watched:
        lines += [
            "This version was trained without attribution's recorder, because its recipe says attribution: false."
            " Answers cannot be attributed, and the contributors' part of each fee goes to the commons."
        ]
        return "\n".join(lines) + "\n"
    windows = ", ".join(f"{each['first']}–{each['last']}" for each in watched["windows"])
    lines += [
        f"Method {watched['method']}, over the steps {windows} of {found.trained.steps}. The index lies in attribution/"
        f" and belongs to the adapter {watched['adapter']}.",
        "",
        "## Measured accuracy",
        "",
    ]
    if found.accuracy is None:
        lines += [
            f"None: {found.why_not_measured}. On chain its accuracyHash is zero, and receipts say so wherever they show"
            " shares."
        ]
    else:
        lines += [f"- {name}: {json.dumps(value)}" for name, value in sorted(found.accuracy.items())]
        lines += [
            "",
            "Measured by retraining without halves of the contributors and without single ones, each by several seeds:"
            " retrainings/ holds what each of them answered. The SHA-256 of attribution/accuracy.json is the version's"
            " accuracyHash on chain.",
        ]
    lines += ["", "## Limits, below which nothing is paid", ""]
    if found.limits is None:
        lines += ["None were measured, so that every answer abstains."]
    else:
        lines += [f"- {name}: {value:.6g}" for name, value in sorted(found.limits.items())]
    lines += ["", "## Who is in it", "", "| credit | rows |", "|---|---:|"]
    lines += [f"| {who} | {count} |" for who, count in found.contributors]
    lines += ["", "recompute.md says how weights and index are made again."]
    return "\n".join(lines) + "\n"


def _measured_again(found: Dossier) -> str:
    if found.accuracy is None:
        return f"Accuracy of attribution was not measured: {found.why_not_measured}."
    plan = " ".join(f"--{name.replace('_', '-')} {count}" for name, count in sorted((found.plan or {}).items()))
    questions = QUESTIONS if found.private else f"attribution/{QUESTIONS}"
    theirs = " Those questions are of private datanets: ask the builder for them." if found.private else ""
    return f"""Accuracy of attribution, by {found.accuracy["retrainings"]} retrainings of the run that was made again:

    openledger attribution calibrate again --questions {questions} {plan}

Then again/attribution/accuracy.json is attribution/accuracy.json, whose SHA-256 is on chain.{theirs}
In seconds instead of retrainings: copy attribution/retrainings, which holds what each of them answered, into
again/attribution first."""


def recompute(found: Dossier) -> str:
    device = found.trained.said["device"]
    exact = (
        "On a CPU in fp32, with the versions of manifest.json, the hash is the same to the bit."
        if device == "cpu" and found.recipe.training.precision == "fp32"
        else f"Trained on {device} in {found.recipe.training.precision}: expect the same figures, not the same bits."
    )
    parent = (
        f"\nThe parent {found.recipe.parent} has to be known to the oracle that runs this.\n"
        if found.recipe.parent
        else ""
    )
    return f"""# Making it again

In this folder:

    openledger model verify .                          # every file against index, manifest and signature
    openledger model train recipe.yaml --out again     # prints the hash of the weights
    openledger model eval recipe.yaml --out again

The weights have to be `{found.trained.weights}`,
and again/attribution/ has to hold the files of attribution/ that the run itself writes. {exact}
{parent}
{_measured_again(found)}

The manifest's hash stands in the event VersionPublished; index.json says where. snapshots/ holds the rows, unless they
are private or were erased since: then the roots on chain are all that remains of them.
"""

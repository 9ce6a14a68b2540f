"""The bill of materials: CycloneDX 1.6 with its model card for machine learning, checked against its schema."""

from __future__ import annotations

import importlib.metadata
import json
import uuid
from typing import Any

from oracle import __version__
from oracle.factory.dossier import Dossier, figures
from oracle.factory.errors import BadBundle
from oracle.factory.licences import PERMISSIVE, SHARE_ALIKE

_LIBRARIES = ("torch", "transformers", "peft", "safetensors", "tokenizers")
_SPACE = uuid.UUID("6f0a2b52-6f4c-5a52-9d0c-5b0f1c1a9b10")


def bom(found: Dossier) -> bytes:
    """Raises BadBundle where the schema does not take it."""
    name = f"{found.recipe.name}@{found.version}"
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, found.trained.weights)}",
        "version": 1,
        "metadata": {
            "component": _model(found, name),
            "tools": {"components": [{"type": "application", "name": "openledger", "version": __version__}]},
        },
        "components": [_base(found), *_datasets(found), *_libraries()],
        "dependencies": [
            {"ref": name, "dependsOn": sorted(["base", *(_ref(s.datanet, s.number) for s in found.snapshots)])}
        ],
    }
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    check(text)
    return text.encode()


def check(text: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        said = str(fault).splitlines()[0]
        raise BadBundle(f"the bill of materials does not fit CycloneDX 1.6: {said}")


def _model(found: Dossier, name: str) -> dict[str, Any]:
    settings = found.recipe.training
    return {
        "type": "machine-learning-model",
        "bom-ref": name,
        "name": found.recipe.name,
        "version": str(found.version),
        "description": found.recipe.about or found.title,
        "manufacturer": {"name": f"Builder {found.builder}"},
        "hashes": [{"alg": "SHA-256", "content": found.trained.weights}],
        "licenses": [_licence(found.licence)],
        "pedigree": {
            "ancestors": [
                {"type": "machine-learning-model", "name": each["name"], "version": str(each["version"])}
                for each in found.parents
            ]
        },
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "text-generation",
                "architectureFamily": "transformer",
                "modelArchitecture": f"LoRA of rank {settings.rank} over {found.base}",
                "datasets": [{"ref": _ref(each.datanet, each.number)} for each in found.snapshots],
                "inputs": [{"format": "text"}],
                "outputs": [{"format": "text"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {
                        "type": metric,
                        "slice": f"{name_}, {who}",
                        "value": f"{figure['value']:.6f}",
                        "confidenceInterval": {
                            "lowerBound": f"{figure['low']:.6f}",
                            "upperBound": f"{figure['high']:.6f}",
                        },
                    }
                    for name_, metric, base, adapter in figures(found.evaluation)
                    for who, figure in (("base", base), ("adapter", adapter))
                ]
            },
            "considerations": {
                "technicalLimitations": ["Outside of its datanets it may be worse than its base; see the general set."],
                "useCases": [found.recipe.about or f"Questions about {found.title}."],
            },
        },
        "properties": [
            {"name": "openledger:gate", "value": "GO" if found.evaluation["gate"]["go"] else "NO-GO"},
            {"name": "openledger:recipe", "value": found.recipe.digest},
            {"name": "openledger:seed", "value": str(settings.seed)},
        ],
    }


def _base(found: Dossier) -> dict[str, Any]:
    licence = {"licenses": [_licence(found.base_licence)]} if found.base_licence else {}
    return {"type": "machine-learning-model", "bom-ref": "base", "name": found.base, **licence}


def _datasets(found: Dossier) -> list[dict[str, Any]]:
    return [
        {
            "type": "data",
            "bom-ref": _ref(each.datanet, each.number),
            "name": found.name_of(each),
            "version": str(each.number),
            "licenses": [_licence(each.licence)],
            "data": [
                {
                    "type": "dataset",
                    "name": found.name_of(each),
                    "classification": "private" if found.private else "public",
                    "description": f"{each.count} rows; the Merkle root on chain is {each.root}",
                }
            ],
        }
        for each in found.snapshots
    ]


def _libraries() -> list[dict[str, Any]]:
    return [
        {
            "type": "library",
            "name": name,
            "version": importlib.metadata.version(name),
            "purl": f"pkg:pypi/{name}@{importlib.metadata.version(name).replace('+', '%2B')}",
        }
        for name in _LIBRARIES
    ]


def _ref(datanet: int, number: int) -> str:
    return f"datanet-{datanet}-snapshot-{number}"


def _licence(licence: str) -> dict[str, Any]:
    known = licence in PERMISSIVE | SHARE_ALIKE
    return {"license": {"id": licence} if known else {"name": licence}}

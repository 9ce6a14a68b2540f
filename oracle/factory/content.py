"""The public summary of training content after the European Commission's template for Article 53(1)(d) of the AI Act:
general information, list of data sources, aspects of data processing. For an adapter: of what the adapter was trained
on; its base has a summary of its own.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from oracle.factory.dossier import Dossier

_ROWS = {
    "training-row": "questions and answers, or conversations",
    "document": "documents",
    "correction": "corrections",
}


def summary(found: Dossier) -> dict[str, Any]:
    """Every field of the template; one with nothing to say says why."""
    return {
        "1 General information": {
            "1.1 Provider identification": {
                "Provider name and contact details": f"The holder of the account {found.builder}; reached on chain",
                "Authorised representative": "None is named: the registry knows the builder by an account alone",
            },
            "1.2 Model identification": {
                "Versioned model name": f"{found.recipe.name}@{found.version}",
                "Model dependencies": [f"{each['name']}@{each['version']}" for each in found.parents],
                "Date of placement on the market": "That of the block in which VersionPublished stands; see index.json",
            },
            "1.3 Modalities, overall training data size and other characteristics": {
                "Modality": "Text",
                "Training data size": f"{found.tokens} tokens in {len(found.training)} rows"
                + (" (less than one billion tokens)" if found.tokens < 10**9 else ""),
                "Types of content": _types(found),
                "Latest date of data acquisition": "Not after the blocks in which the snapshots below were published",
                "Linguistic characteristics": "As the policies of the datanets allow; languages are not counted again",
                "Other characteristics": f"{len(found.contributors)} contributors hold the credit of these rows",
            },
        },
        "2 List of data sources": {
            "2.1 Publicly available datasets": [
                {
                    "Name": found.name_of(each),
                    "Identifier": f"Merkle root {each.root}, policy {each.policy}",
                    "Licence": each.licence,
                    "Size": f"{each.count} rows",
                }
                for each in found.snapshots
                if not found.private
            ]
            or "None: the rows of these datanets are private",
            "2.2 Private datasets obtained from third parties": [found.name_of(each) for each in found.snapshots]
            if found.private
            else "None: every row is of a datanet whose rows are published",
            "2.3 Data crawled and scraped from online sources": "None by the provider: rows are contributed by accounts"
            " that declare a licence for them",
            "2.4 User data": "None: what users ask the model is not trained on",
            "2.5 Synthetic data": "Not known by the provider beyond what contributors declare; none was generated for"
            " this run",
            "2.6 Other sources": "None",
        },
        "3 Data processing aspects": {
            "3.1 Respect of reservations of rights (text and data mining)": (
                "Contributors declare the licence of their rows and sign it with their account; licences that forbid"
                " commercial use or derived works are refused before a run begins. Rows can be erased, and are absent"
                " from every later snapshot"
            ),
            "3.2 Removal of illegal content": (
                "Each row passes the published policy of its datanet: secrets, personal data, damaged and toxic text"
                " are held for a reviewer or rejected, and reviewers sign the outcome on chain"
            ),
            "3.3 Other information": f"Near duplicates count as one cluster; {_held(found)} rows were held out",
        },
    }


def as_text(found: Dossier) -> str:
    lines = [
        f"# Summary of training content: {found.title}",
        "",
        "After the template of the European Commission for Article 53(1)(d) of Regulation (EU) 2024/1689. It covers"
        " what this adapter was trained on; for its base, see the base's own summary.",
        "",
    ]
    _write(summary(found), 2, lines)
    return "\n".join(lines) + "\n"


def _write(content: dict[str, Any], level: int, lines: list[str]) -> None:
    for name, value in content.items():
        if isinstance(value, dict):
            lines += [f"{'#' * level} {name}", ""]
            _write(value, level + 1, lines)
        elif isinstance(value, list):
            lines += [f"**{name}**", "", *(f"- {_item(each)}" for each in value), ""]
        else:
            lines += [f"**{name}**: {value}.", ""]


def _item(value: Any) -> str:
    return "; ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _types(found: Dossier) -> str:
    counted = Counter(row.kind for row in found.training)
    return ", ".join(f"{count} {_ROWS.get(kind, kind)}" for kind, count in sorted(counted.items()))


def _held(found: Dossier) -> int:
    return len(found.rows) - len(found.training)

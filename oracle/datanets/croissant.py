"""A snapshot described in Croissant 1.1 (JSON-LD), so that data tools that never heard of us can load it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from oracle.datanets.canonical import canonical
from oracle.store.datanets import Datanet
from oracle.store.snapshots import Snapshot
from oracle.types import Timestamp

ROWS = "rows.jsonl"
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

# column of rows.jsonl → what it is
_FIELDS = {
    "hash": "keccak-256 of the row's canonical bytes, the leaf of the root on chain",
    "split": "train, validation, held-out or evaluation; rows of one cluster are on one side",
    "kind": "what was contributed: training-row, document, correction or evaluation-item",
    "contributor": "the account that contributed the row",
    "owner": "the account that holds the credit of its cluster: the earliest",
    "cluster": "the hash of the first row of its cluster of near duplicates",
    "contribution": "the contribution's name on chain",
    "row": "the row itself: canonical JSON",
}


@dataclass(frozen=True)
class Exported:
    """The file of rows, as it was written."""

    sha256: str
    size: int


def describe(datanet: Datanet, made: Snapshot, file: Exported, published: Timestamp | None) -> bytes:
    """The whole description; without a date of publication where the snapshot is not on chain yet."""
    manifest = orjson.loads(made.manifest)
    dated = {} if published is None else {"datePublished": datetime.fromtimestamp(published, UTC).isoformat()}
    splits = ", ".join(f"{count} {name}" for name, count in sorted(manifest["splits"].items()))
    return canonical(
        {
            "@context": dict(_CONTEXT),
            "@type": "sc:Dataset",
            "conformsTo": "http://mlcommons.org/croissant/1.1",
            "name": f"{datanet.name}, {made.name}",
            "description": (
                f"Snapshot {made.name} of the OpenLedger datanet {datanet.number}, {datanet.name}: {made.count} rows"
                f" ({splits}) under the policy 0x{datanet.policy.hex()}. Its Merkle root is 0x{made.root.hex()}."
            ),
            "creator": {"@type": "sc:Organization", "name": f"The contributors of datanet {datanet.number}"},
            "license": f"https://spdx.org/licenses/{datanet.licence}",
            "url": f"ipfs://{made.rows}",
            "version": f"{made.number}.0.0",
            "citeAs": f"OpenLedger datanet {datanet.number}, snapshot {made.name}, root 0x{made.root.hex()}",
            "isLiveDataset": False,
            "distribution": [
                {
                    "@type": "cr:FileObject",
                    "@id": ROWS,
                    "name": ROWS,
                    "contentUrl": ROWS,
                    "contentSize": f"{file.size} B",
                    "encodingFormat": "application/jsonlines",
                    "sha256": file.sha256,
                }
            ],
            "recordSet": [
                {
                    "@type": "cr:RecordSet",
                    "@id": "rows",
                    "name": "rows",
                    "key": {"@id": "rows/hash"},
                    "field": [_field(name, about) for name, about in _FIELDS.items()],
                }
            ],
        }
        | dated
    )


def _field(name: str, about: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"rows/{name}",
        "name": name,
        "description": about,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": ROWS}, "extract": {"column": name}},
    }

"""A snapshot as Croissant JSON-LD, the format in which dataset catalogues and loaders describe datasets.

The table of rows is a file of JSON lines named by its CID. Its columns are those of the snapshot; the texts themselves
are in the blobs of the contributions, which the table names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from oracle.store.datanets import Datanet
from oracle.store.snapshots import Snapshot

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"

_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
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
    "openledger": "https://openledger.dev/ns#",
}

_LICENCES = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://opensource.org/license/mit",
}

_COLUMNS = (
    ("hash", "sc:Text", "The row's hash; its leaf in the snapshot's tree is made of the contributor and this."),
    ("contribution", "sc:Text", "The contribution that brought the row, by the registry's name."),
    ("row", "sc:Integer", "Which row of the contribution's blob it is, from zero."),
    ("contributor", "sc:Text", "The account that contributed it."),
    ("owner", "sc:Text", "Who holds the credit of its cluster: whoever contributed its earliest row."),
    ("cluster", "sc:Text", "Its cluster of near duplicates, by the hash of the founding row; mostly its own."),
    ("kind", "sc:Text", "Training row, document, correction or evaluation item."),
    ("split", "sc:Text", "train, validation, held-out or evaluation."),
)


def croissant(
    datanet: Datanet, made: Snapshot, table_url: str, table_sha256: str, table_bytes: int, date: str
) -> bytes:
    """Pretty-printed JSON-LD. `table_url` is where the table of rows lies for whoever reads it."""
    table = {
        "@type": "cr:FileObject",
        "@id": "rows",
        "name": "rows",
        "description": "One row to a line, in the snapshot's order.",
        "contentUrl": table_url,
        "contentSize": f"{table_bytes} B",
        "encodingFormat": "application/jsonlines",
        "sha256": table_sha256,
    }
    manifest = orjson.loads(made.manifest)
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"{_slug(datanet.name)}-{_slug(made.name)}",
        "alternateName": datanet.name,
        "description": f"{made.count} rows of the datanet “{datanet.name}”, snapshot {made.name}.",
        "license": _LICENCES.get(datanet.licence, datanet.licence),
        "creator": {"@type": "Organization", "name": f"Contributors of datanet {datanet.number}"},
        "datePublished": date,
        "version": f"{made.number}.0.0",
        "url": f"ipfs://{made.rows}",
        "citeAs": f"OpenLedger datanet {datanet.number}, snapshot {made.name}, root 0x{made.root.hex()}",
        "isLiveDataset": False,
        "keywords": [datanet.datatype],
        "openledger:root": "0x" + made.root.hex(),
        "openledger:accumulator": "0x" + made.accumulator.hex(),
        "openledger:policy": manifest["policy"],
        "openledger:splits": [f"{name}: {count}" for name, count in sorted(manifest["splits"].items())],
        "distribution": [table],
        "recordSet": [_record_set()],
    }
    return orjson.dumps(described, option=orjson.OPT_INDENT_2) + b"\n"


def faults(described: Mapping[str, Any]) -> Sequence[str]:
    """What the specification asks for and a description lacks: a look at its structure, without its library."""
    found = [f"{name}: missing" for name in _REQUIRED if not described.get(name)]
    files = {each.get("@id") for each in described.get("distribution", [])}
    for each in described.get("distribution", []):
        found += [
            f"{each.get('@id')}: has no {name}"
            for name in ("contentUrl", "encodingFormat", "sha256")
            if not each.get(name)
        ]
    for record in described.get("recordSet", []):
        for field in record.get("field", []):
            if field.get("source", {}).get("fileObject", {}).get("@id") not in files:
                found.append(f"{field.get('@id')}: comes from no file of the distribution")
            if not str(field.get("@id", "")).startswith(f"{record.get('@id')}/"):
                found.append(f"{field.get('@id')}: is not named after its record set")
            found += [f"{field.get('@id')}: has no {name}" for name in ("dataType", "name") if not field.get(name)]
    return found


_REQUIRED = (
    "@context",
    "@type",
    "conformsTo",
    "name",
    "description",
    "license",
    "url",
    "creator",
    "datePublished",
    "distribution",
)


def _record_set() -> dict[str, Any]:
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"snapshot/{name}",
            "name": name,
            "description": says,
            "dataType": kind,
            "source": {"fileObject": {"@id": "rows"}, "extract": {"column": name}},
        }
        for name, kind, says in _COLUMNS
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "snapshot",
        "name": "snapshot",
        "key": {"@id": "snapshot/hash"},
        "field": fields,
    }


def _slug(name: str) -> str:
    return "-".join("".join(mark if mark.isalnum() else " " for mark in name.lower()).split()) or "unnamed"

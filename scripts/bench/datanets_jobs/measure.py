"""What is measured of datanets: near duplicates against a known truth, speed and memory through all checks."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from datanets_jobs.edits import OTHERS, falsified, reworded
from datanets_jobs.texts import FAMILIES, ordinary
from oracle.datanets.canonical import canonical
from oracle.datanets.checks import Checker
from oracle.datanets.founding import packed
from oracle.datanets.kinds import Kind
from oracle.datanets.merkle import rows_root
from oracle.datanets.near import CHUNK, NearIndex
from oracle.datanets.policy import Policy
from oracle.datanets.rowsfile import chunks_of
from oracle.datanets.verdicts import Verdict
from oracle.datanets.words import Splitter
from oracle.types import Address

ALL_RULES = Policy(languages=("en",), toxic_words=("zounds", "gadzooks"))
SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
OWNER = Address("0xe05fcC23807536bEe418f142D19fa0d21BB0cfF7")

Figures = dict[str, float]
Rows = list[dict[str, Any]]


def truth(seed: int, bases: int, copied: int) -> tuple[list[tuple[str, int | None, str]], int]:
    """(what it is, its original's place, text): originals first, then their copies, shuffled; how many originals."""
    dice = random.Random(seed)
    items: list[tuple[str, int | None, str]] = [("ordinary", None, "\n".join(ordinary(dice))) for _ in range(bases)]
    for name, family in FAMILIES.items():
        items += [(name, None, "\n".join(family(dice))) for _ in range(bases // 4)]
    originals = len(items)
    copies: list[tuple[str, int | None, str]] = []
    for place in dice.sample(range(originals), min(copied, originals)):
        text = items[place][2]
        copies += [(f"edits {share:.0%}", place, reworded(text, share, dice)) for share in SHARES]
        copies += [(name, place, edit(text, dice)) for name, edit in OTHERS.items()]
        if (false := falsified(text, dice)) != text:
            copies.append(("a number is another", place, false))
    dice.shuffle(copies)
    return items + copies, originals


def near_duplicates(seed: int, bases: int, copied: int) -> tuple[Figures, Rows]:
    items, originals = truth(seed, bases, copied)
    index, splitter = NearIndex(ALL_RULES.near_share), Splitter()
    founders: list[int] = []
    joined: dict[int, int] = {}
    for begin in range(0, len(items), CHUNK):
        texts = [text for _, _, text in items[begin : begin + CHUNK]]
        near, made = index.add(splitter.split(texts), np.ones(len(texts), bool))
        founders += [begin + int(row) for row in made.rows]
        joined |= {begin + each.row: each.founder for each in near if not each.facts_differ}
    total, found, wrong = Counter[str](), Counter[str](), Counter[str]()
    for place, (what, original, text) in enumerate(items):
        total[what] += 1
        if place not in joined:
            continue
        towards = founders[joined[place]]
        # Two originals may be one and the same row by chance: then they are no false cluster.
        if towards == original or items[towards][1] == original is not None or items[towards][2] == text:
            found[what] += 1
        else:
            wrong[what] += 1
    rows: Rows = []
    for what in total:
        copies = what not in ("ordinary", *FAMILIES)
        row = {"what": what, "rows": total[what], "wrongly_clustered": wrong[what]}
        rows.append(row | ({"recall": round(found[what] / total[what], 4)} if copies else {}))
    alone = sum(wrong[what] for what in ("ordinary", *FAMILIES))
    counted = [what for what in total if what != "a number is another"]
    figures = {
        "near_dup_recall_10pct": rows_of(rows, "edits 10%")["recall"],
        "near_dup_recall_5pct": rows_of(rows, "edits 5%")["recall"],
        "near_dup_recall_20pct": rows_of(rows, "edits 20%")["recall"],
        "near_dup_recall_reordered": rows_of(rows, "reordered")["recall"],
        "near_dup_recall_numbers": rows_of(rows, "numbers in words")["recall"],
        "false_cluster_rate": round(sum(wrong[what] for what in counted) / sum(total[what] for what in counted), 6),
        "false_cluster_rate_originals": round(alone / originals, 6),
    }
    return figures, rows


def rows_of(rows: Rows, what: str) -> dict[str, Any]:
    return next(row for row in rows if row["what"] == what)


def published(seed: int, rows: int) -> bytes:
    """Canonical rows as they lie in a blob: mostly ordinary, some of each family, one in fifty a rewording."""
    dice = random.Random(seed + 1)
    families = list(FAMILIES.values())
    lines: list[bytes] = []
    pairs: list[tuple[str, str]] = []
    for number in range(rows):
        if number % 50 == 49:
            prompt, completion = dice.choice(pairs)
            completion = reworded(completion, 0.08, dice)
        elif number % 10 == 9:
            prompt, completion = dice.choice(families)(dice)
        else:
            prompt, completion = ordinary(dice)
        if len(pairs) < 5000:
            pairs.append((prompt, completion))
        lines.append(canonical({"completion": completion, "prompt": prompt}))
    return b"\n".join(lines) + b"\n"


def speed(seed: int, rows: int) -> tuple[Figures, Rows]:
    """Every check there is, from published bytes to verdicts, root and what the index stores, in one process."""
    content = published(seed, rows)
    words = len(content.split()) / rows
    checker, index = Checker(ALL_RULES, Kind.TRAINING_ROW), NearIndex(ALL_RULES.near_share)
    checker.alone(["The model of languages is loaded before the clock starts, as in a worker that has been running."])
    before = _resident_mb()
    began, wall = time.process_time(), time.perf_counter()
    hashes: list[Any] = []
    verdicts, stored = Counter[str](), 0
    for chunk in chunks_of(io.BytesIO(content), Kind.TRAINING_ROW, 1 << 23):
        checked = checker.among(chunk.texts, index)
        stored += len(packed(checked.founders))
        hashes += chunk.hashes
        verdicts.update(
            f"{Verdict(finding.verdict).name.lower()}: {finding.code}" for finding in checked.findings.values()
        )
        verdicts["near an earlier row"] += sum(not near.facts_differ for near in checked.near)
    root = rows_root(OWNER, hashes)
    cpu, wall = time.process_time() - began, time.perf_counter() - wall
    grown = _resident_mb() - before
    figures = {
        "rows_per_s": round(rows / cpu),
        "rows_per_s_wall": round(rows / wall),
        "words_per_row": round(words, 1),
        "bytes_per_row": round(len(content) / rows, 1),
        "memory_mb_per_million": round(grown / rows * 1e6, 1),
        "index_mb_per_million": round(index.nbytes / max(index.founders, 1), 1),
        "stored_mb_per_million": round(stored / rows, 1),
    }
    assert root != bytes(32)
    return figures, [{"what": what, "rows": count} for what, count in sorted(verdicts.items())]


def streaming(seed: int, megabytes: int, folder: Path) -> Figures:
    """The peak of a process that reads a large file through intake, beside one that reads a hundredth of it."""
    large, small = folder / "large.jsonl", folder / "small.jsonl"
    piece = published(seed, 2000)
    for file, size in ((large, megabytes), (small, max(megabytes // 100, 1))):
        with file.open("wb") as opened:
            for _ in range(size * 1024 * 1024 // len(piece) + 1):
                opened.write(piece)
    peaks = {file: _in_a_process(file) for file in (large, small)}
    rows = peaks[large]["rows"]
    return {
        "streaming_file_mb": round(large.stat().st_size / 2**20, 1),
        "streaming_peak_mb": round(peaks[large]["peak_mb"] - peaks[small]["peak_mb"], 1),
        "streaming_hashes_mb": round(32 * rows / 2**20, 1),
        "intake_rows_per_s": round(rows / peaks[large]["cpu_s"]),
    }


def _in_a_process(file: Path) -> dict[str, float]:
    paths = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-m", "datanets_jobs.measure", str(file)]
    answer: dict[str, float] = json.loads(subprocess.check_output(command, env={**os.environ, "PYTHONPATH": paths}))
    return answer


def _resident_mb() -> float:
    """What the process holds now, where the system tells; else the most that it ever held."""
    told = Path("/proc/self/statm")
    if not told.exists():
        return _peak_mb()
    return int(told.read_text().split()[1]) * resource.getpagesize() / 2**20


def _peak_mb() -> float:
    """Where the system tells, of this process alone: a child's own count begins with its parent's."""
    told = Path("/proc/self/status")
    if told.exists():
        line = next(line for line in told.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _read(file: Path) -> dict[str, float]:
    """What intake does before anything is on chain: read, normalise, hash, and check each row by itself."""
    from oracle.datanets.intake import read

    began, count, hashes = time.process_time(), 0, bytearray()
    with file.open("rb") as opened:
        for batch in read(opened, file.name, Kind.TRAINING_ROW):
            count += len(batch)
            hashes += b"".join(batch.hashes)
    return {"rows": count, "peak_mb": _peak_mb(), "cpu_s": time.process_time() - began}


if __name__ == "__main__":
    print(json.dumps(_read(Path(sys.argv[1]))))

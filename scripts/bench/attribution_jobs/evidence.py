"""Spans: how long their index takes to build beside infini-gram's, over the same tokens, and how long an answer waits.

The text is Python's own: the sources that every environment with torch has, in words and marks. Times are the
processor's, of one core each: neighbours do not stretch them as they stretch a clock's.

Both sides begin with the tokens, ours in memory and theirs in the file that their program reads, and end with an index
on the disk that can be asked; theirs includes the start of its Python. They take turns, and the middle round is shown.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np

from oracle.attribution.spans import SpanIndex, build_spans

VOCABULARY = 60_000
ROW = 512
ANSWER = 512
ROUNDS = 3
SPREAD = {"": np.median, "_low": np.min, "_high": np.max}


def tokens_of_sources(count: int) -> np.ndarray:
    """As many tokens as asked for, from sources in the order of their names."""
    roots = (Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib")))
    files = sorted({file for root in roots for file in root.rglob("*.py")}, key=lambda file: file.name)
    numbers: dict[str, int] = {}
    found: list[np.ndarray] = []
    total = 0
    for file in files:
        words = re.findall(r"\w+|[^\w\s]", file.read_text(encoding="utf-8", errors="ignore"))
        codes = [min(numbers.setdefault(word, len(numbers)), VOCABULARY - 1) for word in words]
        found.append(np.array(codes, dtype=np.int64))
        total += len(codes)
        if total >= count:
            break
    return np.concatenate(found)[:count]


def measure(folder: Path, megabytes: int, infini_gram: Path | None) -> dict[str, float]:
    """`infini_gram`: the Python of an environment that has its package; without it there is no comparison."""
    tokens = tokens_of_sources(megabytes * 500_000)  # of two bytes
    rows = [tokens[at : at + ROW] for at in range(0, len(tokens), ROW)]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        build_spans(folder / "ours", rows, VOCABULARY)
        ours.append(time.process_time() - started)
        if infini_gram is not None:
            theirs.append(_infini_gram(folder / "theirs", rows, infini_gram))
    found = {"span_megabytes": 2 * len(tokens) / 1e6, "span_build_s": float(np.median(ours))}
    if theirs:
        ratios = np.array(theirs) / np.array(ours)
        found |= {"infini_gram_build_s": float(np.median(theirs)), "span_rounds": float(ROUNDS)}
        found |= {f"span_build_ratio_infini_gram{name}": float(of(ratios)) for name, of in SPREAD.items()}
    return found | _asked(SpanIndex(folder / "ours"), tokens)


def _asked(index: SpanIndex, tokens: np.ndarray) -> dict[str, float]:
    rng = np.random.default_rng(0)
    times, counts = [], []
    for _ in range(20):
        answer = _answer(tokens, rng)
        started = time.process_time()
        counts.append(len(index.spans(answer)))
        times.append(time.process_time() - started)
    return {"span_query_ms": 1000 * float(np.median(times)), "spans_of_an_answer": float(np.mean(counts))}


def _answer(tokens: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Half of it is copied from rows, in pieces; the rest is common words."""
    said: list[int] = []
    while len(said) < ANSWER:
        at, length = int(rng.integers(len(tokens) - 64)), int(rng.integers(4, 40))
        said += tokens[at : at + length].tolist()
        said += tokens[rng.integers(0, len(tokens), length)].tolist()
    return said[:ANSWER]


def _infini_gram(folder: Path, rows: list[np.ndarray], python: Path) -> float:
    """Its own program, on one core, with the tokens given: what is timed is the making of the suffix array."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    offsets, at = [], 0
    with (folder / "tokenized.0").open("wb") as out:
        for row in rows:
            content = b"\xff\xff" + row.astype("<u2").tobytes()
            out.write(content)
            offsets.append(at)
            at += len(content)
    np.array(offsets, dtype=np.uint64).tofile(folder / "offset.0")
    command = [str(python), "-m", "infini_gram.indexing", "--data_dir", str(folder), "--save_dir", str(folder)]
    command += ["--token_dtype", "u16", "--cpus", "1", "--mem", "8", "--ulimit", "1024"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (folder / "table.0").exists():
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        raise SystemExit("infini-gram's program failed: its output stands above")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

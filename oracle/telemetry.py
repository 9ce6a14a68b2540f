"""What the daemon says of itself: one JSON object per line in the log, and metrics for Prometheus.

A line carries the ids of what it is about, and never a secret: those are registered once and struck out wherever they
turn up.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

IDS = ("contribution", "snapshot", "receipt", "batch", "block", "tx", "intent", "step", "subject", "worker")

_about: ContextVar[dict[str, Any]] = ContextVar("about", default={})  # noqa: B039 — replaced, never changed
_secrets: set[str] = set()
_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")

STEPS = Counter("openledger_steps_total", "Steps of work that ended, by how.", ["step", "outcome"])
STEP_SECONDS = Histogram(
    "openledger_step_seconds", "How long a step took.", ["step"], buckets=(0.01, 0.1, 1, 10, 60, 600, 3600, 21600)
)
LOOPS = Counter("openledger_loops_total", "Rounds of the scheduled loops, by how they ended.", ["loop", "outcome"])


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Every line logged inside carries these ids."""
    unknown = ids.keys() - set(IDS)
    if unknown:
        raise ValueError(f"not an id that logs carry: {', '.join(sorted(unknown))}")
    token = _about.set(_about.get() | {name: _plain(value) for name, value in ids.items()})
    try:
        yield
    finally:
        _about.reset(token)


def hide(*secrets: str) -> None:
    """From now on these strings are struck out of every line."""
    _secrets.update(secret for secret in secrets if len(secret) >= 8)  # shorter ones would strike out half of the log


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "from": record.name,
            "said": record.getMessage(),
        }
        line |= _about.get()
        line |= {name: _plain(record.__dict__[name]) for name in IDS if record.__dict__.get(name) is not None}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _struck(json.dumps(line, ensure_ascii=False, separators=(",", ":")))


def configure_logs(level: str = "INFO", stream: TextIO = sys.stderr) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("urllib3", "web3", "fsspec", "asyncio", "celery.redirected"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


# Metrics. The processes of one machine count in files of one folder, so that any of them can answer for all.


def share_metrics(folder: Path) -> None:
    """Before any process of this machine counts; the library reads it when it is imported."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.db"):
        left.unlink()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def forget_process(pid: int) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def counted() -> bytes:
    """What Prometheus scrapes of the processes of this machine."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _struck(line: str) -> str:
    for secret in _secrets:
        line = line.replace(secret, "***")
    return _PASSWORD.sub("***", line)


def _plain(value: object) -> str | int:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value if isinstance(value, int) else str(value)

"""`make demo`, to its end: everybody plays, the books are right to the wei, and who cheated has nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_demo__played_to_its_end__then_all_is_paid_to_the_wei_and_cheats_earn_nothing() -> None:
    # The socket of Redis takes no long path.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        command = [sys.executable, "scripts/demo.py", "--exit", "--port", "0", "--home", f"{folder}/demo"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "to the wei what the consumer paid: True" in said
    for cheat in ("copycat", "spammer"):
        assert re.search(rf"^  {cheat} +0\.000000 OPEN", said, re.MULTILINE)
    for person in ("anna", "ben", "cleo", "builder", "reviewer", "attestor 1"):
        amount = re.search(rf"^  {person} +(\d+\.\d+) OPEN", said, re.MULTILINE)
        assert amount is not None and float(amount[1]) > 0, f"{person} earned nothing:\n{said}"
    assert "gate: GO" in said

"""The embedded base, and the script that makes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_base__made_again_but_for_its_weights__then_words_tokenizer_and_general_sets_are_the_same() -> None:
    command = [sys.executable, "scripts/base.py", "oracle/factory/embedded", "--verify", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same, weights not looked at" in done.stdout


@pytest.mark.slow
def test_base__by_another_seed__then_every_difference_is_named() -> None:
    command = [sys.executable, "scripts/base.py", "oracle/factory/embedded", "--verify", "--quick", "--seed", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for name in ("tokenizer.json", "general.jsonl", "rehearsal.jsonl"):
        assert name in done.stdout

"""`make demo`, to its end: everybody plays, the books are right to the wei, and who cheated has nothing."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from oracle.daemon.local import only_one

ROOT = Path(__file__).resolve().parents[2]


def demo(home: Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/demo.py", "--exit", "--port", str(port), "--home", str(home)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)


def test_demo__when_another_one_plays_in_its_home__then_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "of_the_other").touch()
    with only_one(tmp_path / "demo.lock", "demonstration"):
        done = demo(tmp_path)
    assert done.returncode == 1 and "held by another demonstration" in done.stderr
    assert (tmp_path / "of_the_other").exists()


def test_demo__when_its_home_holds_what_no_demonstration_made__then_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    done = demo(tmp_path)
    assert done.returncode == 1 and "name another --home" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["letters"]


def test_demo__when_somebody_listens_at_its_port__then_says_so_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        done = demo(tmp_path, stranger.getsockname()[1])
    assert done.returncode == 1 and "Address already in use" in done.stderr and "--port" in done.stderr
    assert "a local chain" not in done.stdout


@pytest.mark.slow
def test_demo__played_to_its_end__then_all_is_paid_to_the_wei_and_cheats_earn_nothing() -> None:
    # The socket of Redis takes no long path.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        done = demo(Path(folder) / "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "to the wei what the consumer paid: True" in said
    for cheat in ("copycat", "spammer"):
        assert re.search(rf"^  {cheat} +0\.000000 OPEN", said, re.MULTILINE)
    for person in ("anna", "ben", "cleo", "builder", "reviewer", "attestor 1"):
        amount = re.search(rf"^  {person} +(\d+\.\d+) OPEN", said, re.MULTILINE)
        assert amount is not None and float(amount[1]) > 0, f"{person} earned nothing:\n{said}"
    assert "gate: GO" in said

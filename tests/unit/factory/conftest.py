"""One adapter that was really taught, for all who need one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.factory import Taught, teach
from fixtures.turns import by_turns, shared


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """The workers of a run teach it once: a run that has ended is only read."""
    folder = shared(tmp_path_factory, "taught")
    with by_turns(folder):
        return teach(folder)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

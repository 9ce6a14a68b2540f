"""A child process that never outlives us, however we end."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1


class Process:
    """Started in a group of its own, so that a Ctrl-C reaches it through us alone, and its children with it."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log_file: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as output:
            # One thread at most has run so far in those who start processes, which is what preexec_fn asks for.
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        log.info("%s: started as process %d", name, self._child.pid)

    @property
    def pid(self) -> int:
        return self._child.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def ask_to_end(self) -> None:
        """SIGTERM to the process itself: it takes its children down in its own way."""
        if self.exit_code() is None:
            self._child.terminate()

    def end(self, grace: float) -> None:
        """Asks, waits for so many seconds, and kills what is left of its group."""
        self.ask_to_end()
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            log.warning("%s: did not end within %.0f s and is killed", self.name, grace)
        self.kill()

    def kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)  # also a group whose leader is gone
        self._child.wait()


def _die_with(parent: int):  # type: ignore[no-untyped-def]
    """On Linux the kernel itself ends the child of a parent that was killed."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed before the line above
            os._exit(1)

    return in_child

"""`openledger worker`: one Celery worker and who watches over it.

A worker that ends is started again, later each time; one that went deaf is killed first; one that stopped because
something is wrong stays down.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError

from oracle import jobs
from oracle.config import Settings
from oracle.daemon.canary import EVERY, Cage, is_deaf
from oracle.daemon.ground import Ground
from oracle.daemon.processes import Process
from oracle.errors import NeedsPerson, Stop

log = logging.getLogger(__name__)

_GRACE = 30.0
_BIRTH = 120.0
_LONGEST_PAUSE = 60.0
_HEALTHY = 300.0  # a worker that lived so long begins anew with short pauses


class WorkerStopped(Stop):
    """A worker met an error that may cost money or truth."""


class Watch:
    def __init__(self, settings: Settings, queues: Sequence[str], name: str, every: float = EVERY) -> None:
        strangers = set(queues) - set(jobs.QUEUES)
        if strangers or not queues:
            raise NeedsPerson(f"queues {', '.join(sorted(strangers)) or 'none'}: there are {', '.join(jobs.QUEUES)}")
        Ground(settings).database.close()  # a wrong revision is said here, not by a worker that dies again and again
        self._settings = settings
        self._queues = tuple(queues)
        self._cage = Cage(settings.home / "run", f"{name}@{socket.gethostname()}")
        self._every = every  # seconds between canaries
        self._asked_to_end = threading.Event()

    def run(self) -> None:
        """Until SIGTERM or SIGINT; raises WorkerStopped where the worker must not go on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._cage.clean()
        sender, pause = jobs.app(self._settings), 1.0
        try:
            while not self._asked_to_end.is_set():
                began = time.monotonic()
                self._live(sender)
                reason = self._cage.stopped_for()
                if reason:
                    raise WorkerStopped(f"worker {self._cage.node}: {reason}")
                pause = 1.0 if time.monotonic() - began > _HEALTHY else min(2 * pause, _LONGEST_PAUSE)
                if not self._asked_to_end.is_set():
                    log.warning("worker %s: ended; it is started again in %.0f s", self._cage.node, pause)
                    self._asked_to_end.wait(pause)
        finally:
            _forget_queue(sender, self._cage.queue)

    def _live(self, sender: Celery) -> None:
        """One life of the worker: until it ends, is deaf, or we are asked to end."""
        process = Process(self._cage.node, self._command(), self._log_file())
        # Before it sings for the first time it has to import and connect, which may take a while on a busy machine.
        heard, delivered, next_canary = time.time() + _BIRTH, 0, time.monotonic() + self._every
        song = self._cage.last_song()
        try:
            while process.exit_code() is None and not self._asked_to_end.wait(0.5):
                heard_now = self._cage.last_song()
                if heard_now and heard_now != song:
                    heard, song, delivered = heard_now, heard_now, 0
                if self._cage.at_work():
                    heard, delivered = time.time(), 0
                if time.monotonic() >= next_canary:
                    next_canary += self._every
                    delivered += _deliver(sender, self._cage.queue, 4 * self._every)
                    if is_deaf(time.time() - heard, self._every, delivered, self._cage.at_work()):
                        log.error("worker %s: deaf, the broker took %d canaries", self._cage.node, delivered)
                        process.kill()
        finally:
            process.end(_GRACE)

    def _command(self) -> list[str]:
        queues = ",".join((*self._queues, self._cage.queue))
        return [sys.executable, "-m", "oracle.worker", "--node", self._cage.node, "--queues", queues]

    def _log_file(self) -> Path:
        return self._settings.home / "log" / f"{self._cage.node}.log"

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_end.set()


def _deliver(sender: Celery, queue: str, expires: float) -> int:
    """1 if the broker took a canary: over a new connection, since an old one may be what is broken."""
    try:
        with sender.connection_for_write() as connection:
            sender.send_task("canary", queue=queue, connection=connection, expires=expires, retry=False)
    except (CeleryError, KombuError, OSError) as error:
        log.warning("the broker takes no message: %s", error)
        return 0
    return 1


def _forget_queue(sender: Celery, queue: str) -> None:
    try:
        with sender.connection_for_write() as connection:
            connection.default_channel.queue_delete(queue)
    except (CeleryError, KombuError, OSError) as error:
        log.warning("queue %s stays behind: %s", queue, error)


def stop_for(cage: Cage, reason: str) -> None:
    """Called in a process of the worker: the whole worker ends after what it is doing, and stays down."""
    cage.stop(reason)
    os.kill(os.getppid(), signal.SIGTERM)

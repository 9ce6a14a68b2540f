"""`openledger up`: everything on one machine, and all of it gone at the end.

Only what no setting moved elsewhere is started: a private Redis, a chain of one machine (Anvil, kept on disk) with the
suite on it, the workers, the API.
"""

from __future__ import annotations

import fcntl
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import redis

from oracle import jobs
from oracle.config import Settings
from oracle.daemon.processes import Process
from oracle.daemon.programs import (
    anvil_command,
    deploy_suite,
    free_port,
    http,
    redis_configuration,
    redis_server,
    require_free,
    rpc,
)
from oracle.errors import NeedsPerson, Stop
from oracle.store.database import Database
from oracle.store.vault import create_master_key
from oracle.telemetry import share_metrics

log = logging.getLogger(__name__)

Say = Callable[[str], None]
_START = 30.0  # seconds that a server may take to answer
_GRACE = {"api": 10.0, "redis": 10.0, "anvil": 10.0}
_WORKER_GRACE = 45.0  # longer than a worker's watcher gives to the worker
# What runs on one machine: light and urgent work apart from heavy work.
WORKERS = {"money": ("ingest", "settle"), "models": ("infer", "attribute", "train", "bench")}
_LOCAL_RPC = "http://127.0.0.1:8545"


class AlreadyUp(NeedsPerson):
    """Another one runs in this home."""


def initialise(settings: Settings) -> None:
    """A home with a master key and the tables of this version; changes nothing that is there already."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    create_master_key(settings.master_key)
    database = Database(settings.database)
    database.upgrade()
    database.close()


class Local:
    """The processes of one machine. They end in the opposite order."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._port = settings.http_port or free_port(settings.http_host)
        self._address = f"{settings.http_host}:{self._port}"
        self._asked_to_end = threading.Event()
        self._running: list[Process] = []

    def run(self, chain: bool = True) -> None:
        """Until Ctrl-C, SIGTERM, or the end of a part that must not end."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        settings = self._settings
        with ExitStack() as stack:
            stack.enter_context(only_one(settings.home / "up.lock", "`openledger up`"))
            require_free(settings.http_host, self._port, "choose another OPENLEDGER_HTTP_PORT; 0 takes any")
            share_metrics(settings.home / "run" / "metrics")
            initialise(settings)
            stack.callback(self._end_all)
            if not settings.redis_url.get_secret_value():
                self._redis()
            if chain and [url.get_secret_value() for url in settings.rpc_urls] == [_LOCAL_RPC]:
                self._chain()
            for name, queues in WORKERS.items():
                self._openledger(f"worker-{name}", "worker", "--name", name, "--queues", ",".join(queues))
            self._openledger("beat", "beat")
            if settings.inference == "queue":
                self._openledger("infer", "infer")
            self._openledger("api", "api")
            self._await("API", self._api_answers)
            self._say(f"Up: http://{self._address}/ (health: /healthz). Ctrl-C takes everything down.")
            self._watch()

    # The parts

    def _redis(self) -> None:
        folder = self._settings.home / "redis"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        socket = jobs.private_socket(self._settings.home)
        if len(str(socket)) > 100:
            raise NeedsPerson(
                f"{socket}: too long for a socket; choose a shorter OPENLEDGER_HOME or set OPENLEDGER_REDIS_URL"
            )
        (folder / "redis.conf").write_text(redis_configuration(socket), encoding="utf-8")
        self._start("redis", redis_server(), folder / "redis.conf")
        client = redis.Redis(unix_socket_path=str(socket))
        self._await("Redis", lambda: _answers(lambda: client.ping()))
        client.close()
        self._say(f"Redis at {socket}")

    def _chain(self) -> None:
        if rpc(_LOCAL_RPC, "eth_chainId") is not None:
            self._say(f"A node answers at {_LOCAL_RPC} already")
        else:
            state = self._settings.home / "anvil.json"
            self._start("anvil", *anvil_command(8545, self._settings.block_time, state))
            self._await("Anvil", lambda: rpc(_LOCAL_RPC, "eth_chainId") is not None)
            self._say(f"Anvil at {_LOCAL_RPC}")
        record = deploy_suite(self._settings, 8545)
        self._say(f"The suite stands; its addresses are in {record}")

    def _openledger(self, name: str, *arguments: str) -> None:
        self._start(name, sys.executable, "-m", "oracle", *arguments)
        self._say(f"{name} started")

    def _api_answers(self) -> bool:
        return http(f"http://{self._address}/healthz") is not None

    # Living and ending

    def _start(self, name: str, *command: str | Path) -> None:
        environment = {"OPENLEDGER_HTTP_PORT": str(self._port)}
        self._running.append(Process(name, command, self._settings.home / "log" / f"{name}.log", environment))

    def _await(self, what: str, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + _START
        while not ready():
            self._raise_if_ended()
            if time.monotonic() > until or self._asked_to_end.wait(0.1):
                raise NeedsPerson(f"{what} does not answer; see the logs in {self._settings.home / 'log'}")

    def _watch(self) -> None:
        while not self._asked_to_end.wait(0.5):
            self._raise_if_ended()

    def _raise_if_ended(self) -> None:
        for process in self._running:
            code = process.exit_code()
            if code is not None:
                file = self._settings.home / "log" / f"{process.name}.log"
                raise Stop(
                    f"{process.name} ended with {code}; everything is taken down. It last said: {_last_line(file)}"
                )

    def _end_all(self) -> None:
        if self._running:
            self._say("Taking everything down; what is being worked on is finished first …")
        # First all workers and the API are asked, so that they end side by side; what they stand on goes last.
        for process in self._running:
            if process.name not in ("redis", "anvil"):
                process.ask_to_end()
        for process in reversed(self._running):
            process.end(_GRACE.get(process.name, _WORKER_GRACE))
        self._running.clear()
        self._say("Everything is down.")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked_to_end.set()


class only_one:  # noqa: N801 — reads as the context that it is
    """A lock that the kernel lets go of, however its holder ends."""

    def __init__(self, file: Path, what: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file, self._what = file, what

    def __enter__(self) -> None:
        self._handle = self._file.open("w")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._handle.close()
            raise AlreadyUp(f"{self._file}: held by another {self._what}; end that one first") from None

    def __exit__(self, *_: object) -> None:
        self._handle.close()


def _answers(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except redis.RedisError:
        return False
    return True


def _last_line(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines() if file.exists() else []
    return lines[-1][:500] if lines else "nothing"

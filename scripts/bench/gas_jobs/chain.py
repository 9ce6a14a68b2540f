"""An Anvil of its own for one run, and the contracts on it. What is measured is `gasUsed` of receipts.

The clock is set, not read, so that a run repeats to the unit of gas.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from eth_abi import encode
from web3 import HTTPProvider, Web3

ROOT = Path(__file__).resolve().parents[3]
ARTIFACTS = ROOT / "build" / "brownie" / "contracts"
GENESIS_TIME = 1_800_000_000
GAS_LIMIT = 29_000_000
START_SECONDS = 20.0
ANSWER_SECONDS = 30.0


class TransactionFailed(Exception):
    """A transaction of the benchmark reverted, or Anvil refused a request."""


def compile_contracts() -> None:
    """Brings Brownie's artifacts up to date with the sources; a matter of a second where nothing changed."""
    command = [str(Path(sys.executable).with_name("brownie")), "compile"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"brownie compile failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def artifact(name: str) -> dict[str, Any]:
    return json.loads((ARTIFACTS / f"{name}.json").read_text(encoding="utf-8"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Chain:
    """Anvil as a context manager. Anybody may send: the chain asks for no key and no gas price."""

    def __init__(self) -> None:
        self.port = free_port()
        self.w3 = Web3(HTTPProvider(f"http://127.0.0.1:{self.port}", request_kwargs={"timeout": 60}))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Chain:
        command = ["anvil", "--hardfork", "cancun", "--port", str(self.port), "--silent", "--auto-impersonate"]
        command += ["--timestamp", str(GENESIS_TIME), "--block-base-fee-per-gas", "0", "--gas-price", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._await_start(self.process)
            self.request("anvil_setBlockTimestampInterval", 1)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _await_start(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not self.w3.is_connected():
            if process.poll() is not None or time.monotonic() > give_up:
                raise SystemExit("anvil did not start")
            time.sleep(0.05)

    def _stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def request(self, method: str, *params: Any) -> Any:
        answer = self.w3.provider.make_request(method, list(params))
        if "error" in answer:
            raise TransactionFailed(f"{method}: {answer['error']}")
        return answer["result"]

    def transact(self, sender: str, to: str | None, data: str) -> dict[str, Any]:
        """Sends, waits, and answers the receipt."""
        fields = {"from": sender, "data": data, "gas": hex(GAS_LIMIT), "gasPrice": "0x0"}
        if to is not None:
            fields["to"] = to
        receipt = self._receipt(self.request("eth_sendTransaction", fields))
        if int(receipt["status"], 16) != 1:
            raise TransactionFailed(f"reverted: from {sender} to {to}, data {data[:10]}…")
        return receipt

    def _receipt(self, transaction: str) -> dict[str, Any]:
        """Anvil answers the hash a moment before the block is there."""
        give_up = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < give_up:
            receipt = self.request("eth_getTransactionReceipt", transaction)
            if receipt is not None:
                return dict(receipt)
            time.sleep(0.002)
        raise TransactionFailed(f"no receipt of {transaction}")

    @property
    def now(self) -> int:
        return int(self.request("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def advance(self, seconds: int) -> None:
        self.request("evm_setNextBlockTimestamp", hex(self.now + seconds))
        self.request("evm_mine")

    def snapshot(self) -> str:
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        self.request("evm_revert", snapshot)

    def deploy(self, sender: str, name: str, *arguments: Any) -> tuple[Contract, int]:
        receipt = self.transact(sender, None, "0x" + init_code(name, arguments).hex())
        return Contract(self, name, Web3.to_checksum_address(receipt["contractAddress"])), int(receipt["gasUsed"], 16)


def init_code(name: str, arguments: tuple[Any, ...]) -> bytes:
    """The creation code of a contract with its constructor's arguments behind it."""
    built = artifact(name)
    inputs = [entry["inputs"] for entry in built["abi"] if entry["type"] == "constructor"]
    types = [_abi_type(field) for field in inputs[0]] if inputs else []
    return bytes.fromhex(built["bytecode"].removeprefix("0x")) + encode(types, arguments)


def _abi_type(field: dict[str, Any]) -> str:
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    inner = ",".join(_abi_type(part) for part in field["components"])
    return f"({inner}){field['type'].removeprefix('tuple')}"


class Contract:
    """A contract of the run: `send` transacts and answers the gas used, `read` calls."""

    def __init__(self, chain: Chain, name: str, address: str):
        self.chain = chain
        self.address = address
        self._bound = chain.w3.eth.contract(address=Web3.to_checksum_address(address), abi=artifact(name)["abi"])

    def send(self, sender: str, function: str, *arguments: Any) -> int:
        data = self._bound.encode_abi(function, args=list(arguments))
        try:
            return int(self.chain.transact(sender, self.address, data)["gasUsed"], 16)
        except TransactionFailed as failure:
            raise TransactionFailed(f"{function}: {failure}") from failure

    def read(self, function: str, *arguments: Any) -> Any:
        return getattr(self._bound.functions, function)(*arguments).call()

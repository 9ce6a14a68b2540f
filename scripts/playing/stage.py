"""The stage: a chain of this machine with the whole suite, the daemon, and whoever's processes run beside it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import Any

import httpx
from eth_account import Account
from pydantic import SecretStr
from web3 import Web3

from oracle.chain.contracts import AddressBook, read_abi, read_address_book
from oracle.config import Settings
from oracle.daemon.ground import Ground
from oracle.daemon.local import only_one
from oracle.daemon.processes import Process
from oracle.daemon.programs import anvil, deploy_suite, free_port, require_free
from oracle.daemon.programs import rpc as ask_node
from oracle.errors import NeedsPerson
from oracle.types import Address, ChainId
from playing.people import ATTESTORS, EVERYBODY, FOUNDATION, OPERATOR, Person
from playing.telling import TooSlow, until

OPEN = 10**18
CHAIN = ChainId(31337)
BOND = 100_000 * OPEN
_GRACE = 45.0


class Refused(NeedsPerson):
    """The chain did not take a transaction."""


class Stage:
    """Everything that runs ends with it."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port or free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.node = f"http://127.0.0.1:{free_port('127.0.0.1')}"
        self.deployments = home / "deployments"
        self._home = ExitStack()  # the lock on it
        self._running: list[Process] = []
        self._grounds: dict[Person, Ground] = {}
        self._abis: dict[str, list[dict[str, Any]]] = {}
        self._book: AddressBook | None = None

    # Processes

    def open_chain(self, begins: int) -> None:
        """A chain of this machine whose first block is of that time."""
        self._begin()
        shutil.copytree("deployments", self.deployments, ignore=shutil.ignore_patterns("31337.json", "dev*.json"))
        port = self.node.rpartition(":")[2]
        self._start("anvil", [
            anvil(), "--port", port, "--slots-in-an-epoch", "1", "--timestamp", str(begins), "--quiet",
        ], {})  # fmt: skip
        until("the chain answers", lambda: ask_node(self.node, "eth_chainId"), 30)

    def deploy(self) -> int:
        """By the deployment's own command, with all of its checks; says how many contracts there are."""
        deploy_suite(self._settings(), int(self.node.rpartition(":")[2]))
        self._book = read_address_book(self.deployments, CHAIN)
        for person in EVERYBODY:
            self.ask("anvil_setBalance", person.address, hex(10**20))
        return len(json.loads((self.deployments / "31337.json").read_text(encoding="utf-8"))["contracts"])

    def to_the_present(self) -> None:
        """The chain's clock, which is behind after its long past, tells what every other clock tells."""
        self.ask("evm_setNextBlockTimestamp", int(time.time()))
        self.ask("evm_mine")

    def tick(self) -> None:
        """From now on a block every second, so that all becomes final whether somebody sends or not."""
        self.ask("evm_setIntervalMining", 1)

    def open_daemon(self) -> None:
        self.openledger("up", OPERATOR, "up", "--no-chain", OPENLEDGER_SETTLE="true", OPENLEDGER_RETRIEVAL_MODEL="none")
        until("the daemon is up", lambda: self._answers("/v1/models"), 180)

    def open_attestors(self) -> None:
        for number, one in enumerate(ATTESTORS):
            self.openledger(
                f"attestor-{number}", one, "attest", "--watch", "--from", self.url, "--every", "2", "--operator",
                OPERATOR.address, OPENLEDGER_HOME=str(self.home / f"attestor-{number}"),
            )  # fmt: skip

    def openledger(self, name: str, who: Person, *words: str, **more: str) -> Process:
        command = [sys.executable, "-m", "oracle", *words]
        return self._start(name, command, {**self._environment(who), **more})

    def shell(self, who: Person) -> Path:
        """A file whose lines make a shell of theirs: settings, and the programs that the guides speak of."""
        programs = [Path(sys.executable).parent, *anvil().parents[2].glob("cast-*/bin")]
        lines = [f"export {name}={quote(value)}" for name, value in self._environment(who).items()]
        lines.append(f'export PATH={quote(":".join(map(str, programs)))}:"$PATH"')
        file = self.home / "shell"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def watch(self) -> None:
        """Raises where a process has ended that should not have."""
        for process in self._running:
            if (code := process.exit_code()) is not None:
                raise TooSlow(f"{process.name} ended with {code}; its log: {self.home / 'log' / process.name}.log")

    def close(self) -> None:
        for process in self._running:
            if process.name != "anvil":
                process.ask_to_end()
        for process in reversed(self._running):
            process.end(_GRACE)
        self._running.clear()
        self._home.close()

    def _begin(self) -> None:
        """The home is this play's alone, and empty; only what a play has left there is taken away."""
        lock = self.home / "demo.lock"
        if self.home.exists() and any(self.home.iterdir()) and not lock.exists():
            raise NeedsPerson(f"{self.home}: no demonstration made what lies there; delete it, or name another --home")
        self._home.enter_context(only_one(lock, "demonstration"))
        for left in self.home.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left != lock:
                left.unlink()
        require_free("127.0.0.1", self.port, "name another --port; 0 takes any")

    def _start(self, name: str, command: list[Any], environment: Mapping[str, str]) -> Process:
        made = Process(name, command, self.home / "log" / f"{name}.log", environment)
        self._running.append(made)
        return made

    def _answers(self, path: str) -> bool:
        self.watch()
        try:
            return httpx.get(self.url + path, timeout=5).status_code < 500
        except httpx.TransportError:
            return False

    # The oracle's store, as whoever it is sees it

    def ground(self, who: Person) -> Ground:
        if who not in self._grounds:
            self._grounds[who] = Ground(self._settings(who))
        return self._grounds[who]

    def _settings(self, who: Person = OPERATOR) -> Settings:
        key = who.keystore(self.home / "wallets")
        return Settings(
            home=self.home, rpc_urls=(SecretStr(self.node),), deployments=self.deployments, chain_id=CHAIN,
            keystore=Path(key["OPENLEDGER_KEYSTORE"]), password_file=Path(key["OPENLEDGER_PASSWORD_FILE"]),
            http_port=self.port,
        )  # fmt: skip

    def _environment(self, who: Person) -> dict[str, str]:
        return {
            "OPENLEDGER_HOME": str(self.home),
            "OPENLEDGER_RPC_URLS": self.node,
            "OPENLEDGER_CHAIN_ID": str(CHAIN),
            "OPENLEDGER_DEPLOYMENTS": str(self.deployments),
            "OPENLEDGER_HTTP_PORT": str(self.port),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            **who.keystore(self.home / "wallets"),
        }

    # The chain

    def ask(self, method: str, *parameters: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        answer = httpx.post(self.node, json=body, timeout=30).json()
        if "error" in answer:
            raise Refused(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def address(self, contract: str) -> Address:
        assert self._book is not None
        return self._book[contract]

    def read(self, contract: str, function: str, *arguments: Any) -> Any:
        w3 = Web3(Web3.HTTPProvider(self.node))
        made = w3.eth.contract(Web3.to_checksum_address(self.address(contract)), abi=self._abi(contract))
        return made.get_function_by_name(function)(*arguments).call()

    def data(self, contract: str, function: str, *arguments: Any) -> str:
        made = Web3().eth.contract(abi=self._abi(contract))
        return str(made.encode_abi(function, args=list(arguments)))

    def send(self, who: Person, contract: str, function: str, *arguments: Any) -> None:
        self.transact(who.secret, self.address(contract), self.data(contract, function, *arguments))

    def pay(self, to: Person, amount: int) -> None:
        """OPEN from whoever holds the supply."""
        self.send(FOUNDATION, "OpenToken", "transfer", to.address, amount)

    def transact(self, secret: bytes, to: str, data: str) -> None:
        """From a wallet, signed here; waits until it is in a block."""
        account = Account.from_key(secret)
        price = int(self.ask("eth_gasPrice"), 16)
        call = {"from": account.address, "to": to, "data": data}
        made = {
            "to": to, "data": data, "value": 0, "chainId": CHAIN, "gasPrice": 2 * price,
            "nonce": int(self.ask("eth_getTransactionCount", account.address, "pending"), 16),
            "gas": int(self.ask("eth_estimateGas", call), 16) * 3 // 2,
        }  # fmt: skip
        self._mined(self.ask("eth_sendRawTransaction", Web3.to_hex(account.sign_transaction(made).raw_transaction)))

    def _mined(self, tx: str) -> None:
        mined = until("a transaction is mined", lambda: self.ask("eth_getTransactionReceipt", tx), 30)
        if int(mined["status"], 16) != 1:
            raise Refused(f"transaction {tx} was reverted")

    def _abi(self, contract: str) -> list[dict[str, Any]]:
        if contract not in self._abis:
            self._abis[contract] = read_abi(self.deployments, contract)
        return self._abis[contract]

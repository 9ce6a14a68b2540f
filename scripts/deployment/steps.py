"""Deploys the launcher and through it every part, each step only if it is still to be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import rlp
from brownie import web3
from eth_utils import keccak, to_canonical_address, to_checksum_address
from hexbytes import HexBytes

from suite import SUITE, Part, addresses_of

from . import onchain
from .arguments import decoded_arguments, named_arguments
from .parameters import LOCAL_CHAINS
from .record import Record


class Stopped(Exception):
    """The deployment cannot go on. The message says why and what to do."""


class Sender:
    """Sends the transactions of the deployer, one after the other."""

    def __init__(self, account: Any, fees: dict[str, Any] | None = None):
        self.account = account
        self.fees = fees or {}

    @property
    def address(self) -> str:
        return str(self.account.address)

    def create(self, container: Any, nonce: int) -> Any:
        return self.account.transfer(data=container.deploy.encode_input(), nonce=nonce, **self.fees)

    def launch(self, launcher: Any, part: Part, init_code: str) -> Any:
        return launcher.launch(part.salt, init_code, {"from": self.account, **self.fees})


def creation_address(sender: str, nonce: int) -> str:
    return str(to_checksum_address(keccak(rlp.encode([to_canonical_address(sender), nonce]))[12:]))


@dataclass
class Deployment:
    """One suite on one chain."""

    compiled: Any
    parameters: dict[str, Any]
    record: Record
    sender: Sender
    launcher_asked: str | None = None
    say: Callable[[str], None] = print
    addresses: dict[str, str] = field(default_factory=dict)

    def run(self, compiler: dict[str, Any]) -> None:
        """Goes from whatever stands to the whole suite. Sends nothing for what stands already."""
        self._prepare(compiler)
        launcher = self._launcher()
        self.addresses = addresses_of(launcher)
        for number, part in enumerate(SUITE, start=2):
            self._part(launcher, part, f"{number}/{len(SUITE) + 1} {part.name}")

    def _prepare(self, compiler: dict[str, Any]) -> None:
        deployer = self.sender.address
        latest = web3.eth.get_transaction_count(deployer)
        if web3.eth.get_transaction_count(deployer, "pending") != latest:
            raise Stopped(f"{deployer} has transactions that wait to be mined. Start again when they are through.")
        started = {
            "chain_id": web3.eth.chain_id,
            "genesis": HexBytes(web3.eth.get_block(0)["hash"]).to_0x_hex(),
            "deployer": deployer,
            "compiler": compiler,
        }
        known = self.record.data
        if not known:
            self.record.start(**started)
        elif known["genesis"] != started["genesis"]:
            if started["chain_id"] not in LOCAL_CHAINS:
                raise Stopped(f"{self.record.path.name} tells of another chain with this id. Move it away.")
            self.say("The local chain is a new one: starting afresh.")
            self.record.start(**started)
        elif known["deployer"] != deployer:
            raise Stopped(
                f"{self.record.path.name} was begun by {known['deployer']}, and only it can go on. Set "
                f"OPENLEDGER_DEPLOYER to its keystore, or move the file away to deploy another suite."
            )

    # The launcher

    def _launcher(self) -> Any:
        known = self.record.launcher
        asked = self.launcher_asked
        if asked and known.get("address") not in (None, asked):
            raise Stopped(
                f"the record names the launcher {known['address']}, but {asked} was asked for. Leave "
                f"OPENLEDGER_LAUNCHER away to go on, or move {self.record.path.name} away to take up the other one."
            )
        address = asked or known.get("address")
        if address and onchain.code_at(address):
            require_launcher(self.compiled, address, self.sender.address)
            self._note_launcher(address, known)
            self.say(f"1/{len(SUITE) + 1} Launcher stands at {address}")
        elif asked:
            raise Stopped(f"there is no contract at {asked}, which OPENLEDGER_LAUNCHER names.")
        elif known.get("block") is not None:
            raise Stopped(f"the launcher {address} is gone. Is this node on the right chain and up to date?")
        else:
            address = self._create_launcher()
        return onchain.contract_at(self.compiled, "Launcher", address)

    def _create_launcher(self) -> str:
        nonce = web3.eth.get_transaction_count(self.sender.address)
        address = creation_address(self.sender.address, nonce)
        # Before it is sent: if this process dies now, the next one knows where to look.
        self.record.set_launcher(
            address=address, nonce=nonce, begun=web3.eth.block_number, block=None, transaction=None
        )
        self.say(f"1/{len(SUITE) + 1} Launcher goes to {address}")
        receipt = self.sender.create(self.compiled.Launcher, nonce)
        self._note_launcher(address, self.record.launcher, receipt.block_number, receipt.txid)
        return address

    def _note_launcher(
        self, address: str, known: dict[str, Any], block: int | None = None, transaction: str | None = None
    ) -> None:
        if known.get("block") is not None:
            return
        nonce = known.get("nonce")
        if block is None:
            block = onchain.first_block_with_code(address, known.get("begun") or 0)
            transaction = onchain.creation_in(block, self.sender.address, nonce)
        self.record.set_launcher(
            address=address, nonce=nonce, begun=known.get("begun"), block=block, transaction=transaction
        )

    # The parts

    def _part(self, launcher: Any, part: Part, title: str) -> None:
        address = self.addresses[part.name]
        init_code = part.init_code(self.compiled, self.parameters, self.addresses)
        container = getattr(self.compiled, part.name)
        what = {
            "address": address,
            "arguments": named_arguments(container, part.arguments(self.parameters, self.addresses)),
            "encoded_arguments": "0x" + init_code.removeprefix("0x")[len(container.bytecode) :],
        }
        if onchain.code_at(address):
            block, transaction = self._require_same(launcher, part, what, init_code)
            self.say(f"{title} stands at {address}")
        else:
            self.record.set_contract(part.name, **what, block=None, transaction=None)
            self.say(f"{title} goes to {address}")
            receipt = self.sender.launch(launcher, part, init_code)
            if not onchain.code_at(address):
                raise Stopped(f"{part.name} does not stand at {address} after {receipt.txid}. Start again to retry.")
            block, transaction = receipt.block_number, receipt.txid
        if self.record.contract(part.name).get("block") is None:
            self.record.set_contract(part.name, **what, block=block, transaction=transaction)

    def _require_same(
        self, launcher: Any, part: Part, what: dict[str, Any], init_code: str
    ) -> tuple[int | None, str | None]:
        """What stands must be what would be deployed now: the code, and the arguments it was made with."""
        container = getattr(self.compiled, part.name)
        if not onchain.matches(onchain.code_at(what["address"]), onchain.template_of(container)):
            raise Stopped(
                f"{part.name} at {what['address']} has other code than this build. Go on with the build that began, or "
                f"move {self.record.path.name} away to deploy a new suite."
            )
        made = onchain.launched(launcher.address, part.salt, self.record.launcher["block"])
        if made is None:
            return None, None
        block, transaction, given = made
        if given is not None and given != bytes(HexBytes(init_code)):
            differing = self._differing(container, given, what["arguments"])
            raise Stopped(
                f"{part.name} at {what['address']} was made with other arguments: {differing}. Put the parameters back "
                f"as they were, or move {self.record.path.name} away to deploy a new suite."
            )
        return block, transaction

    def _differing(self, container: Any, given: bytes, wanted: dict[str, Any]) -> str:
        was = decoded_arguments(container, given[len(container.bytecode) // 2 :])
        changes = [f"{key} is {was[key]}, now {wanted[key]}" for key in wanted if was.get(key) != wanted[key]]
        return "; ".join(changes) or "the creation code differs"


def require_launcher(compiled: Any, address: str, deployer: str) -> None:
    """Whoever else's launcher could put anything at the addresses that the suite trusts."""
    if not onchain.matches(onchain.code_at(address), onchain.template_of(compiled.Launcher)):
        raise Stopped(f"what stands at {address} is not the Launcher of this build.")
    owner = onchain.contract_at(compiled, "Launcher", address).DEPLOYER()
    if owner != deployer:
        raise Stopped(
            f"the launcher {address} belongs to {owner}; {deployer} cannot use it. Deploy with a launcher of its own."
        )

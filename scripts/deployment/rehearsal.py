"""A deployment that sends nothing: where everything would go, what gas it takes and what that costs now.

The node plays each step on a state in which the steps before it are done (state overrides of eth_call).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brownie import web3
from eth_abi import encode
from eth_utils import to_checksum_address
from hexbytes import HexBytes

from suite import SUITE

from . import onchain
from .onchain import LAUNCH_SELECTOR, NodeRefused, ask
from .record import Record
from .steps import creation_address, require_launcher

# solady's CREATE3: the proxy that creates the part, from which its address follows.
PROXY_CODE_HASH = bytes.fromhex("21c35dbe1b344a2488cf3321d6ce542f8e9f305544ff09e4993a62319a497c1f")


@dataclass(frozen=True)
class Step:
    name: str
    address: str
    stands: bool
    gas: int
    refusal: str = ""


def rehearsed(
    compiled: Any, parameters: Mapping[str, Any], record: Record, deployer: str, asked: str | None
) -> list[Step]:
    launcher = asked or record.launcher.get("address")
    if launcher and onchain.code_at(launcher):
        require_launcher(compiled, launcher, deployer)
        steps = [Step("Launcher", launcher, True, 0)]
        overrides: dict[str, Any] = {}
    else:
        launcher = creation_address(deployer, web3.eth.get_transaction_count(deployer))
        code = compiled.Launcher.deploy.encode_input()
        steps = [_step("Launcher", launcher, {"from": deployer, "data": _hex(code)}, {})]
        overrides = {launcher: {"code": _hex(onchain.created_by(deployer, _hex(code)))}}
    addresses = {part.name: part_address(launcher, part.salt) for part in SUITE}
    for part in SUITE:
        address = addresses[part.name]
        if onchain.code_at(address):
            steps.append(Step(part.name, address, True, 0))
            continue
        init_code = _hex(part.init_code(compiled, parameters, addresses))
        data = LAUNCH_SELECTOR + encode(["bytes32", "bytes"], [part.salt, bytes(HexBytes(init_code))])
        call = {"from": deployer, "to": launcher, "data": _hex(data)}
        step = _step(part.name, address, call, overrides)
        steps.append(step)
        if not step.refusal:
            # Without the launcher, which in this play stands where the deployer's next creation would go.
            parts = {place: code for place, code in overrides.items() if place != launcher}
            overrides[address] = {"code": _hex(onchain.created_by(deployer, init_code, parts))}
    return steps


def part_address(launcher: str, salt: bytes) -> str:
    proxy = web3.keccak(b"\xff" + bytes(HexBytes(launcher)) + salt + PROXY_CODE_HASH)[12:]
    return creation_address(to_checksum_address(proxy), 1)


def _step(name: str, address: str, call: dict[str, Any], overrides: dict[str, Any]) -> Step:
    try:
        estimate = ask("eth_estimateGas", [call, "latest", overrides] if overrides else [call, "latest"])
    except NodeRefused as refusal:
        return Step(name, address, False, 0, str(refusal))
    return Step(name, address, False, int(estimate, 16))


def _hex(data: bytes | str) -> str:
    return str(HexBytes(data).to_0x_hex())


def shown(steps: list[Step], gas_price: int, balance: int) -> str:
    lines = []
    for number, step in enumerate(steps, start=1):
        what = "stands already" if step.stands else step.refusal or f"{step.gas:>10,} gas"
        lines.append(f"{number}/{len(steps)} {step.name:<18} {step.address}  {what}")
    gas = sum(step.gas for step in steps)
    cost = gas * gas_price
    lines.append(
        f"{gas:,} gas in all, {_ether(cost)} ETH at {gas_price / 10**9:.3f} gwei; "
        f"the deployer has {_ether(balance)} ETH"
    )
    if cost > balance:
        lines.append(f"Not enough: send {_ether(cost - balance)} ETH or more to the deployer.")
    return "\n".join(lines)


def _ether(wei: int) -> str:
    return f"{wei / 10**18:.6f}"

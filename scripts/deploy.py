"""Deploys the suite.

    brownie run scripts/deploy --network ethereum-sepolia             deploys, or goes on where a deployment stopped
    brownie run scripts/deploy dry_run --network ethereum-sepolia     shows what would be done and sends nothing
    brownie run scripts/deploy check --network ethereum-sepolia       compares what stands with the parameters
    brownie run scripts/deploy abis                          writes deployments/abi
    brownie run scripts/deploy verify --network ethereum-sepolia      sends the sources to the explorer
    brownie run scripts/deploy verify write --network ethereum-sepolia    writes them to build/verification instead

Read from the environment: OPENLEDGER_DEPLOYER (name of a Brownie keystore), OPENLEDGER_DEPLOYER_PASSWORD_FILE,
OPENLEDGER_LAUNCHER (goes on with this launcher where there is no record), OPENLEDGER_DRY_RUN=1 (as dry_run),
OPENLEDGER_PARAMETERS, OPENLEDGER_DEPLOYMENTS (other paths), OPENLEDGER_EXPLORER_KEY_FILE, OPENLEDGER_EXPLORER_API.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from brownie import accounts, project, web3
from eth_utils import is_checksum_address

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT / "scripts") not in sys.path:
    sys.path.insert(0, str(ROOT / "scripts"))

from deployment import onchain  # noqa: E402
from deployment import parameters as parameter_file  # noqa: E402
from deployment.checks import Standing, findings, table  # noqa: E402
from deployment.onchain import NodeRefused  # noqa: E402
from deployment.parameters import LOCAL_CHAINS, ParameterFaults  # noqa: E402
from deployment.record import Record, compiler_settings, seals, write_abis  # noqa: E402
from deployment.rehearsal import rehearsed, shown  # noqa: E402
from deployment.steps import Deployment, Sender, Stopped  # noqa: E402
from deployment.verify import Explorer, sources, submit  # noqa: E402
from suite import SUITE  # noqa: E402


class NotAsConfigured(Exception):
    """What stands differs from what was configured."""


def main() -> None:
    if os.environ.get("OPENLEDGER_DRY_RUN") == "1":
        _reporting(_dry_run)
    else:
        _reporting(_deploy)


def dry_run() -> None:
    _reporting(_dry_run)


def check() -> None:
    _reporting(_check)


def abis() -> None:
    """Writes the ABI files alone, after the contracts changed."""
    write_abis(_compiled(), _deployments() / "abi")


def verify(form: str = "") -> None:
    _reporting(_verify, form.lstrip("-") == "write")


def deploy(
    compiled: Any,
    parameters: dict[str, Any],
    sender: Sender,
    deployments: Path,
    launcher: str | None = None,
    say: Any = print,
) -> Record:
    """The whole deployment: steps, final checks, record and ABI files."""
    record = Record(deployments / f"{web3.eth.chain_id}.json")
    settings = compiler_settings(compiled, _remappings())
    deployment = Deployment(compiled, parameters, record, sender, launcher, say)
    deployment.run(settings)
    fresh = not record.complete
    compare(compiled, parameters, record, fresh, say)
    write_abis(compiled, deployments / "abi")
    record.finish(compiler=settings, seals=seals(record, onchain.code_at, deployments / "abi"))
    say(f"Complete. Addresses: {record.path.name}")
    return record


def compare(compiled: Any, parameters: dict[str, Any], record: Record, fresh: bool, say: Any = print) -> None:
    """Prints every check, and raises with those that fail."""
    missing = [part.name for part in SUITE if not record.contract(part.name)]
    if missing or not record.launcher:
        raise Stopped(f"{record.path.name} knows no address of {', '.join(missing) or 'the launcher'}. Deploy first.")
    addresses = {part.name: record.contract(part.name)["address"] for part in SUITE}
    launcher = record.launcher
    standing = Standing(compiled, addresses, launcher["address"], record.data["deployer"], launcher["block"] or 0)
    rows = findings(standing, parameters, fresh)
    say(table(rows))
    wrong = [row for row in rows if not row.holds]
    if wrong:
        raise NotAsConfigured(f"{len(wrong)} of {len(rows)} checks failed:\n{table(wrong)}")
    say(f"All {len(rows)} checks hold.")


# What the commands do


def _deploy() -> None:
    account = _account()
    deploy(_compiled(), _parameters(account.address), Sender(account, _fees()), _deployments(), _launcher())


def _dry_run() -> None:
    deployer = _account(unlock=False)
    parameters = _parameters(deployer)
    steps = rehearsed(_compiled(), parameters, _record(), deployer, _launcher())
    print(shown(steps, web3.eth.gas_price, web3.eth.get_balance(deployer)))
    print("Nothing was sent.")
    if any(step.refusal for step in steps):
        raise Stopped("the node refuses a step, as shown above.")


def _check() -> None:
    record = _record()
    if not record.data:
        raise Stopped(f"there is no {record.path.name}. Deploy first.")
    compare(_compiled(), _parameters(record.data["deployer"]), record, fresh=False)


def _verify(write: bool) -> None:
    prepared = sources(_compiled(), _record(), ROOT, _remappings())
    if write:
        for source in prepared:
            print(source.write(ROOT / "build" / "verification").relative_to(ROOT))
    else:
        submit(prepared, Explorer.from_environment(web3.eth.chain_id))


# What they work with


def _reporting(command: Any, *arguments: Any) -> None:
    """Faults that a person can mend are told in words; a trace of calls would only hide them."""
    try:
        command(*arguments)
    except (ParameterFaults, Stopped, NotAsConfigured, NodeRefused) as fault:
        print(f"\nStopped: {fault}", file=sys.stderr)
        raise SystemExit(1) from None


def _compiled() -> Any:
    return project.get_loaded_projects()[0]


def _remappings() -> list[str]:
    return list(_compiled()._compiler_config["solc"]["remappings"])


def _parameters(deployer: str) -> dict[str, Any]:
    path = Path(os.environ.get("OPENLEDGER_PARAMETERS", ROOT / "scripts" / "parameters.yaml"))
    return parameter_file.read(path, web3.eth.chain_id, deployer, _compiled())


def _deployments() -> Path:
    return Path(os.environ.get("OPENLEDGER_DEPLOYMENTS", ROOT / "deployments"))


def _record() -> Record:
    return Record(_deployments() / f"{web3.eth.chain_id}.json")


def _launcher() -> str | None:
    asked = os.environ.get("OPENLEDGER_LAUNCHER") or None
    if asked and not is_checksum_address(asked):
        raise Stopped(f"OPENLEDGER_LAUNCHER is {asked}, which is no address with its checksum.")
    return asked


def _fees() -> dict[str, Any]:
    """By EIP-1559, but for the test chain that Brownie starts: there gas is free and nothing may be offered."""
    return {"priority_fee": "auto"} if web3.eth.get_block("latest").get("baseFeePerGas") else {}


def _account(unlock: bool = True) -> Any:
    """The deployer: a keystore by name, on a local chain its first account. Never a bare key."""
    name = os.environ.get("OPENLEDGER_DEPLOYER")
    if not name:
        if web3.eth.chain_id not in LOCAL_CHAINS:
            raise Stopped("set OPENLEDGER_DEPLOYER to the name of a keystore (`brownie accounts list`).")
        return accounts[0] if unlock else accounts[0].address
    file = os.environ.get("OPENLEDGER_DEPLOYER_PASSWORD_FILE")
    password = None
    if file:
        if not Path(file).is_file():
            raise Stopped("OPENLEDGER_DEPLOYER_PASSWORD_FILE names no file.")
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    try:
        account = accounts.load(name, password=password)
    except FileNotFoundError:
        raise Stopped(f"there is no keystore {name}. Make one with `brownie accounts generate {name}`.") from None
    except ValueError as fault:
        raise Stopped(f"the keystore {name} cannot be opened: {fault}") from None
    return account if unlock else account.address

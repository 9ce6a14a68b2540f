"""One contribution all the way to a claim, by the contracts alone, on a local chain.

Two contributors put rows into a datanet, one from its own wallet and one by a signature that a relayer pays for. A
builder publishes an adapter, a consumer pays for an answer with a voucher, three attestors sign the batch, everybody
claims. Nothing is simulated but the model: the shares of the one receipt are given here as attribution will give them.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from brownie import accounts, chain, project
from eth_abi import encode
from eth_utils import keccak

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import deploy as deployment_script  # noqa: E402

from deployment import parameters as parameter_file  # noqa: E402
from deployment.steps import Sender  # noqa: E402
from people import Person, people  # noqa: E402
from suite import OPEN, SUITE  # noqa: E402

FEE = 12 * OPEN + 345
# Basis points in the order of the contracts' roles: contributor, builder, upstream, reviewer, attestor, treasury.
SPLIT = (7_000, 2_000, 0, 300, 300, 400)
CONTRIBUTOR, BUILDER, UPSTREAM, REVIEWER, ATTESTOR, TREASURY, COMMONS = range(7)
FOREVER = 2**40 - 1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Share:
    role: int
    person: Person
    amount: int


def everybody() -> SimpleNamespace:
    who = people(
        "guardian steward author relayed_author builder consumer first_attestor second_attestor third_attestor"
    )
    who.attestors = [who.first_attestor, who.second_attestor, who.third_attestor]
    return who


def deployed(who: SimpleNamespace, folder: Path, say: Say) -> SimpleNamespace:
    """The suite, through the same steps and final checks as on any other chain."""
    compiled = project.get_loaded_projects()[0]
    deployer = accounts[0]
    parameters = parameter_file.read(ROOT / "scripts" / "parameters.yaml", chain.id, deployer.address, compiled)
    parameters = {
        **parameters,
        "guardian": who.guardian.address,
        "attestors": [attestor.address for attestor in who.attestors],
    }
    record = deployment_script.deploy(compiled, parameters, Sender(deployer, {}), folder, say=lambda _: None)
    contracts = {part.name: getattr(compiled, part.name).at(record.contract(part.name)["address"]) for part in SUITE}
    say(f"deployed {len(contracts)} contracts, every check of the deployment holds")
    return SimpleNamespace(
        token=contracts["OpenToken"],
        timelock=contracts["OpenTimelock"],
        datanets=contracts["DatanetRegistry"],
        models=contracts["ModelRegistry"],
        escrow=contracts["InferenceEscrow"],
        attestors=contracts["AttestorSet"],
        distributor=contracts["RewardDistributor"],
        parameters=parameters,
    )


def row_leaf(suite: SimpleNamespace, author: Person, row: str) -> bytes:
    return bytes(suite.datanets.rowLeaf(author.address, keccak(text=row)))


def contributed(suite: SimpleNamespace, who: SimpleNamespace, say: Say) -> tuple[int, int]:
    """A datanet with two contributions, their review and a snapshot; returns (datanet, version)."""
    bond = suite.parameters["datanets"]["min_datanet_bond"] * OPEN
    suite.token.transfer(who.steward.address, bond, {"from": accounts[0]})
    suite.token.approve(suite.datanets, bond, {"from": who.steward.account})
    created = suite.datanets.createDatanet(
        keccak(text="policy"), "Harbour law", "CC-BY-4.0", "qa", [who.steward.address], 1, bond,
        {"from": who.steward.account},
    )  # fmt: skip
    datanet = created.return_value
    roots = {
        author.name: row_leaf(suite, author, row)
        for author, row in ((who.author, "Q: who moors first? A: …"), (who.relayed_author, "Q: who pays? A: …"))
    }
    manifest = keccak(text="manifest")
    own = suite.datanets.contribute(datanet, 0, roots["author"], 1, manifest, {"from": who.author.account})

    signed = (who.relayed_author.address, datanet, 0, roots["relayed_author"], 1, manifest)
    name = suite.datanets.nameOf(signed)
    signature = who.relayed_author.sign(suite.datanets.contributionDigest(name, FOREVER))
    suite.datanets.contributeBySig(signed, FOREVER, signature, {"from": accounts[0]})
    say(f"datanet {datanet}: a contribution from a wallet ({own.gas_used:,} gas), one by signature (none of its own)")

    outcomes = [
        (bytes(own.return_value), roots["author"], 1, keccak(text="good")),
        (bytes(name), roots["relayed_author"], 1, keccak(text="good")),
    ]
    digest = suite.datanets.outcomesDigest(datanet, outcomes)
    suite.datanets.recordOutcomes(datanet, outcomes, who.steward.sign(digest), {"from": accounts[0]})
    snapshot_root = keccak(b"".join(sorted(roots.values())))
    published = suite.datanets.publishSnapshot(
        datanet, snapshot_root, 2, manifest, suite.datanets.accumulatorOf(datanet), {"from": who.steward.account}
    )
    say(f"both accepted by the reviewer; snapshot {datanet}@{published.return_value} published")
    return datanet, published.return_value


def published_model(suite: SimpleNamespace, who: SimpleNamespace, snapshot: tuple[int, int], say: Say) -> int:
    sender = {"from": who.builder.account}
    artifacts = tuple(keccak(text=part) for part in ("weights", "manifest", "evaluation", "accuracy"))
    base = suite.models.register("tiny-base", True, 0, 0, sender).return_value
    suite.models.publish(base, artifacts, SPLIT, [], [], sender)
    adapter = suite.models.register("harbour-law", False, OPEN, 2 * OPEN, sender).return_value
    suite.models.publish(adapter, artifacts, SPLIT, [(base, 1, 0)], [snapshot], sender)
    say(f"adapter {adapter}@1 published on base {base}@1, split {SPLIT} basis points")
    return adapter


def paid(suite: SimpleNamespace, who: SimpleNamespace, batch: bytes, say: Say) -> None:
    consumer = who.consumer
    suite.token.transfer(consumer.address, 100 * OPEN, {"from": accounts[0]})
    suite.token.approve(suite.escrow, 100 * OPEN, {"from": consumer.account})
    suite.escrow.deposit(100 * OPEN, {"from": consumer.account})
    digest = suite.escrow.voucherDigest(consumer.address, consumer.address, FEE, FOREVER)
    voucher = (consumer.address, consumer.address, FEE, FOREVER, consumer.sign(digest))
    suite.escrow.settle(batch, [voucher], {"from": accounts[0]})
    say(f"the consumer's voucher over {FEE / OPEN:.4f} OPEN is settled into the reward reserve")


def shares_of_the_receipt(suite: SimpleNamespace, who: SimpleNamespace) -> list[Share]:
    """The fee by the model's split; the contributors' part 5 : 3, and 2 parts that nobody can be named for."""
    parts = [FEE * bps // 10_000 for bps in SPLIT]
    parts[CONTRIBUTOR] += FEE - sum(parts)
    author, relayed = parts[CONTRIBUTOR] * 5 // 10, parts[CONTRIBUTOR] * 3 // 10
    treasury = Person("treasury", SimpleNamespace(address=suite.timelock.address))
    each = parts[ATTESTOR] // 3
    return [
        Share(CONTRIBUTOR, who.author, author),
        Share(CONTRIBUTOR, who.relayed_author, relayed),
        Share(COMMONS, who.steward, parts[CONTRIBUTOR] - author - relayed),
        Share(BUILDER, who.builder, parts[BUILDER]),
        Share(REVIEWER, who.steward, parts[REVIEWER]),
        Share(ATTESTOR, who.first_attestor, parts[ATTESTOR] - 2 * each),
        Share(ATTESTOR, who.second_attestor, each),
        Share(ATTESTOR, who.third_attestor, each),
        Share(TREASURY, treasury, parts[TREASURY]),
    ]


def double_hash(types: list[str], values: list[Any]) -> bytes:
    return keccak(keccak(encode(types, values)))


def header_hash(shares: list[Share], who: SimpleNamespace, adapter: int) -> bytes:
    """The hash that attestors sign: one receipt, its shares, and the sums by role (contracts/libraries/Batches.sol)."""
    hashed = keccak(encode(["(uint8,address,uint96)[]"], [[(s.role, s.person.address, s.amount) for s in shares]]))
    receipt = double_hash(
        ["uint256", "bytes32", "address", "uint256", "uint256", "uint96", "uint96", "bytes32"],
        [0, keccak(text="receipt"), who.consumer.address, adapter, 1, FEE, 0, hashed],
    )
    amounts = [sum(share.amount for share in shares if share.role == role) for role in range(7)]
    typehash = keccak(
        text="BatchHeader(uint256 epoch,bytes32 receiptsRoot,uint256 receiptCount,bytes32 vouchersRoot,uint96 fees,"
        "uint96[7] amounts,bytes32 documentHash)"
    )
    return keccak(
        encode(
            ["bytes32", "uint256", "bytes32", "uint256", "bytes32", "uint96", "bytes32", "bytes32"],
            [typehash, 1, receipt, 1, bytes(32), FEE, keccak(encode(["uint96[7]"], [amounts])), keccak(text="bytes")],
        )
    )


def tree(leaves: list[bytes]) -> list[list[bytes]]:
    size = 1 << (len(leaves) - 1).bit_length()
    layers = [leaves + [double_hash(["address", "uint256"], ["0x" + "00" * 20, 0])] * (size - len(leaves))]
    while len(layers[-1]) > 1:
        below = layers[-1]
        layers.append([keccak(b"".join(sorted(below[i : i + 2]))) for i in range(0, len(below), 2)])
    return layers


def claimed(
    suite: SimpleNamespace, who: SimpleNamespace, shares: list[Share], batch: bytes, say: Say
) -> dict[str, int]:
    """The root of all balances: signed, posted, waited out, and claimed for everybody. Returns what each received."""
    bond = suite.parameters["attestor_set"]["min_bond"] * OPEN
    for attestor in who.attestors:
        suite.token.transfer(attestor.address, bond, {"from": accounts[0]})
        suite.token.approve(suite.attestors, bond, {"from": attestor.account})
        suite.attestors.join(attestor.address, bond, {"from": attestor.account})

    owed: dict[str, tuple[str, int]] = {}
    for share in shares:
        address = share.person.address
        owed[address] = (share.person.name, owed.get(address, ("", 0))[1] + share.amount)
    balances = sorted((address, amount) for address, (_, amount) in owed.items())
    layers = tree([double_hash(["address", "uint256"], list(balance)) for balance in balances])
    root = layers[-1][0]

    statement = (bytes(32), root, 1, 0, FEE, batch)
    digest = suite.distributor.rootDigest(statement)
    signers = sorted(who.attestors, key=lambda attestor: int(attestor.address, 16))
    signatures = b"".join(attestor.sign(digest) for attestor in signers)
    posted = suite.distributor.submitRoot(bytes(32), root, 1, FEE, batch, signatures, {"from": accounts[0]})
    say(f"three attestors signed, the root is posted ({posted.gas_used:,} gas) and waits out its window")
    chain.sleep(suite.parameters["distributor"]["delay"])
    suite.distributor.refill(root, {"from": accounts[0]})

    received = {}
    for index, (address, amount) in enumerate(balances):
        proof, at = [], index
        for layer in layers[:-1]:
            proof.append(layer[at ^ 1])
            at >>= 1
        before = suite.token.balanceOf(address)
        suite.distributor.claim(address, amount, proof, {"from": accounts[0]})
        received[owed[address][0]] = suite.token.balanceOf(address) - before
    return received


def play(folder: Path, say: Say) -> dict[str, int]:
    """The whole loop; returns what each person received, in wei of OPEN."""
    who = everybody()
    suite = deployed(who, folder, say)
    snapshot = contributed(suite, who, say)
    adapter = published_model(suite, who, snapshot, say)
    shares = shares_of_the_receipt(suite, who)
    batch = header_hash(shares, who, adapter)
    paid(suite, who, batch, say)
    return claimed(suite, who, shares, batch, say)


def main() -> None:
    print("OpenLedger: one contribution all the way to a claim, on a chain of its own\n")
    screen = sys.stdout
    # Brownie tells three lines a transaction; here a step has one.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        received = play(Path(folder), lambda step: print(f"  · {step}", file=screen, flush=True))
    print("\nreceived by claim")
    for name, amount in sorted(received.items(), key=lambda entry: -entry[1]):
        print(f"  {name:<16} {amount / OPEN:>10.6f} OPEN")
    total = sum(received.values())
    print(f"  {'together':<16} {total / OPEN:>10.6f} OPEN, to the wei what the consumer paid: {total == FEE}")

"""Contributions as a contributor's own software sees them: names, digests and logs, made without the chain."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

from brownie import chain, web3
from eth_abi import encode
from eth_utils import keccak

from merkle import Tree, leaf
from suite import OPEN

TRAINING_ROW, DOCUMENT, CORRECTION, REVIEW, EVALUATION_ITEM = range(5)
_NONE, EXPIRED, BAD_SIGNATURE, EMPTY_ROWS, UNKNOWN_KIND = range(5)
NO_HASH = b"\0" * 32
FAR = 2**40 - 1
POLICY = keccak(text="policy")
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_FIELDS = "(address contributor,uint256 datanet,uint8 kind,bytes32 rowsRoot,uint256 count,bytes32 manifestHash)"
_OUTCOME = "Outcome(bytes32 contribution,bytes32 acceptedRoot,uint256 acceptedCount,bytes32 reasonsHash)"
CONTRIBUTION_TYPE = keccak(text="Contribution" + _FIELDS)
SIGNED_TYPE = keccak(text="SignedContribution(Contribution contribution,uint256 deadline)Contribution" + _FIELDS)
ERASURE_TYPE = keccak(text="Erasure(bytes32 contribution,bytes32 rowsHash,uint256 deadline)")
OUTCOME_TYPE = keccak(text=_OUTCOME)
OUTCOMES_TYPE = keccak(text="Outcomes(uint256 datanet,Outcome[] outcomes)" + _OUTCOME)


def typed_digest(name: str, contract: str, struct_hash: bytes, chain_id: int | None = None) -> bytes:
    """EIP-712 over a struct hash, version 1 of the named domain."""
    domain_type = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [domain_type, keccak(text=name), keccak(text="1"), chain_id or chain.id, str(contract)],
        )
    )
    return keccak(b"\x19\x01" + domain + struct_hash)


@dataclass(frozen=True)
class Contribution:
    contributor: str
    datanet: int
    kind: int = TRAINING_ROW
    rows_root: bytes = keccak(text="rows")
    count: int = 1
    manifest: bytes = keccak(text="manifest")

    @property
    def struct(self) -> tuple:
        return astuple(self)

    @property
    def content(self) -> tuple:
        """What the contributor passes when it sends the contribution itself."""
        return (self.datanet, self.kind, self.rows_root, self.count, self.manifest)

    @property
    def name(self) -> bytes:
        types = ["bytes32", "address", "uint256", "uint8", "bytes32", "uint256", "bytes32"]
        return keccak(encode(types, [CONTRIBUTION_TYPE, *self.struct]))

    def digest(self, contract, deadline: int = FAR, chain_id: int | None = None) -> bytes:
        struct_hash = keccak(encode(["bytes32", "bytes32", "uint256"], [SIGNED_TYPE, self.name, deadline]))
        return typed_digest("OpenLedger DatanetRegistry", str(contract), struct_hash, chain_id)

    def head(self, deadline: int = FAR) -> int:
        return int(self.contributor, 16) << 96 | self.kind << 88 | self.count << 40 | deadline

    def signed_rows(self, signature: bytes, deadline: int = FAR) -> tuple:
        """The packed form of many signatures in one call (ERC-2098)."""
        r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
        vs = (s | (v - 27) << 255).to_bytes(32, "big")
        return (self.head(deadline), self.rows_root, self.manifest, r, vs)

    def but(self, **changes) -> Contribution:
        return replace(self, **changes)


def from_head(datanet: int, relayed) -> Contribution:
    """A contribution read back from the event that relayed it."""
    head, rows_root, manifest = relayed
    author = "0x" + f"{head >> 96:040x}"
    return Contribution(author, datanet, head >> 88 & 0xFF, bytes(rows_root), head >> 40 & (2**48 - 1), bytes(manifest))


def erasure_digest(contract, name: bytes, rows_hash: bytes, deadline: int = FAR) -> bytes:
    types = ["bytes32", "bytes32", "bytes32", "uint256"]
    return typed_digest(
        "OpenLedger DatanetRegistry", str(contract), keccak(encode(types, [ERASURE_TYPE, name, rows_hash, deadline]))
    )


def outcomes_digest(contract, datanet: int, outcomes: list[tuple]) -> bytes:
    types = ["bytes32", "bytes32", "bytes32", "uint256", "bytes32"]
    hashes = b"".join(keccak(encode(types, [OUTCOME_TYPE, *outcome])) for outcome in outcomes)
    struct_hash = keccak(encode(["bytes32", "uint256", "bytes32"], [OUTCOMES_TYPE, datanet, keccak(hashes)]))
    return typed_digest("OpenLedger DatanetRegistry", str(contract), struct_hash)


def extend(accumulator: bytes, name: bytes) -> bytes:
    """208 bits of the hash chain, and in the low 48 how many names are in it."""
    count = (int.from_bytes(accumulator[26:], "big") + 1) % 2**48
    return keccak(accumulator + name)[:26] + count.to_bytes(6, "big")


def fold(accumulator: bytes, names: list[bytes]) -> bytes:
    for name in names:
        accumulator = extend(accumulator, name)
    return accumulator


def outcome_hash(outcome: tuple) -> bytes:
    """What the chain keeps of a recorded outcome."""
    return keccak(encode(["bytes32", "bytes32", "uint256", "bytes32"], list(outcome)))


def row_leaf(contributor: str, row_hash: bytes) -> bytes:
    return leaf(["address", "bytes32"], (contributor, row_hash))


def rows_of(contributor: str, *rows: str) -> Tree:
    return Tree([row_leaf(contributor, keccak(text=row)) for row in rows])


def malleable(signature: bytes) -> bytes:
    """The other signature that the curve allows for the same digest and key."""
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


def signed_by(people, digest: bytes) -> bytes:
    """Signatures in ascending order of the signers."""
    ordered = sorted(people, key=lambda actor: int(actor.address, 16))
    return b"".join(actor.sign(digest) for actor in ordered)


def log_of(contract, datanet: int) -> list[bytes]:
    """The names of all contributions of a datanet, rebuilt from the chain's log alone, in its order."""
    events = web3.eth.contract(address=contract.address, abi=contract.abi).events
    found = []
    for event in (events.Contributed, events.ContributionsRelayed):
        found += event.get_logs(from_block=0, argument_filters={"datanet": datanet})
    names = []
    for entry in sorted(found, key=lambda e: (e["blockNumber"], e["logIndex"])):
        args = entry["args"]
        if entry["event"] == "Contributed":
            content = (args["kind"], bytes(args["rowsRoot"]), args["count"], bytes(args["manifestHash"]))
            names.append(Contribution(args["contributor"], datanet, *content).name)
        else:
            names += [
                from_head(datanet, (item["head"], item["rowsRoot"], item["manifestHash"])).name
                for item in args["contributions"]
            ]
    return names


def open_datanet(suite, actors, reviewers, quorum: int, bond: int = 1_000 * OPEN) -> int:
    """The steward posts its bond and opens a datanet."""
    suite.token.transfer(actors.steward.address, bond, {"from": actors.holder.account})
    suite.token.approve(suite.datanets, bond, {"from": actors.steward.account})
    arguments = (POLICY, "name", "CC-BY-4.0", "text", [r.address for r in reviewers], quorum, bond)
    return suite.datanets.createDatanet(*arguments, {"from": actors.steward.account}).return_value


def fund(suite, actors, actor, amount: int, spender) -> None:
    suite.token.transfer(actor.address, amount, {"from": actors.holder.account})
    suite.token.approve(spender, amount, {"from": actor.account})


def next_block_at(timestamp: int) -> None:
    """The next transaction happens at exactly this second."""
    web3.provider.make_request("evm_setNextBlockTimestamp", [timestamp])


def block_at(timestamp: int) -> None:
    """What is read from here on is read at exactly this second."""
    next_block_at(timestamp)
    chain.mine()

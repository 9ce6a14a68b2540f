"""What settlement asks the contracts, all of it at one block: the newest that the chain cannot take back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from oracle.chain.contracts import AddressBook
from oracle.chain.endpoint import BadAnswer
from oracle.chain.reading import Finality, headers, heads
from oracle.chain.rpc import Rpc
from oracle.chain.transport import NodeError, Request
from oracle.settlement.coverage import LARGEST, LATEST, Funds
from oracle.settlement.hashing import Statement
from oracle.store.receipts import Lane, Voucher
from oracle.types import Address, BlockHash, BlockNumber, Epoch, Hash32, Timestamp, Wei

STOPPED = 2**40 - 1
CONDEMNED = 2**40 - 2
_AT_ONCE = 500


@dataclass(frozen=True)
class Record:
    """A root as the distributor knows it; all zero for one that it does not."""

    activates_at: Timestamp
    epoch: Epoch
    total: Wei

    def is_active(self, now: Timestamp) -> bool:
        return 0 < self.activates_at <= now

    @property
    def is_stopped(self) -> bool:
        return self.activates_at in (0, STOPPED)


@dataclass(frozen=True)
class Facts:
    """The distributor at one block."""

    block: BlockNumber
    block_hash: BlockHash
    now: Timestamp
    head_epoch: Epoch
    round: int
    collected: Wei
    funded: Wei
    pool: Wei
    epoch_cap: Wei
    epoch_length: int
    refilled_at: Timestamp


@dataclass(frozen=True)
class Quorum:
    """The attestors at one block."""

    weights: Mapping[Address, int]
    all: int
    least: int

    def reached(self, signers: Iterable[Address]) -> bool:
        counted = [self.weights.get(signer, 0) for signer in set(signers)]
        return sum(counted) * 2 > self.all and sum(1 for weight in counted if weight) >= self.least


class Onchain:
    def __init__(self, rpc: Rpc, book: AddressBook, finality: Finality) -> None:
        self._rpc, self.book, self._finality = rpc, book, finality
        self._block: BlockNumber | None = None

    @property
    def escrow(self) -> Address:
        return self.book["InferenceEscrow"]

    @property
    def distributor(self) -> Address:
        return self.book["RewardDistributor"]

    @property
    def models(self) -> Address:
        return self.book["ModelRegistry"]

    def facts(self) -> Facts:
        """Also moves the block at which everything else is asked."""
        chain = heads(self._rpc, self._finality)
        final = chain.final_header or headers(self._rpc, [chain.final])[0]
        self._block = chain.final
        name = "RewardDistributor"
        (state, ledger, limit, pool) = self._all(
            [
                (name, "state()", [], ["address", "uint32", "uint32", "uint32"]),
                (name, "ledger()", [], ["uint96", "uint96"]),
                (name, "poolLimit()", [], ["uint96", "uint40", "uint40"]),
                ("OpenToken", "rewardPool()", [], ["uint256"]),
            ]
        )
        return Facts(
            block=chain.final,
            block_hash=final.hash,
            now=final.timestamp,
            head_epoch=Epoch(state[2]),
            round=state[3],
            collected=Wei(ledger[0]),
            funded=Wei(ledger[1]),
            pool=Wei(pool[0]),
            epoch_cap=Wei(limit[0]),
            epoch_length=limit[1],
            refilled_at=Timestamp(limit[2]),
        )

    def newest(self) -> BlockNumber:
        """The head, final or not."""
        return heads(self._rpc, self._finality).head.number

    def hash_of(self, block: BlockNumber) -> BlockHash:
        return headers(self._rpc, [block])[0].hash

    def record(self, root: Hash32, latest: bool = False) -> Record:
        asked = ("RewardDistributor", "recordOf(bytes32)", [root], ["(uint40,uint32,uint96)"])
        return Record(*self._all([asked], "latest" if latest else None)[0][0])

    def funds(self, lanes: Collection[Lane]) -> tuple[dict[Lane, Funds], dict[Address, Wei]]:
        """What each lane has spent and may spend, and what each consumer can still be asked for."""
        ordered = sorted(lanes)
        consumers = sorted({lane.consumer for lane in ordered})
        accounts = dict(
            zip(
                consumers,
                self._all(("InferenceEscrow", "accountOf(address)", [one], ["(uint96,uint96)"]) for one in consumers),
            )
        )
        sessions = [lane for lane in ordered if lane.key != lane.consumer]
        kind = ["(uint96,uint96,uint40)"]
        found = dict(
            zip(
                sessions,
                self._all(("InferenceEscrow", "sessionOf(address,address)", list(lane), kind) for lane in sessions),
            )
        )
        funds: dict[Lane, Funds] = {}
        for lane in ordered:
            if lane.key == lane.consumer:
                funds[lane] = Funds(Wei(accounts[lane.consumer][0][1]), LARGEST, LATEST)
            else:
                cap, spent, closes_at = found[lane][0]
                funds[lane] = Funds(Wei(spent), Wei(cap), Timestamp(closes_at))
        return funds, {consumer: Wei(account[0][0]) for consumer, account in accounts.items()}

    def quorum(self, signers: Collection[Address]) -> Quorum:
        ordered = sorted(signers)
        (totals,), *seats = self._all(
            [
                ("AttestorSet", "totals()", [], ["(uint96,uint32,uint32)"]),
                *(("AttestorSet", "seatOf(address)", [one], ["(address,uint96)"]) for one in ordered),
            ]
        )
        return Quorum({signer: seat[0][1] for signer, seat in zip(ordered, seats)}, totals[0], totals[2])

    def splits(self, versions: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
        """In the order of Role, without Commons; all zero for an unknown version."""
        asked = self._all(("ModelRegistry", "splitOf(uint256,uint256)", list(one), ["uint16[6]"]) for one in versions)
        return [tuple(split) for (split,) in asked]

    def found_good(self, digests: Sequence[bytes]) -> list[bool]:
        return [
            bool(one)
            for (one,) in self._all(("InferenceEscrow", "foundGood(bytes32)", [name], ["bool"]) for name in digests)
        ]

    def credited(self, accounts: Sequence[Address]) -> list[Wei]:
        asked = self._all(("OpenToken", "credited(address)", [one], ["uint256"]) for one in accounts)
        return [Wei(amount) for (amount,) in asked]

    def _all(self, questions: Iterable[tuple[str, str, list[Any], list[str]]], at: str | None = None) -> list[Any]:
        asked = list(questions)
        if self._block is None:
            self.facts()
        assert self._block is not None
        found: list[Any] = []
        for start in range(0, len(asked), _AT_ONCE):
            part = asked[start : start + _AT_ONCE]
            requests: list[Request] = [
                (
                    "eth_call",
                    [{"to": self.book[name], "data": "0x" + call_data(call, values).hex()}, at or hex(self._block)],
                )
                for name, call, values, _ in part
            ]
            answers = self._rpc.read(requests, _answered)
            found += [decode(kind, bytes.fromhex(answer[2:])) for (_, _, _, kind), answer in zip(part, answers)]
        return found


def call_data(signature: str, values: Sequence[Any]) -> bytes:
    """A call of `name(type,type)`."""
    inner = signature[signature.index("(") + 1 : -1]
    return keccak(text=signature)[:4] + encode(_types(inner), list(values))


def settle_data(batch: Hash32, vouchers: Sequence[Voucher]) -> bytes:
    listed = [tuple(vars(voucher).values()) for voucher in vouchers]
    return call_data("settle(bytes32,(address,address,uint256,uint256,bytes)[])", [batch, listed])


def submit_data(said: Statement, signatures: bytes) -> bytes:
    return call_data(
        "submitRoot(bytes32,bytes32,uint256,uint256,bytes32,bytes)",
        [said.previous_root, said.root, said.epoch, said.total, said.content_hash, signatures],
    )


def _types(inner: str) -> list[str]:
    """Splits at the commas that stand in no bracket."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(inner):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(inner[start:place])
            start = place + 1
    return [*found, inner[start:]] if inner else []


def _answered(answers: list[Any]) -> list[str]:
    for answer in answers:
        if isinstance(answer, NodeError):
            raise BadAnswer(str(answer))
        if not isinstance(answer, str) or len(answer) < 66:
            raise BadAnswer(f"eth_call answers {answer!r}: does the contract stand there at that block?")
    return answers

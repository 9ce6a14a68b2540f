"""A small world of one operator, consumers with keys, and contributors, for tests, benchmarks and the campaign.

Everything follows from a seed. What each consumer signed and what each account must have in the end is counted on the
side, receipt by receipt, and not by the code that closes, posts and verifies.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import sha3  # type: ignore[import-untyped]
from coincurve import PrivateKey
from eth_keys.datatypes import PrivateKey as EthKey
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from sqlalchemy import Connection

from oracle.settlement.receipts import receipt_hash, receipt_preimage, terms_hash, voucher_preimage
from oracle.settlement.shares import shares_of
from oracle.store import receipts
from oracle.store.receipts import Attribution, Credit, Lane, Receipt, Terms, Voucher
from oracle.types import Address, BasisPoints, ChainId, Hash32, Timestamp, Wei

FOREVER = Timestamp(2**40 - 1)
SPLIT = tuple(BasisPoints(part) for part in (7_000, 2_000, 0, 300, 300, 400))


@dataclass(frozen=True)
class Person:
    name: str

    @cached_property
    def secret(self) -> bytes:
        return keccak(text=f"openledger settlement {self.name}")

    @cached_property
    def key(self) -> PrivateKey:
        return PrivateKey(self.secret)

    @cached_property
    def eth(self) -> EthKey:
        return EthKey(self.secret)

    @cached_property
    def address(self) -> Address:
        return Address(to_checksum_address(keccak(self.key.public_key.format(compressed=False)[1:])[-20:]))

    def sign(self, preimage: bytes) -> bytes:
        made = self.key.sign_recoverable(keccak(preimage), hasher=None)
        return made[:64] + bytes([27 + made[64]])


@lru_cache(maxsize=1 << 12)
def text(value: str) -> Hash32:
    """Seven of them in each receipt, of which a benchmark makes a million: the C call, and what is the same once."""
    return Hash32(sha3.keccak_256(value.encode()).digest())


def account(number: int) -> Address:
    return Address(to_checksum_address(keccak(text=f"account {number}")[-20:]))


@dataclass
class World:
    chain: ChainId
    escrow: Address
    seed: int = 1
    accounts: int = 12
    consumers: int = 3
    credits_each: int = 3
    model: int = 1
    version: int = 1
    split: tuple[BasisPoints, ...] = SPLIT
    fees: tuple[int, int] = (1, 10**17)
    served_from: int = 1_800_000_000
    totals: dict[Lane, int] = field(default_factory=dict)
    owed: Counter[str] = field(default_factory=Counter)
    made: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.operator = Person("operator")
        self.builder, self.treasury, self.commons = Person("builder").address, account(902), account(903)
        self.reviewers = ((account(904), 2), (account(905), 1))
        self.people = [Person(f"consumer {number}") for number in range(self.consumers)]
        parties = {"reviewers": self.reviewers, "attestors": ((account(906), 1),)}
        self.terms = Terms(self.split, self.builder, self.treasury, self.commons, **parties)
        self.terms_name = terms_hash(self.terms)

    def serve_under(self, terms: Terms, since: int) -> None:
        """From now on."""
        self.terms, self.terms_name, self.served_from = terms, terms_hash(terms), since

    def lane(self, person: Person) -> Lane:
        return Lane(person.address, person.address)

    def attribution(self) -> Attribution:
        chance = self.chance
        credited = tuple(
            Credit(text(f"contribution {owner}"), account(owner), chance.randrange(1, 1_000))
            for owner in chance.sample(range(self.accounts), min(self.credits_each, self.accounts))
        )
        return Attribution(credited, chance.randrange(300))

    def receipt(self, person: Person, fee: int | None = None) -> Receipt:
        lane = self.lane(person)
        fee = self.chance.randrange(*self.fees) if fee is None else fee
        self.totals[lane] = self.totals.get(lane, 0) + fee
        self.made += 1
        return Receipt(
            id=text(f"receipt {self.seed} {self.made}"),
            consumer=lane.consumer,
            key=lane.key,
            model=self.model,
            version=self.version,
            weights=text("weights"),
            prompt=text(f"prompt {self.made}"),
            output=text(f"output {self.made}"),
            prompt_tokens=self.chance.randrange(1, 4_000),
            output_tokens=self.chance.randrange(1, 4_000),
            input_price=Wei(10**12),
            output_price=Wei(3 * 10**12),
            fee=Wei(fee),
            lane_total=Wei(self.totals[lane]),
            terms=self.terms_name,
            conditions=text("conditions"),
            code=text("code"),
            served_at=Timestamp(self.served_from + self.made),
        )

    def signed(self, receipt: Receipt) -> tuple[Hash32, bytes]:
        name = receipt_hash(receipt)
        return name, self.operator.sign(receipt_preimage(name, self.chain, self.escrow))

    def voucher(self, person: Person, cumulative: int | None = None) -> Voucher:
        lane = self.lane(person)
        unsigned = Voucher(*lane, Wei(self.totals[lane] if cumulative is None else cumulative), FOREVER, b"")
        signature = person.sign(voucher_preimage(unsigned, self.chain, self.escrow))
        return Voucher(*lane, unsigned.cumulative, FOREVER, signature)

    def serve(self, connection: Connection, count: int, voucher: bool = True, final: bool = True) -> None:
        """Answers for everybody in turn, paid for by vouchers at the end."""
        receipts.put_terms(connection, self.terms_name, self.terms)
        served = set()
        for number in range(count):
            person = self.people[number % len(self.people)]
            served.add(person)
            receipt, attribution = self.receipt(person), self.attribution()
            name, signature = self.signed(receipt)
            receipts.put_receipt(connection, self.chain, name, receipt, signature)
            if final:
                receipts.fix_attribution(connection, self.chain, name, attribution)
            for _, earner, amount in shares_of(receipt.fee, self.terms, attribution):
                self.owed[earner] += amount
        if voucher:
            for person in sorted(served, key=lambda one: one.name):
                receipts.keep_voucher(connection, self.chain, self.voucher(person))

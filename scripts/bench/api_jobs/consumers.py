"""Consumers that pay by vouchers, each in a lane of its own, over connections that stay open. As light as can be."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass, field

from unit.settlement.world import Person

from oracle.settlement.hashing import keccak
from oracle.settlement.receipts import voucher_preimage
from oracle.store.receipts import Voucher
from oracle.types import Address, ChainId, Timestamp, Wei

_FOREVER = Timestamp(2**40 - 1)
BODY = json.dumps(
    {"model": "law", "messages": [{"role": "user", "content": "Who wrote this?"}], "max_tokens": 8, "seed": 1}
).encode()


@dataclass
class Consumer:
    """Signs for exactly what was delivered, and for what the next call may need."""

    person: Person
    chain: ChainId
    escrow: Address
    ahead: int
    total: int = 0

    def header(self) -> bytes:
        signed = [self._signed(amount) for amount in (self.total, self.total + self.ahead)]
        return base64.b64encode(json.dumps(signed).encode())

    def _signed(self, amount: int) -> dict[str, str]:
        who = self.person.address
        voucher = Voucher(who, who, Wei(amount), _FOREVER, b"")
        made = self.person.key.sign_recoverable(keccak(voucher_preimage(voucher, self.chain, self.escrow)), hasher=None)
        signature = (made[:64] + bytes([27 + made[64]])).hex()
        return {
            "consumer": who, "key": who, "cumulative": str(amount), "deadline": str(_FOREVER), "signature": signature,
        }  # fmt: skip


@dataclass
class Seen:
    """How many answers of each status, and how long each took."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, took: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.seconds.setdefault(status, []).append(took)

    def quantile(self, status: int, part: float) -> float:
        ordered = sorted(self.seconds.get(status, []))
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


async def drive(port: int, consumers: list[Consumer], requests: int, pay: bool = True) -> Seen:
    """`requests` calls in all, one at a time for each consumer."""
    seen, left = Seen(), iter(range(requests))

    async def one(consumer: Consumer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            voucher = b"OpenLedger-Voucher: " + consumer.header() + b"\r\n" if pay else b""
            begun = time.perf_counter()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
                + voucher
                + b"Content-Length: %d\r\n\r\n" % len(BODY)
                + BODY
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            status = int(head[9:12])
            seen.add(status, time.perf_counter() - begun)
            if status == 200 and pay:
                consumer.total = int(json.loads(body)["receipt"]["lane_total"])
        writer.close()

    await asyncio.gather(*(one(consumer) for consumer in consumers))
    return seen

"""From a request to a running call: what is asked, whether its conditions hold, who pays, and the reservation."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from oracle.api import payers
from oracle.api.asking import Asked
from oracle.api.calling import Running
from oracle.api.catalogue import Offer
from oracle.api.conditions import held
from oracle.api.ledger import NOBODY, Payer, Reserved
from oracle.api.limits import Limits
from oracle.api.looking_up import Prompt, prompt_of
from oracle.api.pricing import fee
from oracle.api.receipting import Extra, Remember, SignsVouchers
from oracle.api.refusals import Refusal, bad
from oracle.api.shop import Shop
from oracle.daemon.rendering import BadTemplate, NotRendered
from oracle.daemon.texts import Words
from oracle.settlement.hashing import keccak
from oracle.store.receipts import Lane
from oracle.types import Hash32, Timestamp, Wei

DEFAULT_TOKENS = 256
_LONGEST_KEY = 255


@dataclass(frozen=True)
class Prepared:
    """What a call would be, before anybody pays."""

    asked: Asked
    offer: Offer
    words: Words
    prompt: tuple[int, ...]
    limit: int
    most: Wei
    seen: Prompt


@dataclass(frozen=True)
class Paying:
    """Who pays, and which call it is: the same key or payment is the same call."""

    payer: Payer
    identity: Hash32
    session: SignsVouchers | None = None
    payment: dict[str, str] | None = None
    extra: Extra | None = None
    keyed: bool = False

    @property
    def fresh(self) -> bool:
        """Neither a key nor a payment names it: nobody can have asked for it before."""
        return not self.keyed and self.payment is None


class Once(Protocol):
    """Payments for a single call."""

    async def paying(self, request: Request, ready: Prepared) -> Paying | None: ...

    def demand(self, ready: Prepared, refusal: Refusal) -> Refusal: ...


@dataclass
class Door:
    """`once` is asked where neither key nor voucher came."""

    shop: Shop
    wallets: Limits
    once: Once | None = None

    async def prepare(self, asked: Asked) -> Prepared:
        offer = await self.shop.offer(asked.model)
        words = await self.shop.words(offer)
        if asked.tokens is not None:
            seen = Prompt(asked.tokens)
        else:
            try:
                seen = await prompt_of(self.shop, asked, offer, words)
            except BadTemplate as error:
                raise bad("invalid_value", str(error), "messages") from None
            except NotRendered as error:
                raise Refusal(503, "busy", str(error), retry_after=10) from None
        prompt = seen.tokens
        room = words.context - len(prompt)
        if room < 1 or (asked.max_tokens or 0) > room or not prompt:
            raise bad(
                "context_length_exceeded",
                f"{len(prompt)} tokens of prompt and {asked.max_tokens or 1} of answer do not fit into {words.context}",
                "messages" if asked.messages else "prompt",
            )
        limit = asked.max_tokens or min(DEFAULT_TOKENS, room)
        most = Wei(0) if offer.free else fee(offer.model, len(prompt), limit * asked.n)
        return Prepared(asked, offer, words, prompt, limit, most, seen)

    async def reserve(
        self, request: Request, ready: Prepared, remember: Callable[[Running], Remember]
    ) -> tuple[Running | None, bytes | None]:
        """The call, or what the same call was answered before. Raises Refusal where it is not run."""
        shop, now = self.shop, Timestamp(int(time.time()))
        paying = await self._paying(request, ready, now)
        looked = ready.seen.retrieval
        conditions = held(
            ready.asked.conditions, ready.offer, ready.most, paying.payment, None if looked is None else looked.document
        )
        consumer = paying.payer.lane.consumer if paying.payment is None else paying.payment["payer"]
        self.wallets.count(consumer if consumer != NOBODY else f"address {_address(request)}")
        await self._wait_for(paying.identity)
        if len(shop.running) >= shop.settings.calls_at_once:
            raise Refusal(429, "too_many_calls", f"{len(shop.running)} calls are running", retry_after=1)
        over = shop.running[paying.identity] = asyncio.Event()
        try:
            reserved = await self._reserve(paying, ready, now)
        except BaseException:
            self._over(paying.identity, over)
            raise
        if reserved.again is not None:
            self._over(paying.identity, over)
            if not reserved.again:
                raise Refusal(409, "already_answered", "this call was answered and charged before; nothing runs twice")
            return None, shop.operator.keyring.unseal(paying.identity, reserved.again)
        running = Running(
            ready.asked, ready.offer, ready.words, ready.prompt, ready.limit, reserved.call, paying.payer,
            paying.session, conditions, shop.operator, shop.ledger, shop.writer, shop.engine,
            float(shop.settings.call_seconds), extra=paying.extra, passages=ready.seen.passages,
            retrieval=None if looked is None else looked.told,
        )  # fmt: skip
        running.done = lambda: self._over(paying.identity, over)
        if paying.keyed:
            made = remember(running)
            running.remember = lambda signed: _sealed(shop, paying.identity, made(signed))
        return running, None

    async def _reserve(self, paying: Paying, ready: Prepared, now: Timestamp) -> Reserved:
        shop = self.shop
        return await shop.writer.do(
            lambda connection: shop.ledger.reserve(
                connection, paying.identity, ready.asked.digest, paying.payer, ready.most, now, paying.fresh
            )
        )

    async def _paying(self, request: Request, ready: Prepared, now: Timestamp) -> Paying:
        shop, key = self.shop, _idempotency(request)
        if (header := request.headers.get(payers.VOUCHER_HEADER)) is not None:
            payer = payers.by_vouchers(header, shop.chain, shop.escrow_address, shop.ledger.margin, now)
            return Paying(payer, _identity(payer.lane, key), keyed=key is not None)
        if (shown := payers.bearer(request.headers)) is not None:
            opened = await shop.opened(shown)
            lane = payers.lane_of(opened)
            return Paying(
                Payer(lane, by_session=True), _identity(lane, key), opened.session, keyed=key is not None
            )  # fmt: skip
        if ready.offer.free:
            nobody = Lane(NOBODY, NOBODY)
            named = None if key is None else f"{_address(request)} {key}"
            return Paying(Payer(nobody), _identity(nobody, named), keyed=key is not None)
        if self.once is not None and (paying := await self.once.paying(request, ready)) is not None:
            return paying
        refusal = Refusal(
            402, "payment_required",
            f"this call may cost {ready.most} wei of OPEN: send an API key, a voucher or an x402 payment",
            details={"most": str(ready.most), "model": ready.offer.model.id},
        )  # fmt: skip
        raise self.once.demand(ready, refusal) if self.once is not None else refusal

    async def _wait_for(self, identity: Hash32) -> None:
        """The same call that came a moment before is waited for: then its answer is there."""
        while (over := self.shop.running.get(identity)) is not None:
            await over.wait()

    def _over(self, identity: Hash32, over: asyncio.Event) -> None:
        if self.shop.running.get(identity) is over:
            del self.shop.running[identity]
        over.set()


def _sealed(shop: Shop, identity: Hash32, content: bytes | None) -> bytes | None:
    return None if content is None else shop.operator.keyring.seal(identity, content)


def _identity(lane: Lane, key: str | None) -> Hash32:
    if key is None:
        return Hash32(secrets.token_bytes(32))
    said = f"openledger call {lane.consumer} {lane.key} {key}"
    return keccak(said.encode("utf-8", "surrogatepass"))


def _idempotency(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= _LONGEST_KEY:
        raise bad("invalid_value", f"an idempotency key has between 1 and {_LONGEST_KEY} characters", "Idempotency-Key")
    return key


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


DoorOf = Callable[[], Awaitable[Door]]

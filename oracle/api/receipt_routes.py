"""Receipts, the texts behind them for their consumer alone, and whose rows shaped an answer."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, StringConstraints
from sqlalchemy import Connection

from oracle.api import attributing
from oracle.api.account_routes import Wallet, caller
from oracle.api.door import DoorOf
from oracle.api.refusals import Refusal
from oracle.api.shapes import receipt_json
from oracle.api.shop import Shop
from oracle.datanets import publishing
from oracle.datanets.kinds import Kind
from oracle.errors import NeedsPerson
from oracle.store import answers, calls, contributions, datanets, models, payments, receipts
from oracle.store.contributions import Contribution
from oracle.store.receipts import Found
from oracle.store.sealed import open_exchange
from oracle.types import Address, DatanetId, Hash32

_DAYS_TO_SIGN = 7

Identity = Annotated[str, Path(pattern=r"^0x[0-9a-f]{64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000)]


class Feedback(BaseModel):
    """A better answer, or the word that it was good: a contribution of the wallet that pays by this API key."""

    datanet: int
    rating: Literal["good", "bad"] | None = None
    correction: Text | None = None
    comment: Annotated[str, StringConstraints(max_length=10_000)] = ""
    licence: Annotated[str, StringConstraints(max_length=100)] | None = None


def router(door_of: DoorOf) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["receipts"])

    @routes.get("/receipts/{identity}")
    async def receipt(identity: Identity) -> dict[str, Any]:
        """Hashes, amounts and signatures; no text. What the hashes of conditions and code stand for is beside them."""
        shop = (await door_of()).shop
        return await asyncio.to_thread(_receipt, shop, _hash(identity))

    @routes.get("/receipts/{identity}/attribution")
    async def attribution(identity: Identity, wait: bool = False) -> dict[str, Any]:
        shop = (await door_of()).shop
        name = _hash(identity)
        looked = await asyncio.to_thread(_retrieved, shop, name)
        found = await (
            attributing.inline(shop, name) if wait else asyncio.to_thread(attributing.explanation, shop, name)
        )
        return {
            "receipt": identity,
            "state": "pending" if found is None else "done",
            "attribution": found,
            "retrieval": looked,
        }

    @routes.get("/receipts/{identity}/exchange")
    async def exchange(identity: Identity, request: Request) -> dict[str, Any]:
        """The texts, while they are kept, for the wallet that paid; with the salt that their hashes were made with."""
        shop = (await door_of()).shop
        opened = await caller(shop, request)
        return await asyncio.to_thread(_exchange, shop, _hash(identity), opened.made.consumer)

    @routes.delete("/exchanges")
    async def forget(request: Request) -> dict[str, Any]:
        """Every question and answer of this wallet is forgotten; receipts and attributions stay."""
        shop = (await door_of()).shop
        wallet = (await caller(shop, request)).made.consumer
        count = await shop.writer.do(lambda connection: answers.forget_consumer(connection, shop.chain, wallet))
        await shop.writer.do(lambda connection: calls.forget_answers(connection, shop.chain, wallet))
        return {"wallet": wallet, "forgotten": count}

    @routes.post("/receipts/{identity}/feedback")
    async def feedback(identity: Identity, body: Feedback, request: Request) -> dict[str, Any]:
        """What comes back is for the wallet to sign: with its signature the contribution goes on chain, without gas."""
        shop = (await door_of()).shop
        opened = await caller(shop, request)
        return await asyncio.to_thread(_feedback, shop, _hash(identity), opened.made.consumer, body)

    @routes.get("/payments/{payer}/{nonce}")
    async def payment(payer: Wallet, nonce: Identity) -> dict[str, Any]:
        """What became of an x402 payment."""
        shop = (await door_of()).shop
        return await asyncio.to_thread(_payment, shop, Address(payer), _hash(nonce))

    return routes


def _receipt(shop: Shop, identity: Hash32) -> dict[str, Any]:
    with shop.ground.database.reading() as connection:
        found = _in(connection, shop, identity)
        model = models.by_number(connection, shop.chain, found.receipt.model, found.receipt.version)
        said = {
            **receipt_json(found.receipt),
            "hash": "0x" + found.hash.hex(),
            "signature": "0x" + found.signature.hex(),
            "operator": shop.operator.signer.address,
            "chain": shop.chain,
            "escrow": shop.escrow_address,
            "base": None if model is None else model.made.base,
            "state": found.state,
            "batch": found.batch,
            "documents": {
                "conditions": _document(connection, found.receipt.conditions),
                "code": _document(connection, found.receipt.code),
                "terms": _terms(connection, found.receipt.terms),
            },
        }
        fixed = found.attribution
        said["attribution"] = None if fixed is None else orjson.loads(fixed.as_json())
        return said


def _document(connection: Connection, name: Hash32) -> Any:
    content = calls.document(connection, name)
    return None if content is None else orjson.loads(content)


def _terms(connection: Connection, name: Hash32) -> Any:
    content = receipts.find_terms(connection, name)
    return None if content is None else orjson.loads(content)


def _exchange(shop: Shop, identity: Hash32, consumer: Address) -> dict[str, Any]:
    with shop.ground.database.reading() as connection:
        found = _in(connection, shop, identity)
        kept = answers.find(connection, shop.chain, identity)
    if found.receipt.consumer != consumer:
        raise Refusal(403, "not_yours", "only the wallet that paid reads the texts")
    if kept is None or kept.sealed is None or kept.keep_until <= time.time():
        raise Refusal(410, "forgotten", "the texts are not kept any more")
    try:
        exchange = open_exchange(shop.operator.vault, consumer, kept.sealed)
    except NeedsPerson:
        raise Refusal(410, "forgotten", "the texts are not kept any more") from None
    salt = shop.operator.keyring.salt(identity)
    return {"prompt": exchange.prompt, "output": exchange.output, "salt": "0x" + salt.hex()}


def _feedback(shop: Shop, identity: Hash32, wallet: Address, body: Feedback) -> dict[str, Any]:
    if body.correction is None and body.rating != "good":
        raise Refusal(400, "invalid_value", "say what the answer should have been", param="correction")
    texts = _exchange(shop, identity, wallet)
    ground, number = shop.ground, DatanetId(body.datanet)
    try:
        with ground.database.reading() as connection:
            datanet = datanets.get_datanet(connection, number)
    except datanets.UnknownDatanet:
        raise Refusal(404, "no_such_datanet", f"there is no datanet {number}", param="datanet") from None
    kind, row = Kind.CORRECTION, _row(identity, body, texts)
    policy = ground.pipeline.policy(number)
    key = publishing.receive(
        ground.database, ground.stores, iter([orjson.dumps(row) + b"\n"]), contributor=wallet, datanet=number,
        kind=kind, private=policy.private, file=f"feedback-{identity.hex()[:16]}.jsonl",
        licence=body.licence or datanet.licence,
    )  # fmt: skip
    given = _get(ground, key)
    if given.state == "received":
        publishing.parse(ground.database, ground.stores, given, policy)
    ground.pipeline.intake(key)
    given = _get(ground, key)
    if given.state == "refused":
        raise Refusal(422, "contribution_refused", given.reason or "the datanet's rules refuse it")
    said: dict[str, Any] = {"contribution": "0x" + key.hex(), "kind": kind.word, "state": given.state}
    if given.state == "published" and given.signature is None:
        deadline = int(time.time()) + _DAYS_TO_SIGN * 24 * 3600
        said["deadline"] = deadline
        said["to_sign"] = _readable(publishing.terms_of(given).to_sign(deadline, shop.chain, ground.pipeline.registry))
    return said


def _row(identity: Hash32, body: Feedback, texts: dict[str, Any]) -> dict[str, Any]:
    """A good answer is its own correction: as it should have been."""
    reason = body.comment or ("a good answer" if body.correction is None else "")
    return {
        "receipt": "0x" + identity.hex(), "prompt": texts["prompt"], "given": texts["output"],
        "correction": body.correction or texts["output"], **({"reason": reason} if reason else {}),
    }  # fmt: skip


def _payment(shop: Shop, payer: Address, nonce: Hash32) -> dict[str, Any]:
    from oracle.store.intents import outcome

    with shop.ground.database.reading() as connection:
        found = payments.find_payment(connection, shop.chain, payer, nonce)
        if found is None:
            raise Refusal(404, "not_found", "nothing was charged by this payment")
        taken = outcome(connection, f"x402 take {payer} {nonce.hex()}")
    return {
        "payer": payer, "value": str(found.value), "fee": str(found.fee), "rest": str(found.rest),
        "receipt": "0x" + found.call.hex(), "state": taken.state, "reason": taken.reason,
        "transaction": None if taken.tx is None else "0x" + taken.tx.hex(),
    }  # fmt: skip


def _retrieved(shop: Shop, identity: Hash32) -> dict[str, Any] | None:
    """Passages that stood in the prompt, and those that were looked at and left out, as the receipt stands for them."""
    with shop.ground.database.reading() as connection:
        said = _document(connection, _in(connection, shop, identity).receipt.conditions) or {}
    retrieved: dict[str, Any] | None = said.get("retrieved")
    if retrieved is not None:
        attributing.with_texts(shop, [*retrieved["used"], *retrieved["considered"]])
    return retrieved


def _in(connection: Connection, shop: Shop, identity: Hash32) -> Found:
    found = receipts.find(connection, shop.chain, identity)
    if found is None:
        raise Refusal(404, "no_such_receipt", "there is no such receipt here")
    return found


def _get(ground: Any, key: Hash32) -> Contribution:
    with ground.database.reading() as connection:
        return contributions.get(connection, key)


def _readable(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {name: _readable(each) for name, each in value.items()}
    return [_readable(each) for each in value] if isinstance(value, list | tuple) else value


def _hash(text: str) -> Hash32:
    return Hash32(bytes.fromhex(text[2:]))

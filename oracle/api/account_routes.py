"""A wallet signs in and signs a spending cap; from then on stock clients pay by an API key. And vouchers."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Annotated, Any

from eth_abi.abi import decode
from eth_utils.address import is_checksum_address
from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from oracle.api import payers, signing_in
from oracle.api.door import DoorOf
from oracle.api.keys import SessionKey
from oracle.api.refusals import Refusal, bad, unpaid
from oracle.api.shop import Shop
from oracle.chain.typed_data import typed_data
from oracle.settlement.hashing import keccak
from oracle.settlement.onchain import call_data
from oracle.settlement.receipts import recovered
from oracle.store import api_keys, calls, intents
from oracle.store.api_keys import ApiKey, UnknownKey
from oracle.store.intents import Intent
from oracle.store.receipts import Lane, keep_voucher
from oracle.types import Address, Hash32, Timestamp, Wei

_NONCE_SECONDS = 600
_CAP_SECONDS = 3600
_CONTRACT = "OpenLedger InferenceEscrow"
_OPEN_BY_SIG = "openSessionBySig(address,address,uint256,uint256,uint256,bytes)"


def _wallet(value: str) -> str:
    if not is_checksum_address(value):
        raise ValueError("not an account with the capitals of its checksum")
    return value


Wallet = Annotated[str, AfterValidator(_wallet)]
Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,28}$")]
Signature = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{130}$")]
Time = Annotated[int, Field(ge=0, lt=2**40)]


class SignIn(BaseModel):
    message: Annotated[str, StringConstraints(max_length=4096)]
    signature: Signature


class KeyWanted(SignIn):
    cap: Amount
    expires_at: Time
    label: Annotated[str, StringConstraints(max_length=100)] = ""


class CapSigned(BaseModel):
    signature: Signature
    nonce: Annotated[int, Field(ge=0, lt=2**63)]
    deadline: Time


class Vouchers(BaseModel):
    vouchers: Annotated[str, StringConstraints(max_length=16_384)]


def router(door_of: DoorOf) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["accounts"])

    @routes.post("/nonces")
    async def nonce() -> dict[str, Any]:
        """To sign in with: good once, for ten minutes."""
        shop, now = (await door_of()).shop, int(time.time())
        made = secrets.token_hex(16)
        await shop.writer.do(
            lambda connection: api_keys.allow_sign_in(connection, made, Timestamp(now + _NONCE_SECONDS), Timestamp(now))
        )
        return {"nonce": made, "expires_at": now + _NONCE_SECONDS, "chain": shop.chain, "domain": _domain(shop)}

    @routes.post("/keys")
    async def ask_key(body: KeyWanted) -> dict[str, Any]:
        """Makes a session's key; what comes back is for the wallet to sign: how much that key may spend, until when."""
        shop = (await door_of()).shop
        wallet = await _signed_in(shop, body)
        made = await _new_key(shop, wallet, body)
        nonce, chain_time = await asyncio.to_thread(_at_the_escrow, shop, wallet)
        deadline = chain_time + _CAP_SECONDS
        return {**_shown(made), "to_sign": _to_sign(shop, made, nonce, deadline), "nonce": nonce, "deadline": deadline}

    @routes.post("/keys/{key}/cap")
    async def sign_cap(key: Wallet, body: CapSigned) -> dict[str, Any]:
        """The wallet's signature opens the session on chain (we pay the gas) and gives out the API key, this once."""
        shop = (await door_of()).shop
        return await shop.writer.do(lambda connection: _open(shop, connection, Address(key), body))

    @routes.post("/keys/list")
    async def list_keys(body: SignIn) -> dict[str, Any]:
        shop = (await door_of()).shop
        wallet = await _signed_in(shop, body)
        found = await shop.writer.do(lambda connection: api_keys.keys_of(connection, shop.chain, wallet))
        return {"data": [_shown(one) for one in found]}

    @routes.post("/keys/{key}/revoke")
    async def revoke(key: Wallet, body: SignIn) -> dict[str, Any]:
        """The API key is good for nothing from now on. `revokeSession` on chain ends the session itself."""
        shop = (await door_of()).shop
        wallet = await _signed_in(shop, body)
        try:
            await shop.writer.do(lambda connection: api_keys.revoke(connection, wallet, Address(key)))
        except UnknownKey:
            raise Refusal(404, "not_found", "no such key of this wallet") from None
        shop.api_keys.forget()
        return {"key": key, "state": "revoked"}

    @routes.get("/account")
    async def account(request: Request) -> dict[str, Any]:
        """What the API key's wallet has left, as the chain and this oracle know it."""
        shop = (await door_of()).shop
        opened = await caller(shop, request)
        return await shop.writer.do(lambda connection: _account(shop, connection, payers.lane_of(opened)))

    @routes.get("/lanes/{consumer}/{key}")
    async def lane(consumer: Wallet, key: Wallet) -> dict[str, Any]:
        """Where a lane stands: whoever signs its vouchers goes on from `total`."""
        shop = (await door_of()).shop
        at = Lane(Address(consumer), Address(key))
        return await shop.writer.do(lambda connection: _lane(shop, connection, at))

    @routes.post("/vouchers")
    async def vouchers(body: Vouchers) -> dict[str, Any]:
        """Keeps vouchers that no call came with: for the last answer, say."""
        shop = (await door_of()).shop
        now = Timestamp(int(time.time()))
        payer = payers.by_vouchers(body.vouchers, shop.chain, shop.escrow_address, shop.ledger.margin, now)

        def keep(connection: Any) -> dict[str, Any]:
            state = shop.ledger.lane(connection, payer.lane)
            if not state.total:
                raise Refusal(404, "no_such_lane", "nothing was delivered in this lane; there is nothing to pay")
            changed = shop.ledger.shown(state, payer.vouchers)
            calls.set_lane(connection, shop.chain, changed)
            for voucher in payer.vouchers:
                keep_voucher(connection, shop.chain, voucher)
            return {"total": str(changed.total), "signed": str(changed.signed), "unsigned": changed.unsigned}

        return await shop.writer.do(keep)

    return routes


async def caller(shop: Shop, request: Request) -> payers.Opened:
    """Whoever shows an API key."""
    shown = payers.bearer(request.headers)
    if shown is None:
        raise Refusal(401, "api_key_missing", "send the API key: Authorization: Bearer ol_…")
    known = shop.api_keys.known(shown)
    if known is None:
        known = await shop.writer.do(lambda connection: shop.api_keys.find(connection, shown))
    return known


async def _signed_in(shop: Shop, body: SignIn) -> Address:
    now = Timestamp(int(time.time()))
    signature = bytes.fromhex(body.signature[2:])
    signed = signing_in.read(body.message, signature, frozenset({_domain(shop)}), shop.chain, now)
    if not await shop.writer.do(lambda connection: api_keys.spend_sign_in(connection, signed.nonce, now)):
        raise Refusal(401, "sign_in_replayed", "sign-in: its nonce was used, is too old, or is not ours")
    return signed.wallet


async def _new_key(shop: Shop, wallet: Address, body: KeyWanted) -> ApiKey:
    now = int(time.time())
    if body.expires_at < now + shop.ledger.margin:
        raise bad("invalid_value", f"a session has to last {shop.ledger.margin} s at least", "expires_at")
    secret = secrets.token_bytes(32)
    session = SessionKey(secret)
    sealed = shop.operator.keyring.seal(bytes.fromhex(session.address[2:]), secret)
    made = ApiKey(
        shop.chain, wallet, session.address, None, sealed, body.label, Wei(int(body.cap)), Timestamp(body.expires_at),
        "asked", Timestamp(now),
    )  # fmt: skip
    await shop.writer.do(lambda connection: api_keys.put_key(connection, made))
    return made


def _open(shop: Shop, connection: Any, key: Address, body: CapSigned) -> dict[str, Any]:
    made = api_keys.by_session(connection, key)
    if made is None or made.state != "asked":
        raise Refusal(404, "not_found", "no such key waits for its cap; ask for one with POST /v1/keys")
    message = _message(made, body.nonce, body.deadline)
    signature = bytes.fromhex(body.signature[2:])
    data = typed_data(_CONTRACT, "OpenSession", message, shop.chain, shop.escrow_address)
    if recovered(typed_digest(data), signature) != made.consumer:
        raise Refusal(401, "cap_wrong_signer", f"the cap is not signed by {made.consumer}, for this chain and escrow")
    found = shop.escrow.account(connection, made.consumer)
    if found.free <= found.withdrawing:  # we pay the gas: not for whoever makes up wallets
        raise unpaid(
            "insufficient_funds", "the escrow holds nothing of this wallet; deposit first, and wait until it is final"
        )
    shown = shop.operator.keyring.new_api_key()
    if not api_keys.give_out(connection, key, shop.operator.keyring.hash(shown)):
        raise Refusal(404, "not_found", "this key was given out a moment ago; ask for another one with POST /v1/keys")
    arguments = [made.consumer, made.key, made.cap, made.expires_at, body.deadline, signature]
    intents.plan(
        connection,
        Intent(
            f"api session {made.key}", shop.chain, shop.escrow_address, call_data(_OPEN_BY_SIG, arguments), Wei(0),
            "opens a session",
        ),
    )  # fmt: skip
    return {**_shown(replace(made, state="open")), "api_key": shown, "usable": "when the session's block is final"}


def _domain(shop: Shop) -> str:
    """As configured, never as a request says: else any page could have its visitors sign for us."""
    settings = shop.settings
    return (settings.domain or f"{settings.http_host}:{settings.http_port}").lower()


def typed_digest(data: dict[str, Any]) -> Hash32:
    from eth_account.messages import encode_typed_data

    signable = encode_typed_data(full_message=data)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def _at_the_escrow(shop: Shop, wallet: Address) -> tuple[int, int]:
    """The wallet's nonce there, and the chain's clock, which decides when a signature is too old."""
    asked = {"to": shop.escrow_address, "data": "0x" + call_data("nonces(address)", [wallet]).hex()}
    answer = shop.ask_chain("eth_call", asked, "latest")
    head = shop.ask_chain("eth_getBlockByNumber", "latest", False)
    return int(decode(["uint256"], bytes.fromhex(answer[2:]))[0]), int(head["timestamp"], 16)


def _message(made: ApiKey, nonce: int, deadline: int) -> dict[str, Any]:
    return {
        "consumer": made.consumer, "key": made.key, "cap": made.cap, "expiresAt": made.expires_at, "nonce": nonce,
        "deadline": deadline,
    }  # fmt: skip


def _to_sign(shop: Shop, made: ApiKey, nonce: int, deadline: int) -> dict[str, Any]:
    data = typed_data(_CONTRACT, "OpenSession", _message(made, nonce, deadline), shop.chain, shop.escrow_address)
    # Browsers read large numbers wrongly.
    data["message"] = {name: str(value) if name == "cap" else value for name, value in data["message"].items()}
    return data


def _shown(made: ApiKey) -> dict[str, Any]:
    return {
        "key": made.key, "wallet": made.consumer, "label": made.label, "cap": str(made.cap),
        "expires_at": made.expires_at, "state": made.state,
    }  # fmt: skip


def _account(shop: Shop, connection: Any, lane: Lane) -> dict[str, Any]:
    now = Timestamp(int(time.time()))
    found = shop.escrow.account(connection, lane.consumer)
    states = calls.lanes_of(connection, shop.chain, lane.consumer)
    running = sum(calls.reserved(connection, shop.chain, lane.consumer, now).values())
    session = found.session(lane)
    totals = {key: state.total for key, state in states.items()}
    return {
        "wallet": lane.consumer,
        "available": str(found.left(totals, running)),
        "reserved": str(running),
        "withdrawing": str(found.withdrawing),
        "lane": _lane(shop, connection, lane),
        "session": None if session is None else {"cap": str(session.cap), "expires_at": session.expires_at},
    }


def _lane(shop: Shop, connection: Any, lane: Lane) -> dict[str, Any]:
    state = shop.ledger.lane(connection, lane)
    return {
        "consumer": lane.consumer, "key": lane.key, "total": str(state.total), "signed": str(state.signed),
        "unsigned": state.unsigned, "chain": shop.chain, "escrow": shop.escrow_address,
    }  # fmt: skip

"""x402: a call paid by one authorisation of the token (EIP-3009, `exact`), without an account.

verify → reserve (payer, nonce) → stream → settle. The middleware of the x402 package holds the whole answer back until
it has settled; so this is a dependency of our own on its resource server.

The payer's signature moves OPEN to the operator's account, the hub. The hub deposits the fee of what was delivered into
its own account of the escrow, and what is left into the payer's, who can spend or withdraw it. The receipt is the
hub's, in its own lane, with its own voucher: settlement treats it as any other. Until the transfer is final the risk is
the operator's.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from eth_utils.address import is_address, to_checksum_address
from sqlalchemy import Connection
from starlette.requests import Request
from x402 import x402ResourceServer
from x402.http.utils import decode_payment_signature_header, encode_payment_required_header
from x402.mechanisms.evm.exact.server import ExactEvmScheme
from x402.schemas import (
    AssetAmount,
    PaymentPayload,
    PaymentRequirements,
    ResourceConfig,
    ResourceInfo,
    SettleResponse,
    SupportedKind,
    SupportedResponse,
    VerifyResponse,
)

from oracle.api.door import Paying, Prepared
from oracle.api.ledger import Payer
from oracle.api.refusals import Refusal
from oracle.api.shop import Shop
from oracle.chain.signer import Signer
from oracle.chain.transport import NodeError
from oracle.chain.typed_data import preimage
from oracle.settlement.hashing import keccak
from oracle.settlement.onchain import call_data
from oracle.settlement.receipts import recovered
from oracle.store import intents, payments
from oracle.store.intents import Intent
from oracle.store.payments import Payment
from oracle.store.receipts import Lane, Receipt
from oracle.types import Address, Hash32, Wei

HEADERS = ("payment-signature", "x-payment")
SECONDS = 3600  # that an authorisation has to be good for, at most
_TRANSFER = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"
_EVERYTHING = 2**256 - 1


@dataclass(frozen=True)
class HubKey:
    """The operator's own key signs the vouchers of the hub's lane."""

    signer: Signer

    def sign(self, preimage: bytes) -> bytes:
        return self.signer.sign(preimage).as_bytes()


@dataclass(frozen=True)
class Authorisation:
    payer: Address
    to: Address
    value: Wei
    valid_after: int
    valid_before: int
    nonce: Hash32
    signature: bytes

    @classmethod
    def of(cls, payload: dict[str, Any]) -> Authorisation:
        """Raises KeyError, ValueError or TypeError where it is none."""
        said = payload["authorization"]
        if not is_address(said["from"]) or not is_address(said["to"]):
            raise ValueError("account")
        nonce = bytes.fromhex(said["nonce"].removeprefix("0x"))
        numbers = [int(said[name]) for name in ("value", "validAfter", "validBefore")]
        if len(nonce) != 32 or min(numbers) < 0 or max(numbers) >= 2**256:
            raise ValueError("number")
        return cls(
            Address(to_checksum_address(said["from"])), Address(to_checksum_address(said["to"])), Wei(numbers[0]),
            numbers[1], numbers[2], Hash32(nonce), bytes.fromhex(payload["signature"].removeprefix("0x")),
        )  # fmt: skip

    @property
    def message(self) -> dict[str, Any]:
        return {
            "from": self.payer, "to": self.to, "value": self.value, "validAfter": self.valid_after,
            "validBefore": self.valid_before, "nonce": self.nonce,
        }  # fmt: skip

    @property
    def call(self) -> bytes:
        return call_data(_TRANSFER, [*self.message.values(), self.signature])


class Facilitator:
    """The part that x402 usually asks a third party for: here the operator verifies by its own node."""

    def __init__(self, shop: Shop, network: str) -> None:
        self._shop, self._network = shop, network
        self._token = shop.ground.book["OpenToken"]

    async def verify(self, payload: PaymentPayload, requirements: PaymentRequirements) -> VerifyResponse:
        try:
            given = Authorisation.of(payload.payload)
        except (KeyError, TypeError, ValueError, AttributeError):
            return _invalid("invalid_payload", "not an authorisation of EIP-3009")
        now, shop = int(time.time()), self._shop
        if given.to != requirements.pay_to:
            return _invalid("invalid_exact_evm_payload_recipient_mismatch", f"it pays {given.to}")
        if str(given.value) != requirements.amount:
            return _invalid("invalid_exact_evm_payload_authorization_value", f"it is for {given.value} wei")
        if given.valid_before < now + shop.settings.call_seconds or given.valid_after > now:
            return _invalid("invalid_exact_evm_payload_authorization_valid_before", "it does not outlast the call")
        signed = preimage("OpenLedger", "TransferWithAuthorization", given.message, shop.chain, self._token)
        if recovered(keccak(signed), given.signature) != given.payer:
            return _invalid(
                "invalid_exact_evm_payload_signature", f"it is not signed by {given.payer} for chain {shop.chain}"
            )
        refused = await asyncio.to_thread(self._tried, given)
        return _invalid("insufficient_funds", refused) if refused else VerifyResponse(is_valid=True, payer=given.payer)

    async def settle(self, payload: PaymentPayload, requirements: PaymentRequirements) -> SettleResponse:
        raise NotImplementedError("settled with the receipt, by intents of the sender")

    def get_supported(self) -> SupportedResponse:
        return SupportedResponse(kinds=[SupportedKind(x402_version=2, scheme="exact", network=self._network)])

    def _tried(self, given: Authorisation) -> str | None:
        """Whether the token would move it now; why not."""
        hub = self._shop.operator.signer.address
        try:
            self._shop.ask_chain(
                "eth_call", {"from": hub, "to": self._token, "data": "0x" + given.call.hex()}, "latest"
            )
        except NodeError:
            return "the token refuses the transfer: too little OPEN, or its nonce was used"
        return None


class X402:
    """Knows what to ask for, and whether a header satisfies it."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._network = f"eip155:{shop.chain}"
        self._hub = shop.operator.signer.address
        self._token, self._escrow = shop.ground.book["OpenToken"], shop.escrow_address
        self._server = x402ResourceServer(Facilitator(shop, self._network))
        self._server.register(self._network, ExactEvmScheme())  # type: ignore[no-untyped-call, arg-type]
        self._server.initialize()

    def demand(self, ready: Prepared, refusal: Refusal) -> Refusal:
        """The refusal, with what would pay the call."""
        required = self._server.create_payment_required_response
        needed = self._requirements(ready)
        body = _run(required([needed], ResourceInfo(url="openledger:/v1"), str(refusal)))
        refusal.headers["PAYMENT-REQUIRED"] = encode_payment_required_header(body)
        return refusal

    async def paying(self, request: Request, ready: Prepared) -> Paying | None:
        header = next((value for name in HEADERS if (value := request.headers.get(name))), None)
        if header is None:
            return None
        try:
            payload = decode_payment_signature_header(header)
        except Exception:
            raise self._refused(ready, "not an x402 payment") from None
        if not isinstance(payload, PaymentPayload):
            raise self._refused(ready, "x402 version 2 is taken")
        needed = self._requirements(ready)
        if self._server.find_matching_requirements([needed], payload) is None:
            raise self._refused(ready, "it was made for another price, payee, token or chain")
        try:
            given = Authorisation.of(payload.payload)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._refused(ready, "not an authorisation of EIP-3009") from None
        identity = keccak(f"openledger x402 {self._shop.chain} {given.payer} ".encode() + given.nonce)
        # What was answered before is not verified again: its nonce may be spent by now, by us. A call that came to
        # nothing is: the payer may have spent the money since, or a stranger who knows the nonce may have signed.
        if not await self._shop.is_answered(identity):
            verified = await self._server.verify_payment(payload, needed)
            if not verified.is_valid:
                raise self._refused(ready, verified.invalid_message or verified.invalid_reason or "refused")
        payment = {"nonce": "0x" + given.nonce.hex(), "payer": given.payer, "scheme": "x402 exact",
                   "value": str(given.value)}  # fmt: skip

        def extra(connection: Connection, receipt: Receipt) -> None:
            self._settle(connection, given, receipt)

        lane = Lane(self._hub, self._hub)
        return Paying(
            Payer(lane, limited=False, by_session=True), identity, HubKey(self._shop.operator.signer), payment, extra
        )  # fmt: skip

    def _settle(self, connection: Connection, given: Authorisation, receipt: Receipt) -> None:
        """With the receipt: what was signed comes to the hub, the fee and the rest go where they belong."""
        paid = Payment(given.payer, given.nonce, given.value, receipt.fee, receipt.id)
        payments.put_payment(connection, self._shop.chain, paid)
        name = f"{given.payer} {given.nonce.hex()}"
        allowance = f"x402 allowance {self._hub} {self._escrow}"
        self._plan(connection, allowance, self._token, call_data("approve(address,uint256)",
                   [self._escrow, _EVERYTHING]), "lets the escrow take deposits")  # fmt: skip
        self._plan(connection, f"x402 take {name}", self._token, given.call, "takes an x402 payment", allowance)
        deposit = "depositFor(address,uint256)"
        after = f"x402 take {name}"
        for what, account, amount in (("fee", self._hub, paid.fee), ("rest", given.payer, paid.rest)):
            if amount:
                data = call_data(deposit, [account, amount])
                key = f"x402 {what} {name}"
                self._plan(connection, key, self._escrow, data, f"deposits the {what} of an x402 payment", after)
                after = key

    def _plan(
        self, connection: Connection, key: str, to: Address, data: bytes, purpose: str, after: str | None = None
    ) -> None:
        intents.plan(connection, Intent(key, self._shop.chain, to, data, Wei(0), purpose, after=after))

    def _requirements(self, ready: Prepared) -> PaymentRequirements:
        price = AssetAmount(
            amount=str(ready.most), asset=self._token,
            extra={"name": "OpenLedger", "version": "1", "assetTransferMethod": "eip3009"},
        )  # fmt: skip
        wanted = ResourceConfig(
            scheme="exact", pay_to=self._hub, price=price, network=self._network, max_timeout_seconds=SECONDS
        )
        return self._server.build_payment_requirements(wanted)[0]

    def _refused(self, ready: Prepared, why: str) -> Refusal:
        return self.demand(ready, Refusal(402, "payment_invalid", f"the x402 payment is refused: {why}"))


def _invalid(reason: str, message: str) -> VerifyResponse:
    return VerifyResponse(is_valid=False, invalid_reason=reason, invalid_message=message)


def _run(made: Any) -> Any:
    """A coroutine that waits for nothing, to its end."""
    try:
        made.send(None)
    except StopIteration as ended:
        return ended.value
    raise RuntimeError("it waits for something")

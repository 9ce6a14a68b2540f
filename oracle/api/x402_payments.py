"""x402: a call paid by one authorisation of the token (EIP-3009, `exact`), without an account.

verify → reserve (payer, nonce) → stream → settle. The middleware of the x402 package holds the whole answer back until
it has settled; so this is a dependency of our own on its resource server.

The payer's signature moves OPEN to the operator's account, the hub. The hub deposits the fee of what was delivered into
its own account of the escrow, and what is left into the payer's, who can spend or withdraw it. The receipt is the
hub's, in its own lane, with its own voucher: settlement treats it as any other. Until the transfer is final the risk is
the operator's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from x402 import x402ResourceServer
from x402.http.utils import decode_payment_signature_header, encode_payment_required_header
from x402.mechanisms.evm.exact.server import ExactEvmScheme
from x402.schemas import AssetAmount, PaymentPayload, PaymentRequirements, ResourceConfig, ResourceInfo

from oracle.api.door import Paying, Prepared
from oracle.api.ledger import Payer
from oracle.api.refusals import Refusal
from oracle.api.shop import Shop
from oracle.api.x402_verifying import Authorisation, Facilitator
from oracle.chain.signer import Signer
from oracle.settlement.hashing import keccak
from oracle.settlement.onchain import call_data
from oracle.store import intents, payments
from oracle.store.intents import Intent
from oracle.store.payments import Payment
from oracle.store.receipts import Lane, Receipt
from oracle.types import Address, Wei

HEADERS = ("payment-signature", "x-payment")
SECONDS = 3600  # that an authorisation has to be good for, at most
_EVERYTHING = 2**256 - 1


@dataclass(frozen=True)
class HubKey:
    """The operator's own key signs the vouchers of the hub's lane."""

    signer: Signer

    def sign(self, preimage: bytes) -> bytes:
        return self.signer.sign(preimage).as_bytes()


class X402:
    """Knows what to ask for, and whether a header satisfies it."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._network = f"eip155:{shop.chain}"
        self._hub = shop.operator.signer.address
        self._token, self._escrow = shop.ground.book["OpenToken"], shop.escrow_address
        self._least = shop.settings.x402_least
        self._server = x402ResourceServer(Facilitator(shop, self._network))
        self._server.register(self._network, ExactEvmScheme())  # type: ignore[no-untyped-call, arg-type]
        self._server.initialize()

    def demand(self, ready: Prepared, refusal: Refusal) -> Refusal:
        """The refusal, with what would pay the call; nothing does of one that costs less than its settlement."""
        if ready.most < self._least:
            return Refusal(
                402, refusal.code, f"{refusal}; x402 pays calls from {self._least} wei on: ask for more tokens",
                details={**refusal.details, "x402_least": str(self._least)},
            )  # fmt: skip
        required = self._server.create_payment_required_response
        needed = self._requirements(ready)
        body = _run(required([needed], ResourceInfo(url="openledger:/v1"), str(refusal)))
        refusal.headers["PAYMENT-REQUIRED"] = encode_payment_required_header(body)
        return refusal

    async def paying(self, request: Request, ready: Prepared) -> Paying | None:
        header = next((value for name in HEADERS if (value := request.headers.get(name))), None)
        if header is None:
            return None
        if ready.most < self._least:
            raise self._refused(ready, f"this call may cost {ready.most} wei alone")
        try:
            payload = decode_payment_signature_header(header)
        except (ValueError, AttributeError, RecursionError):  # what is no base64, no JSON, no object, no payment
            raise self._refused(ready, "not an x402 payment") from None
        if not isinstance(payload, PaymentPayload):
            raise self._refused(ready, "x402 version 2 is taken")
        needed = self._requirements(ready)
        if self._server.find_matching_requirements([needed], payload) is None:
            raise self._refused(ready, "it was made for another price, payee, token or chain")
        given = Authorisation.of(payload.payload)
        if given is None:
            raise self._refused(ready, "not an authorisation of EIP-3009")
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
        intents.plan(connection, Intent(key, self._shop.chain, to, data, Wei(0), purpose, after=after), self._hub)

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


def _run(made: Any) -> Any:
    """A coroutine that waits for nothing, to its end."""
    try:
        made.send(None)
    except StopIteration as ended:
        return ended.value
    raise RuntimeError("it waits for something")

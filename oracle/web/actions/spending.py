"""OPEN into the escrow and out of it: what a consumer's vouchers are paid from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fastapi import APIRouter

from oracle.errors import NeedsPerson
from oracle.settlement.claims import shown
from oracle.settlement.onchain import call_data
from oracle.types import OPEN, Wei
from oracle.web.asked import OWN, Account, Asked, account
from oracle.web.calling import Call, tried
from oracle.web.site import Site


class NotAnAmount(NeedsPerson):
    """What was typed is no amount of OPEN."""


class Deposit(Asked):
    sender: Account
    amount: str  # in OPEN, as it was typed


def router(site: Site) -> APIRouter:
    routes = APIRouter(prefix="/wallet", dependencies=OWN)

    @routes.post("/approve")
    def approve(asked: Deposit) -> dict[str, Any]:
        """What has to come first, unless it is there already; then the call is null."""
        amount, who, escrow = wei(asked.amount), account(asked.sender), site.book["InferenceEscrow"]
        question = {"to": site.book["OpenToken"], "data": _hex("allowance(address,address)", [who, escrow])}
        if int(site.ground.rpc.call("eth_call", question, "latest"), 16) >= amount:
            return {"call": None}
        data = call_data("approve(address,uint256)", [escrow, amount])
        call = Call(site.book["OpenToken"], data, f"let the escrow take {shown(amount)} OPEN")
        return {"call": tried(site, call, who)}

    @routes.post("/deposit")
    def deposit(asked: Deposit) -> dict[str, Any]:
        amount = wei(asked.amount)
        data = call_data("deposit(uint256)", [amount])
        call = Call(site.book["InferenceEscrow"], data, f"deposit {shown(amount)} OPEN for answers")
        return tried(site, call, account(asked.sender))

    return routes


def wei(text: str) -> Wei:
    try:
        amount = Decimal(text.strip().replace(",", ".")) * OPEN
    except ArithmeticError:  # no number, or one beyond all numbers
        raise NotAnAmount(f"{text!r} is no amount. Write it like 12.5.") from None
    if not amount.is_finite() or not 0 < amount < 2**96 or amount != int(amount):
        raise NotAnAmount(f"{text!r} is no amount that can be paid: more than nothing, and at most 18 decimals.")
    return Wei(int(amount))


def _hex(signature: str, values: list[Any]) -> str:
    return "0x" + call_data(signature, values).hex()

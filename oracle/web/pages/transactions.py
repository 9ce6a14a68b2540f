"""What one transaction did to the suite."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from oracle.store import browsing
from oracle.types import Hash32
from oracle.web.site import NotHere, Site


def router(site: Site) -> APIRouter:
    routes = APIRouter()

    @routes.get("/transactions/{name}")
    def one(request: Request, name: str) -> HTMLResponse:
        try:
            tx = Hash32(bytes.fromhex(name.removeprefix("0x")))
        except ValueError:
            tx = Hash32(b"")
        if len(tx) != 32:
            raise NotHere(f"{name}: a transaction's hash has 64 hexadecimal digits.")
        with site.reading() as connection:
            found = browsing.events_of(connection, site.chain, tx)
        if not found:
            raise NotHere(f"Transaction {name}: nothing of it concerns this suite, or it was not read yet.")
        told = [(contract, event, block, _arguments(args)) for contract, event, block, args in found]
        return site.page(request, "transaction.html", tx=tx, told=told, block=found[0][2])

    return routes


def _arguments(args: Any) -> list[tuple[str, str, str]]:
    """(name, value, what it is)."""
    pairs = args.items() if isinstance(args, dict) else enumerate(args)
    return [(str(name), _said(value), _kind(value)) for name, value in pairs]


def _said(value: Any) -> str:
    return ", ".join(_said(each) for each in value) if isinstance(value, list) else str(value)


def _kind(value: Any) -> str:
    if isinstance(value, str) and value.startswith("0x"):
        return {42: "account", 66: "hash"}.get(len(value), "text")
    return "text"

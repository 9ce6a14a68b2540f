"""The chain for wallets, and what became of a transaction: also for a browser whose wallet is away."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from oracle.chain.reverts import is_revert
from oracle.chain.transport import NodeError
from oracle.web.asked import OWN, Hex
from oracle.web.calling import reverts
from oracle.web.sentences import sentence
from oracle.web.site import Site


def router(site: Site) -> APIRouter:
    routes = APIRouter(prefix="/wallet", dependencies=OWN)

    @routes.get("/chain")
    def chain() -> dict[str, Any]:
        """What a wallet has to know that does not know the chain, and the time that both clocks have reached."""
        with site.reading() as connection:
            now = max(int(site.clock()), site.now(connection))
        return {
            "now": now,
            "chainId": hex(site.chain),
            "chainName": site.network,
            "rpcUrls": [site.public_rpc] if site.public_rpc else [],
            "nativeCurrency": {"name": "Ether", "symbol": "ETH", "decimals": 18},
            "distributor": site.book["RewardDistributor"],
            "token": site.book["OpenToken"],
        }

    @routes.get("/transactions/{name}")
    def became(name: Hex) -> dict[str, Any]:
        """state: unknown, pending, succeeded or failed; and where it failed, why."""
        rpc = site.ground.rpc
        tx = "0x" + bytes.fromhex(name.removeprefix("0x")).hex()
        receipt, sent = rpc.batch([("eth_getTransactionReceipt", (tx,)), ("eth_getTransactionByHash", (tx,))])
        if isinstance(receipt, NodeError) or isinstance(sent, NodeError):
            return {"state": "unknown"}
        if receipt is None:
            return {"state": "unknown" if sent is None else "pending", "nonce": sent and int(sent["nonce"], 16)}
        if int(receipt["status"], 16) == 1:
            return {"state": "succeeded", "block": int(receipt["blockNumber"], 16)}
        return {"state": "failed", "block": int(receipt["blockNumber"], 16), "why": _why(site, sent)}

    return routes


def _why(site: Site, sent: Any) -> str:
    """By trying it again on the state before its block, as good as a node can tell afterwards."""
    asked = {"from": sent["from"], "to": sent["to"], "data": sent["input"]}
    for block in (sent["blockNumber"], hex(int(sent["blockNumber"], 16) - 1)):
        try:
            site.ground.rpc.call("eth_call", asked, block)
        except NodeError as error:
            if is_revert(error):
                return sentence(reverts(site).words(error))
    return "It was included and reverted; it may have run out of gas. Nothing has moved but the gas."

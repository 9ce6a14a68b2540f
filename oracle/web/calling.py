"""A call for a wallet, tried out before anybody is asked to sign it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from oracle.chain.reverts import Reverts, is_revert
from oracle.chain.transport import NodeError
from oracle.errors import NeedsPerson
from oracle.types import Address
from oracle.web.sentences import sentence
from oracle.web.site import Site


class WouldFail(NeedsPerson):
    """The contract refuses it as things stand."""


@dataclass(frozen=True)
class Call:
    to: Address
    data: bytes
    says: str  # what it does, for the person who signs

    def as_json(self) -> dict[str, Any]:
        return {"to": self.to, "data": "0x" + self.data.hex(), "value": "0x0", "says": self.says}


def tried(site: Site, call: Call, sender: Address) -> dict[str, Any]:
    """The call, if it would go through now; else WouldFail with why."""
    asked = {"from": sender, "to": call.to, "data": "0x" + call.data.hex()}
    try:
        site.ground.rpc.call("eth_call", asked, "latest")
    except NodeError as error:
        if not is_revert(error):
            raise
        raise WouldFail(sentence(reverts(site).words(error))) from None
    return call.as_json()


def reverts(site: Site) -> Reverts:
    return _reverts(site.ground.settings.deployments)


@lru_cache(maxsize=4)
def _reverts(deployments: Path) -> Reverts:
    return Reverts.of_suite(deployments)

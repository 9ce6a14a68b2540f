"""The registration file of ERC-8004, by which agents find this service and how it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TYPE = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"


@dataclass(frozen=True)
class Registration:
    """This service in an identity registry: eip155:CHAIN:ADDRESS, and its number there."""

    registry: str
    agent: int


@dataclass(frozen=True)
class Card:
    name: str
    description: str
    url: str  # of the API, as others reach it
    operator: str | None
    chain: int | None
    x402: bool
    image: str = ""
    mcp: str = ""
    registrations: tuple[Registration, ...] = ()

    def as_told(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "type": TYPE,
            "name": self.name,
            "description": self.description,
            "services": self._services(),
            "x402Support": self.x402,
            "active": True,
            "registrations": [{"agentId": one.agent, "agentRegistry": one.registry} for one in self.registrations],
            # Staked attestors answer for what it settles; influence is recomputable by anybody.
            "supportedTrust": ["crypto-economic"],
        }
        return told | ({"image": self.image} if self.image else {})

    def _services(self) -> Sequence[dict[str, str]]:
        url = self.url.rstrip("/")
        services = [
            {"name": "web", "endpoint": f"{url}/"},
            {"name": "OpenAI", "endpoint": f"{url}/v1", "version": "v1"},
        ]
        if self.mcp:
            services.append({"name": "MCP", "endpoint": self.mcp, "version": "2025-06-18"})
        if self.operator and self.chain:
            services.append({"name": "agentWallet", "endpoint": f"eip155:{self.chain}:{self.operator}"})
        return services

"""What an agent may spend. An API key carries the cap that its wallet signed, and the API and the chain hold it; a
wallet's own key signs vouchers here, and never one above the cap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from oracle.agents.calling import Api
from oracle.client.paying import OverLimit, sums
from oracle.client.wallet import Wallet
from oracle.errors import NeedsPerson
from oracle.types import Address, ChainId, Wei

OPEN = 10**18


def in_open(wei: str | int) -> str:
    """Exactly, without a float."""
    whole, rest = divmod(int(wei), OPEN)
    return f"{whole}.{rest:018d}".rstrip("0").rstrip(".") if rest else str(whole)


class OverTheCap(OverLimit):
    """The call may cost more than is left."""


class OtherEscrow(NeedsPerson):
    """The API asks for vouchers of another contract than the wallet was told of."""


class Purse(Protocol):
    async def headers(self, most: Wei) -> dict[str, str]:
        """What pays a call that costs at most so much. Raises OverTheCap."""
        ...


@dataclass(frozen=True)
class KeyPurse:
    """An API key, whose wallet has signed how much it may spend."""

    api_key: str

    async def headers(self, most: Wei) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def __repr__(self) -> str:
        return "KeyPurse(…)"


@dataclass(frozen=True)
class VoucherPurse:
    """Signs "up to X of mine, in total". The cap is on that total, so that it holds over restarts and whatever an API
    says: nothing above it is ever signed."""

    wallet: Wallet
    api: Api
    cap: Wei
    chain: ChainId | None = None
    escrow: Address | None = None

    async def headers(self, most: Wei) -> dict[str, str]:
        at = await self.api.get(f"/lanes/{self.wallet.address}/{self.wallet.address}")
        chain, escrow, total = ChainId(int(at["chain"])), Address(at["escrow"]), int(at["total"])
        if (self.chain or chain, self.escrow or escrow) != (chain, escrow):
            raise OtherEscrow(
                f"the API takes vouchers of {escrow} on chain {chain}; this wallet signs for {self.escrow} on chain"
                f" {self.chain} alone"
            )
        try:
            signed = sums(total, total + most, self.cap)
        except OverLimit:
            raise OverTheCap(
                f"the call may cost {in_open(most)} OPEN, and {in_open(total)} of the cap of {in_open(self.cap)} are"
                " spent; ask for fewer tokens, or have the person raise the cap"
            ) from None
        return self.wallet.lane(chain, escrow).header(*signed)


@dataclass(frozen=True)
class NoPurse:
    """For models that cost nothing."""

    async def headers(self, most: Wei) -> dict[str, str]:
        if most:
            raise OverTheCap(
                f"the call may cost {in_open(most)} OPEN, and nothing is there to pay with: start openledger mcp with"
                " --api-key-file or --keystore"
            )
        return {}

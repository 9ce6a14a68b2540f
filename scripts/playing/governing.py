"""Governance, as holders of OPEN do it: a proposal, a vote, the timelock. Nobody acts in its name."""

from __future__ import annotations

import time

from eth_utils.crypto import keccak

from playing.people import ATTESTORS, FOUNDATION, Person
from playing.stage import BOND, Stage
from playing.telling import Teller

# Voting delay, voting period and timelock of the deployment, and some hours for the blocks between them. The chain
# begins so long ago, and the vote brings it to the present.
LONG_AGO = 9 * 86_400
_SAID = "Admit three attestors\n\nWhoever wants to attest needs a vote; each still has to put down its bond."


class Governing:
    def __init__(self, stage: Stage, teller: Teller) -> None:
        self._stage, self._tell = stage, teller

    def seat(self, attestors: tuple[Person, ...] = ATTESTORS) -> None:
        """Voted in, then seated by their own bonds."""
        stage, seats = self._stage, self._stage.address("AttestorSet")
        stage.send(FOUNDATION, "OpenToken", "delegate", FOUNDATION.address)
        self._wait(1)
        calls = [bytes.fromhex(stage.data("AttestorSet", "admit", one.address)[2:]) for one in attestors]
        targets, nothing = [seats] * len(calls), [0] * len(calls)
        stage.send(FOUNDATION, "OpenGovernor", "propose", targets, nothing, calls, _SAID)
        proposed = (targets, nothing, calls, keccak(text=_SAID))
        number = stage.read("OpenGovernor", "hashProposal", *proposed)
        self._wait(stage.read("OpenGovernor", "votingDelay"))
        stage.send(
            FOUNDATION, "OpenGovernor", "castVoteWithReason", number, 1, "They have run such machines for years."
        )
        self._tell.step("governance: a proposal to admit three attestors is made and voted for …")
        self._wait(stage.read("OpenGovernor", "votingPeriod"))
        stage.send(FOUNDATION, "OpenGovernor", "queue", *proposed)
        self._wait(stage.read("OpenTimelock", "getMinDelay"))
        stage.send(FOUNDATION, "OpenGovernor", "execute", *proposed)
        self._stage.to_the_present()
        for one in attestors:
            stage.pay(one, BOND)
            stage.send(one, "OpenToken", "approve", seats, BOND)
            stage.send(one, "AttestorSet", "join", one.address, BOND)
        self._tell.step("… it has waited out its timelock and is executed; each puts down a bond of 100,000 OPEN")

    def _wait(self, seconds: int) -> None:
        """On this chain time flies."""
        self._stage.ask("evm_increaseTime", seconds + 1)
        self._stage.ask("evm_mine")


def began() -> int:
    """When the chain begins, in seconds since 1970."""
    return int(time.time()) - LONG_AGO

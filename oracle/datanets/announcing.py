"""published → announced: the intent to put a contribution on chain is planned in the transaction that says so.

From the contributor's own wallet, where it is the oracle's, or by its signature: then anybody may send it, and many of
them go in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coincurve import PublicKey
from sqlalchemy import Connection

from oracle.datanets import calls
from oracle.datanets.calls import Call
from oracle.datanets.canonical import keccak
from oracle.datanets.publishing import terms_of
from oracle.errors import NeedsPerson
from oracle.store import contributions
from oracle.store.contributions import Contribution
from oracle.types import Address, ChainId, DatanetId, Digest, Hash32

Plan = Callable[[Connection, Call], None]

MOST_RELAYED = 100
_LATEST = 2**40 - 1


class BadSignature(NeedsPerson):
    """It is not the contributor's, or not over this contribution."""


def announce(connection: Connection, given: Contribution, plan: Plan) -> None:
    """From the wallet that sends it."""
    terms = terms_of(given)
    key = f"contribute:{terms.name.hex()}"
    plan(
        connection, Call(key, calls.contribute(terms), f"contribution of {terms.count} rows to datanet {terms.datanet}")
    )
    contributions.move(connection, given.key, "announced", intent=key)


def sign(
    connection: Connection, key: Hash32, deadline: int, signature: bytes, chain: ChainId, registry: Address
) -> None:
    """Takes the contributor's signature in; raises BadSignature unless it is one."""
    given = contributions.get(connection, key)
    if not 0 < deadline <= _LATEST:
        raise BadSignature(f"contribution {key.hex()}: {deadline} is no time until which a signature can hold")
    signer = recover(terms_of(given).digest(deadline, chain, registry), signature)
    if signer != given.contributor:
        raise BadSignature(f"contribution {key.hex()}: signed by {signer}, its contributor is {given.contributor}")
    contributions.note(connection, key, deadline=deadline, signature=signature)


def relay(connection: Connection, datanet: DatanetId, now: int, plan: Plan) -> Sequence[Contribution]:
    """One call for all that are signed and not out of time; says which."""
    ready = [
        given
        for given in contributions.in_state(connection, "published", datanet=datanet)
        if given.signature is not None and given.deadline is not None and given.deadline > now
    ][:MOST_RELAYED]
    if not ready:
        return ready
    items = [(terms_of(given), given.deadline or 0, given.signature or b"") for given in ready]
    data = calls.contribute_many(datanet, items)
    key = f"relay:{keccak(data).hex()}"
    plan(connection, Call(key, data, f"{len(ready)} signed contributions to datanet {datanet}"))
    for given in ready:
        contributions.move(connection, given.key, "announced", intent=key)
    return ready


def returned(connection: Connection, intent: str) -> list[Contribution]:
    """The transaction is final and the log lacks them: their signatures were refused, new ones are needed."""
    back = [each for each in contributions.in_state(connection, "announced") if each.intent == intent]
    for given in back:
        reason = "the registry did not take its signature; was it too old? sign again"
        contributions.move(
            connection, given.key, "published", intent=None, signature=None, deadline=None, reason=reason
        )
    return back


def recover(digest: Digest, signature: bytes) -> Address:
    """Who signed."""
    if len(signature) != 65:
        raise BadSignature(f"a signature has 65 bytes, not {len(signature)}")
    v = signature[64]
    try:
        key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([v - 27 if v >= 27 else v]), digest, hasher=None
        )
    except Exception as error:
        raise BadSignature(f"the signature cannot be read ({error})") from None
    return calls.checksummed(keccak(key.format(compressed=False)[1:])[12:])

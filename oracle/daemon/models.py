"""Models on chain: what is prepared is registered and published in its order, and what the registry says is heard.

A name is registered once; its number comes back in an event. A version is sent when all before it and everything that
it was trained on top of stand on chain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from sqlalchemy import Connection

from oracle.daemon.ground import Ground
from oracle.errors import NeedsPerson
from oracle.store import intents, models, snapshots
from oracle.store.blocks import blocks_from, progress
from oracle.store.events import advance_cursor, events, final_events
from oracle.store.intents import Intent
from oracle.store.models import Model
from oracle.store.snapshots import Use
from oracle.types import Address, ChainId, DatanetId, Hash32, Wei

log = logging.getLogger(__name__)

CONTRACT = "ModelRegistry"
CONSUMER = "models"
EVENTS = ("ModelRegistered", "VersionPublished", "StatusSet", "BuilderChanged")
DEPRECATED, WITHDRAWN = 2, 3
_STATES = {DEPRECATED: "deprecated", WITHDRAWN: "withdrawn"}
_AT_ONCE = 500

_REGISTER = ("string", "bool", "uint96", "uint96")
_PUBLISH = (
    "uint256",
    "(bytes32,bytes32,bytes32,bytes32)",
    "(uint16,uint16,uint16,uint16,uint16,uint16)",
    "(uint256,uint256,uint16)[]",
    "(uint256,uint256)[]",
)
_STATUS = ("uint256", "uint256", "uint8", "bytes32")


# Sending


def advance(ground: Ground) -> int:
    """Plans whatever prepared versions need next; says how many calls."""
    if ground.signer is None:
        return 0
    chain, registry, sender = ground.rpc.chain, ground.book[CONTRACT], ground.signer.address
    planned = 0
    with ground.database.transaction() as connection:
        for model in models.listed(connection, chain, "prepared"):
            if model.builder != sender:
                continue
            call = next_call(connection, model)
            if call is None:
                continue
            key, data, purpose = call
            intents.plan(connection, Intent(key, chain, registry, data, Wei(0), purpose), sender)
            if model.model is not None:
                models.move(connection, model.position, "announced")
            planned += 1
    return planned


def publish_key(model: Model) -> str:
    return f"model:{model.builder}:{model.name}:{model.version}"


def register_key(model: Model) -> str:
    return f"model:{model.builder}:{model.name}"


def set_status(ground: Ground, model: Model, status: int, reason: str) -> None:
    """Plans it; the store follows when the registry has said so."""
    if model.model is None or model.state not in models.SERVED:
        raise NeedsPerson(f"model {model.id}: it is {model.state}, and only what is published can be taken back")
    _require_builder(ground, model)
    hash_ = keccak(text=reason)
    data = _call("setStatus", _STATUS, [model.model, model.version, status, hash_])
    key = f"model-status:{model.model}:{model.version}:{status}"
    _plan(ground, key, data, f"model {model.id}: {_STATES[status]}")


def announce_price(ground: Ground, model: Model, prices: tuple[Wei, Wei]) -> None:
    if model.model is None:
        raise NeedsPerson(f"model {model.id}: is not on chain yet; its first price is the recipe's")
    _require_builder(ground, model)
    data = _call("announcePrice", ("uint256", "uint96", "uint96"), [model.model, *prices])
    _plan(ground, f"model-price:{model.model}:{prices[0]}:{prices[1]}", data, f"model {model.name}: another price")


def status_of(ground: Ground, model: Model) -> list[str]:
    """What became of its transactions, where they did not simply go through."""
    found = []
    with ground.database.reading() as connection:
        for key, what in ((register_key(model), "registering"), (publish_key(model), "publishing")):
            if _is_planned(connection, key):
                ended = intents.outcome(connection, key)
                if ended.state != "final":
                    found.append(f"{what}: {ended.state}" + (f", {ended.reason}" if ended.reason else ""))
    return found


def _require_builder(ground: Ground, model: Model) -> None:
    """The registry takes it from nobody else; what was refused there would be told too late."""
    who = None if ground.signer is None else ground.signer.address
    if who != model.builder:
        key = "no key is configured" if who is None else f"the configured key is {who}'s"
        raise NeedsPerson(f"model {model.id}: {key}, and only its builder {model.builder} may do that")


def _plan(ground: Ground, key: str, data: bytes, purpose: str) -> None:
    with ground.database.transaction() as connection:
        by = None if ground.signer is None else ground.signer.address
        intents.plan(connection, Intent(key, ground.rpc.chain, ground.book[CONTRACT], data, Wei(0), purpose), by)


def next_call(connection: Connection, model: Model) -> tuple[str, bytes, str] | None:
    """What its builder has to send now: key, calldata, what it does. None while it waits for an event."""
    made = model.made
    if model.model is None:
        key = register_key(model)
        if _is_planned(connection, key):
            return None
        data = _call("register", _REGISTER, [model.name, made.is_base, model.input_price, model.output_price])
        return key, data, f"model {model.name}: registered"
    if model.version > 1 and models.find(connection, model.chain, model.name, model.version - 1).state in (
        "prepared",
        "announced",
    ):
        return None
    parents = []
    for parent in made.parents:
        found = models.find(connection, model.chain, parent.name, parent.version)
        if found.model is None or found.state not in models.SERVED:
            return None
        parents.append((found.model, parent.version, parent.share))
    artifacts = (made.weights, made.manifest, made.evaluation, made.accuracy)
    values = [model.model, artifacts, tuple(made.split), parents, list(made.snapshots)]
    data = _call("publish", _PUBLISH, values)
    return publish_key(model), data, f"model {model.id}: published"


def _is_planned(connection: Connection, key: str) -> bool:
    try:
        intents.outcome(connection, key)
    except intents.UnknownIntent:
        return False
    return True


# Hearing


def hear(ground: Ground) -> int:
    """Every final event of the registry that nobody has heard yet; then the prices in force. Says how many events."""
    chain, heard = ground.rpc.chain, 0
    while True:
        with ground.database.transaction() as connection:
            found = final_events(connection, chain, CONSUMER, CONTRACT, EVENTS, _AT_ONCE)
            for event in found:
                _HEARD[event.name](connection, chain, event.args)
            if found:
                advance_cursor(connection, CONSUMER, found[-1])
        heard += len(found)
        if len(found) < _AT_ONCE:
            break
    with ground.database.transaction() as connection:
        _prices(connection, chain)
        _returned(connection, chain)
    return heard


def _registered(connection: Connection, chain: ChainId, args: Mapping[str, Any]) -> None:
    models.set_number(connection, chain, args["name"], Address(args["builder"]), args["model"])


def _published(connection: Connection, chain: ChainId, args: Mapping[str, Any]) -> None:
    found = models.by_number(connection, chain, args["model"], args["version"])
    if found is None:
        return
    manifest = Hash32(_artifacts(args["artifacts"])[1])
    if found.made.manifest != manifest:
        log.error("model %s: the registry has the manifest %s; published from elsewhere?", found.id, manifest.hex())
        return
    if found.state not in ("prepared", "announced"):
        return
    models.move(connection, found.position, "published")
    for datanet, version in found.made.snapshots:
        use = Use(DatanetId(datanet), version, _use_name(found), found.id, True)
        if use not in snapshots.uses_of(connection, use.datanet, [version]):
            snapshots.put_use(connection, use)


def _status(connection: Connection, chain: ChainId, args: Mapping[str, Any]) -> None:
    found = models.by_number(connection, chain, args["model"], args["version"])
    state = _STATES.get(int(args["status"]))
    if found is None or state is None or found.state not in models.SERVED or found.state == state:
        return  # also of a version that somebody else published under a number that is only prepared here
    models.move(connection, found.position, state)
    if state == "withdrawn":
        snapshots.end_use(connection, _use_name(found))


def _builder(connection: Connection, chain: ChainId, args: Mapping[str, Any]) -> None:
    models.set_builder(connection, chain, args["model"], Address(args["to"]))


def _prices(connection: Connection, chain: ChainId) -> None:
    """An announced price holds from its time on: the newest one whose time has come by the chain's own clock."""
    reached = progress(connection, chain)
    announced = events(connection, chain, CONTRACT, "PriceAnnounced")
    if reached is None or not announced:
        return
    now = max(block.timestamp for block in blocks_from(connection, chain, reached.top))
    held: dict[int, tuple[Wei, Wei]] = {}
    for event in announced:
        if event.block <= (reached.final or 0) and event.args["effectiveAt"] <= now:
            held[event.args["model"]] = (Wei(event.args["input"]), Wei(event.args["output"]))
    for model, prices in held.items():
        models.set_price(connection, chain, model, prices)


def _returned(connection: Connection, chain: ChainId) -> None:
    """What the chain did not take is prepared again, and its reason stands with its transaction."""
    for model in models.listed(connection, chain, "announced"):
        ended = intents.outcome(connection, publish_key(model))
        if ended.state in ("failed", "refused"):
            log.error("model %s: the registry refused it: %s", model.id, ended.reason)


def _artifacts(value: Any) -> Sequence[bytes]:
    return list(value.values()) if isinstance(value, Mapping) else list(value)


def _use_name(model: Model) -> Hash32:
    """One for each version: two may have the same weights under two names."""
    return Hash32(keccak(text=f"{model.chain}:{model.builder}:{model.id}"))


def _call(name: str, types: Sequence[str], values: Sequence[Any]) -> bytes:
    return keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, list(values))


_HEARD: Mapping[str, Callable[[Connection, ChainId, Mapping[str, Any]], None]] = {
    "ModelRegistered": _registered,
    "VersionPublished": _published,
    "StatusSet": _status,
    "BuilderChanged": _builder,
}

"""Commands of stewards and reviewers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from sqlalchemy import Connection

from oracle.chain.reading import heads
from oracle.chain.signer import sign_message
from oracle.commands.saying import counted, planned, tell
from oracle.commands.taking import ACCOUNT, HASH
from oracle.config import read_settings
from oracle.daemon.ground import Ground
from oracle.datanets import calls, deciding, erasing, exporting, snapshotting
from oracle.datanets.policy import Policy, read_policy
from oracle.datanets.verdicts import NUMBER, Finding, Verdict
from oracle.errors import NeedsPerson
from oracle.store import contributions, datanets, rows, snapshots
from oracle.store.events import events, topic
from oracle.store.intents import Intent, plan
from oracle.types import OPEN, Address, DatanetId, Hash32, Timestamp, Wei

_SHOWN = 50


@click.group()
def datanet() -> None:
    """Datanets: their rules, what is in them, their snapshots."""


@datanet.command()
@click.option("--name", required=True)
@click.option("--licence", required=True, help="An SPDX identifier, as CC-BY-4.0.")
@click.option("--type", "datatype", default="text", show_default=True, help="What its rows are.")
@click.option("--policy", "file", type=click.Path(path_type=Path, exists=True), help="Rules in JSON; else the usual.")
@click.option(
    "--reviewer",
    "reviewers",
    type=ACCOUNT,
    multiple=True,
    help="An account; may be given again. Else the steward's own.",
)
@click.option("--quorum", default=1, show_default=True, help="How many reviewers have to sign an outcome.")
@click.option("--bond", type=click.IntRange(min=0), help="In whole OPEN; else the least there is.")
def create(
    name: str,
    licence: str,
    datatype: str,
    file: Path | None,
    reviewers: tuple[Address, ...],
    quorum: int,
    bond: int | None,
) -> None:
    """Found a datanet with the configured key as its steward."""
    ground = Ground(read_settings())
    steward = ground.pipeline.sender
    if steward is None:
        raise NeedsPerson("no key is configured: set OPENLEDGER_KEYSTORE; its account becomes the steward")
    policy = read_policy(file.read_bytes()) if file else Policy()
    ground.stores.published.put(policy.as_json())
    registry, chain = ground.pipeline.registry, ground.rpc.chain
    amount = Wei(bond * OPEN) if bond is not None else _least_bond(ground)
    members = list(reviewers) or [steward]
    data = calls.create_datanet(policy.hash, name, licence, datatype, members, quorum, amount)
    key = f"create:{steward}:{keccak(data).hex()}"
    _plan_paid(ground, steward, Intent(key, chain, registry, data, Wei(0), f"datanet {name}"), amount)
    click.echo(f"datanet {name}: a bond of {amount / OPEN:g} OPEN, {planned(steward)}")


@datanet.command()
@click.argument("number", type=int)
@click.argument("amount", type=click.IntRange(min=1))
def bond(number: int, amount: int) -> None:
    """Put whole OPEN up in a datanet: its rules may ask that of contributors and reviewers."""
    ground, which, wei = Ground(read_settings()), DatanetId(number), Wei(amount * OPEN)
    account, registry = _account(ground), ground.pipeline.registry
    with ground.database.reading() as connection:
        before = datanets.bond_of(connection, datanets.get_datanet(connection, which).number, account)
    key, said = f"bond:{number}:{account}:{before}+{wei}", f"bond in datanet {number}"
    call = Intent(key, ground.rpc.chain, registry, calls.post_bond(which, wei), Wei(0), said)
    _plan_paid(ground, account, call, wei)
    click.echo(f"{amount} OPEN more in datanet {number}: {planned(account)}")


@datanet.command()
@click.argument("number", type=int)
@click.option("--withdraw", is_flag=True, help="Take it home, once the delay after the announcement is over.")
def unbond(number: int, withdraw: bool) -> None:
    """Announce that you want your bond back. From then on it counts for nothing."""
    ground, which = Ground(read_settings()), DatanetId(number)
    account, registry = _account(ground), ground.pipeline.registry
    if withdraw:
        _held_no_longer(ground, which, account)
    data = calls.withdraw_bond(which) if withdraw else calls.announce_bond_exit(which)
    key, said = f"unbond:{number}:{account}:{int(time.time())}", f"bond back from datanet {number}"
    with ground.database.transaction() as connection:
        plan(connection, Intent(key, ground.rpc.chain, registry, data, Wei(0), said), account)
    click.echo(f"bond in datanet {number}: {planned(account)}")


def _held_no_longer(ground: Ground, which: DatanetId, account: Address) -> None:
    """By the chain's clock, before a transaction is sent that would fail."""
    data = keccak(text="bondOf(uint256,address)")[:4] + encode(["uint256", "address"], [which, account])
    answer = ground.rpc.call("eth_call", {"to": ground.pipeline.registry, "data": "0x" + data.hex()}, "latest")
    _, ready = decode(["uint96", "uint40"], bytes.fromhex(answer[2:]))
    if not ready:
        raise NeedsPerson(f"{account} announced no bond's way home: `openledger datanet unbond {which}` does")
    now = heads(ground.rpc, ground.settings.finality).head.timestamp
    if now < ready:
        at = datetime.fromtimestamp(ready, UTC)
        raise NeedsPerson(f"the bond in datanet {which} is held until {at:%Y-%m-%d %H:%M} UTC, {ready}: ask again then")


@datanet.command(name="list")
def list_() -> None:
    """All that the registry has."""
    ground = Ground(read_settings())
    with ground.database.reading() as connection:
        tell(_listed(connection), "no datanet yet; `openledger datanet create` founds one")


def _listed(connection: Connection) -> Iterator[str]:
    for each in datanets.all_datanets(connection):
        tally = contributions.tally(connection, each.number)
        told = ", ".join(f"{count} {state}" for state, count in sorted(tally.items())) or "no contribution yet"
        yield f"{each.number:>5}  {each.name} ({each.licence}, steward {each.steward}): {told}"


@datanet.command()
@click.argument("number", type=int)
def show(number: int) -> None:
    """What is in it, what is missing where, and which models hold rows that were erased."""
    ground, which = Ground(read_settings()), DatanetId(number)
    with ground.database.reading() as connection:
        found = datanets.get_datanet(connection, which)
        click.echo(f"{found.name}  licence {found.licence}, steward {found.steward}, policy 0x{found.policy.hex()}")
        reviewers = datanets.reviewers_of(connection, which)
        click.echo(f"  reviewers {', '.join(reviewers)}; {datanets.quorum_of(connection, which)} have to sign")
        for given in contributions.in_state(connection, *contributions.STATES, datanet=which):
            accepted = "" if given.accepted_count is None else f", {given.accepted_count} accepted"
            why = f"  ({given.reason})" if given.reason else ""
            erased = ", erased" if given.erased else ""
            said = f"{given.count or '?'} rows{accepted}{erased}"
            click.echo(f"  {given.key.hex()}  {given.state:<10} {given.contributor}  {said}{why}")
        for made in snapshots.snapshots_of(connection, which):
            version = "not on chain yet" if made.version is None else f"version {made.version}"
            click.echo(f"  snapshot {made.number} {made.name}: {made.count} rows, {made.state}, {version}")
            _stale(connection, made)


@datanet.command()
@click.argument("number", type=int)
def policy(number: int) -> None:
    """Its rules, in JSON."""
    click.echo(Ground(read_settings()).pipeline.policy(DatanetId(number)).as_json().decode())


@datanet.command()
@click.argument("number", type=int)
@click.option("--name", required=True, help="Of this version; the same name is the same snapshot.")
@click.option("--dry-run", is_flag=True, help="Make it and do not put it on chain.")
def snapshot(number: int, name: str, dry_run: bool) -> None:
    """All settled rows as an immutable version, with its root on chain."""
    ground, which = Ground(read_settings()), DatanetId(number)
    made = snapshotting.build(ground.database, ground.stores, which, name, ground.pipeline.policy(which))
    click.echo(f"snapshot {made.number} {made.name}: {made.count} rows, root 0x{made.root.hex()}")
    if not dry_run and made.state == "built":
        with ground.database.transaction() as connection:
            snapshotting.announce(connection, made, ground.pipeline.plan)
        click.echo(planned(ground.pipeline.sender))


@datanet.command()
@click.argument("number", type=int)
@click.option("--snapshot", "which", type=int, help="Its number; else the newest.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--private", is_flag=True, help="Also rows that are private, in clear.")
def export(number: int, which: int | None, out: Path, private: bool) -> None:
    """A snapshot as a folder: rows, manifest and a Croissant description that other tools load."""
    ground = Ground(read_settings())
    with ground.database.reading() as connection:
        made = snapshots.get_snapshot(connection, DatanetId(number), which)
        found = events(
            connection, ground.rpc.chain, calls.CONTRACT, "SnapshotPublished", topic1=topic(number)
        )  # its block's time is the date of publication
        dates = {event.args["version"]: event.timestamp for event in found}
    published = None if made.version is None else dates.get(made.version)
    exporting.export(ground.database, ground.stores, made, out, published, private)
    click.echo(f"{made.count} rows in {out}: rows.jsonl, manifest.json, croissant.json")


def _account(ground: Ground) -> Address:
    if ground.pipeline.sender is None:
        raise NeedsPerson("no key is configured: set OPENLEDGER_KEYSTORE; its account acts")
    return ground.pipeline.sender


def _plan_paid(ground: Ground, account: Address, call: Intent, amount: Wei) -> None:
    """A call that pulls tokens, after their approval."""
    approval, token = calls.approve(call.to, amount), ground.book["OpenToken"]
    first = Intent(f"{call.key}:bond", call.chain, token, approval, Wei(0), f"{call.purpose}: approval")
    with ground.database.transaction() as connection:
        plan(connection, first, account)
        plan(connection, replace(call, after=first.key), account)


def _least_bond(ground: Ground) -> Wei:
    """The first of the registry's terms."""
    data = "0x" + keccak(text="terms()")[:4].hex()
    answer = ground.rpc.call("eth_call", {"to": ground.pipeline.registry, "data": data}, "latest")
    return Wei(int(answer[2:66], 16))


def _stale(connection: Connection, made: snapshots.Snapshot) -> None:
    """Erased since, and who still holds it."""
    for key in snapshots.contents(connection, made.id):
        given = contributions.get(connection, key)
        if erasing.erased_rows(connection, given) == frozenset():
            continue
        click.echo(f"    holds erased rows of {key.hex()}; the next snapshot is without them")
    if made.version is not None:
        for use in snapshots.uses_of(connection, made.datanet, [made.version]):
            click.echo(f"    model {use.name} was trained on it" + ("" if use.live else ", withdrawn"))


@click.group()
def review() -> None:
    """Rows that a rule holds back, and the outcome that reviewers sign."""


@review.command(name="list")
@click.argument("number", type=int)
def held(number: int) -> None:
    """What waits for a reviewer."""
    with Ground(read_settings()).database.reading() as connection:
        tell(_waiting(connection, DatanetId(number)), f"no row of datanet {number} waits for a reviewer")


def _waiting(connection: Connection, number: DatanetId) -> Iterator[str]:
    for given in contributions.in_state(connection, "checked", datanet=number):
        for each in rows.reasons(connection, given.key, Verdict.HELD)[:_SHOWN]:
            sentence = Finding(Verdict.HELD, each.code, each.detail).sentence if each.code in NUMBER else each.code
            yield f"{given.key.hex()}  row {each.row + 1}: {sentence}"


@review.command()
@click.argument("contribution", type=HASH)
@click.argument("row", type=click.IntRange(min=1))
@click.option("--accept/--reject", required=True)
@click.option("--because", default="", help="The contributor reads it.")
def decide(contribution: Hash32, row: int, accept: bool, because: str) -> None:
    """Accept or reject one held row, by its number."""
    ground = Ground(read_settings())
    reviewer = ground.pipeline.sender
    if reviewer is None:
        raise NeedsPerson("no key is configured: set OPENLEDGER_KEYSTORE; its account is the reviewer")
    if not accept and not because:
        raise NeedsPerson("a row is rejected with a reason: --because")
    with ground.database.transaction() as connection:
        given = contributions.get(connection, contribution)
        rules = ground.pipeline.policy(given.datanet)
        now = Timestamp(int(time.time()))
        done = deciding.review(connection, given, rules, row - 1, accept, because, reviewer, now)
    click.echo(f"row {row}: {'accepted' if accept else 'rejected'}" if done else f"row {row}: was decided already")


@review.command(name="sign")
@click.argument("number", type=int)
def sign_outcomes(number: int) -> None:
    """Sign every outcome of a datanet that is decided; with enough signatures it goes on chain."""
    ground, which = Ground(read_settings()), DatanetId(number)
    if ground.signer is None:
        raise NeedsPerson("no key is configured: set OPENLEDGER_KEYSTORE; its account is the reviewer")
    registry, chain = ground.pipeline.registry, ground.rpc.chain
    with ground.database.transaction() as connection:
        decided = contributions.in_state(connection, "decided", datanet=which)
        for given in decided:
            message = deciding.outcome_of(given).message(which)
            signature = sign_message(ground.signer, calls.DOMAIN, "Outcomes", message, chain, registry)
            deciding.sign_outcome(connection, given, signature, chain, registry)
    click.echo(f"{counted(len(decided), 'outcome')} signed")

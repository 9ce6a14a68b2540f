"""`openledger index` reads the chain, `openledger send` writes to it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from time import time
from typing import TypeVar

import click

from oracle.chain import releasing, stops
from oracle.chain.assembly import indexer_of, rpc_of, sender_of
from oracle.chain.following import Advance
from oracle.chain.loop import repeat
from oracle.chain.reverts import Reverts
from oracle.chain.simulation import rehearse
from oracle.config import Settings, read_settings
from oracle.store import blocks, broadcasts, intents
from oracle.store.cursors import consumers_beyond
from oracle.store.database import Database
from oracle.store.event_table import count_events
from oracle.types import Address, Timestamp

NOBODY = Address("0x0000000000000000000000000000000000000000")

EVERY_STATE = (*intents.OPEN_STATES, *intents.END_STATES)

Decorated = TypeVar("Decorated", bound=Callable[..., object])


@contextmanager
def _opened() -> Iterator[tuple[Settings, Database]]:
    settings = read_settings()
    database = Database(settings.database)
    try:
        database.require_current()
        yield settings, database
    finally:
        database.close()


def _until_told_to_end() -> Event:
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _following(command: Decorated) -> Decorated:
    command = click.option("--every", default=4.0, show_default=True, help="Seconds between two looks at the chain.")(
        command
    )
    return click.option("--follow", is_flag=True, help="Go on until told to end.")(command)


# Reading


@click.group(invoke_without_command=True)
@_following
@click.option("--by-logs", is_flag=True, help="For the long past of a busy chain: see docs/chain.md.")
@click.pass_context
def index(context: click.Context, follow: bool, every: float, by_logs: bool) -> None:
    """Read every event of the suite, up to the chain's head."""
    if context.invoked_subcommand is not None:
        return
    with _opened() as (settings, database):
        indexer = indexer_of(settings, rpc_of(settings), database, by_logs)
        if follow:
            repeat("index", lambda: indexer.step().behind > 0, every, _until_told_to_end())
        else:
            step = indexer.catch_up()
            final = "none" if step.final is None else f"{step.final:,}"
            click.echo(f"read to block {step.top:,}; final up to block {final}")


@index.command("status")
def index_status() -> None:
    """How far the chain was read, and whether anything stops it."""
    with _opened() as (settings, database):
        chain = rpc_of(settings).chain
        with database.reading() as connection:
            reached = blocks.progress(connection, chain)
            mark = blocks.open_stop(connection, chain)
            stored = count_events(connection, chain)
    if reached is None:
        click.echo(f"chain {chain}: nothing was read yet")
    else:
        final = "none" if reached.final is None else f"{reached.final:,}"
        click.echo(
            f"chain {chain}: blocks {reached.first:,} to {reached.top:,} read, final up to {final}, {stored:,} events"
        )
    if mark is not None:
        raise click.ClickException(stops.said(mark))


@index.command("clear")
@click.option("--because", required=True, help="What you found, for the record.")
def index_clear(because: str) -> None:
    """After a reorg deeper than finality: let reading and sending go on."""
    with _opened() as (settings, database):
        chain = rpc_of(settings).chain
        with database.transaction() as connection:
            mark = blocks.open_stop(connection, chain)
            if mark is None:
                click.echo(f"chain {chain}: nothing is stopped")
                return
            removed = stops.clear(connection, mark, because, Timestamp(int(time())))
            ahead = consumers_beyond(connection, chain, mark.block)
    click.echo(f"chain {chain}: {removed:,} events from block {mark.block:,} on are forgotten and will be read anew")
    for consumer, contract, cursor in ahead:
        click.echo(f"{consumer} has counted {contract} up to block {cursor.block:,}: compare what it did since")


# Writing


@click.group(invoke_without_command=True)
@_following
@click.option("--dry-run", is_flag=True, help="Try what is planned and send nothing.")
@click.pass_context
def send(context: click.Context, follow: bool, every: float, dry_run: bool) -> None:
    """Push every open intent one step further: simulate, sign, send, see mined, see final."""
    if context.invoked_subcommand is not None:
        return
    with _opened() as (settings, database):
        rpc = rpc_of(settings)
        sender = None if dry_run else sender_of(settings, rpc, database)
        if sender is None:
            if not dry_run:
                click.echo("no key is configured (OPENLEDGER_KEYSTORE or OPENLEDGER_REMOTE_SIGNER): a dry run")
            _dry_run(settings, database)
            return
        try:
            if follow:
                repeat("send", lambda: _told(sender.advance()), every, _until_told_to_end())
            else:
                _told(sender.advance())
        finally:
            sender.close()


def _dry_run(settings: Settings, database: Database) -> None:
    rpc = rpc_of(settings)
    with database.reading() as connection:
        planned = [entry.intent for entry in intents.in_states(connection, rpc.chain, ("planned",), 500)]
    account = Address(settings.remote_signer_address) if settings.remote_signer_address else NOBODY
    for found in rehearse(rpc, Reverts.of_suite(settings.deployments), planned, account, settings.finality):
        said = f"would be sent, {found.gas:,} gas" if found.gas is not None else f"would be refused: {found.refusal}"
        click.echo(f"{found.key}  {found.purpose}: {said}")
    click.echo(f"{len(planned)} planned; nothing was sent")


def _told(done: Advance) -> bool:
    for name in ("sent", "replaced", "mined", "taken_back", "final", "failed", "refused", "parked"):
        for key in getattr(done, name):
            click.echo(f"{name.replace('_', ' '):<10} {key}")
    for key, why in done.waiting.items():
        click.echo(f"{'waiting':<10} {key}: {why}")
    return False


@send.command("list")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(EVERY_STATE), help="Only these; may be given again."
)
@click.option("--limit", default=50, show_default=True, help="So many at most.")
def send_list(states: tuple[str, ...], limit: int) -> None:
    """The newest intents."""
    with _opened() as (settings, database):
        chain = rpc_of(settings).chain
        with database.reading() as connection:
            counts = intents.count_by_state(connection, chain)
            found = intents.in_states(connection, chain, states or EVERY_STATE, limit, newest=True)
    for entry in found:
        click.echo(
            f"{entry.state:<10} {entry.key}  {entry.intent.purpose}" + (f"  ({entry.reason})" if entry.reason else "")
        )
    if states and not found:
        click.echo(f"none is {' or '.join(states)}")
    click.echo(", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no intents")


@send.command("show")
@click.argument("key")
def send_show(key: str) -> None:
    """All that is known of one intent, with everything that was signed for it."""
    with _opened() as (_, database), database.reading() as connection:
        entry = intents.journaled(connection, key)
        signed = broadcasts.broadcasts_of(connection, [key])[key]
    click.echo(f"{entry.key}: {entry.state}" + (f", {entry.reason}" if entry.reason else ""))
    intent = entry.intent
    click.echo(f"  {intent.purpose}; to {intent.to}, {intent.value} wei, {len(intent.data)} bytes of data")
    if entry.nonce is not None:
        click.echo(f"  from {entry.sender}, nonce {entry.nonce}")
    elif entry.sender is not None:
        click.echo(f"  for the key of {entry.sender} alone")
    if entry.tx is not None:
        click.echo(f"  mined as 0x{entry.tx.hex()} in block {entry.block}")
    for broadcast in signed:
        offer = f"up to {broadcast.fees.max_fee} wei per gas, tip {broadcast.fees.tip}"
        click.echo(f"  signed 0x{broadcast.tx.hex()}: at block {broadcast.at_block}, {offer}")


@send.command("park")
@click.argument("key")
@click.option("--because", required=True)
def send_park(key: str, because: str) -> None:
    """Hold back an intent of which nothing was sent yet."""
    with _opened() as (_, database):
        releasing.hold_back(database, key, because)
    click.echo(f"{key} is parked; openledger send release {key} lets it go on")


@send.command("release")
@click.argument("key")
def send_release(key: str) -> None:
    """Let a parked intent go on; refused while what was signed for it could still be mined."""
    with _opened() as (settings, database):
        releasing.release(rpc_of(settings), database, settings.finality, key)
    click.echo(f"{key} is planned again")

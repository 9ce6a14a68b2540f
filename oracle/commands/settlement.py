"""Commands of settlement: the operator's and the auditor's."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oracle.commands.saying import tell
from oracle.config import read_settings
from oracle.errors import NeedsPerson
from oracle.types import OPEN, Address, Wei

if TYPE_CHECKING:
    from oracle.daemon.ground import Ground
    from oracle.settlement.onchain import Onchain
    from oracle.settlement.parties import Registries
    from oracle.store.batches import Batch

BUNDLE = click.Path(path_type=Path, file_okay=False, exists=True)


def ground_of_settings() -> Ground:
    from oracle.daemon.ground import Ground

    return Ground(read_settings())


def onchain_of(ground: Ground) -> Onchain:
    from oracle.settlement.onchain import Onchain

    return Onchain(ground.rpc, ground.book, ground.settings.finality)


def _operator(ground: Ground) -> Address:
    if ground.signer is None:
        raise NeedsPerson("no key: settling needs the operator's, who signed the receipts; set OPENLEDGER_KEYSTORE")
    return ground.signer.address


def registries_of(ground: Ground, treasury: Address | None = None, commons: Address | None = None) -> Registries:
    """From an index of one's own, brought up to date: whoever checks takes nobody's word."""
    from oracle.chain.assembly import indexer_of
    from oracle.settlement.parties import Registries
    from oracle.store.database import Database

    database = Database(ground.settings.database)
    database.upgrade()
    indexer_of(ground.settings, ground.rpc, database).catch_up()
    timelock = ground.book["OpenTimelock"]
    pools = treasury or timelock, commons or timelock
    with database.reading() as connection:
        found = Registries.read(connection, ground.rpc.chain, *pools)
    database.close()
    return found


@click.group()
def settle() -> None:
    """Receipts into batches, batches into roots."""


@settle.command()
@click.option("--close-now", is_flag=True, help="Close the epoch although neither time nor amount is reached.")
@click.option("--every", type=int, help="Seconds after which an epoch closes. Without: as OPENLEDGER_SETTLE_EVERY.")
@click.option("--amount", type=int, help="Or as soon as so much OPEN waits.")
@click.option("--most-fees", type=int, help="OPEN of fees in one epoch, and no more.")
@click.option("--most-growth", type=int, help="Percent above the epoch before, and no more.")
def step(
    close_now: bool, every: int | None, amount: int | None, most_fees: int | None, most_growth: int | None
) -> None:
    """Bring the batch that is on its way as far as it goes now. Sends nothing itself: that is the sender's."""
    from oracle.settlement.pace import pace_of
    from oracle.settlement.post import Settler

    ground = ground_of_settings()
    asked: dict[str, Any] = {
        "every_s": every,
        "amount": None if amount is None else Wei(amount * OPEN),
        "most_fees": None if most_fees is None else Wei(most_fees * OPEN),
        "most_growth_percent": most_growth,
    }
    pace = replace(pace_of(ground.settings), **{name: value for name, value in asked.items() if value is not None})
    settler = Settler(ground.database, ground.blobs, onchain_of(ground), _operator(ground), pace)
    done = 0
    while said := settler.advance(close_now):
        click.echo(said)
        done += 1
    click.echo("nothing to do but wait" if not done else f"{done} steps")


@settle.command()
def status() -> None:
    """Batches, and what waits for one."""
    from oracle.store import batches, owing

    ground = ground_of_settings()
    chain = ground.rpc.chain
    with ground.database.reading() as connection:
        found = batches.batches(connection, chain)
        waiting = owing.waiting(connection, chain)
    tell(map(_line, found), "no batch yet")
    for state, count in sorted(waiting.items()):
        click.echo(f"{count} receipts {state} and in no batch")


def _line(batch: Batch) -> str:
    why = f"  {batch.reason}" if batch.reason else ""
    return f"{batch.name}  {batch.state}  {batch.receipt_count or '–'} receipts  {batch.fees or '–'} wei{why}"


@settle.command()
def difference() -> None:
    """Dry run: what settling now would change, account by account. Writes nothing."""
    from oracle.settlement.claims import shown
    from oracle.settlement.difference import difference as compare

    ground = ground_of_settings()
    found = compare(ground.database, ground.blobs, onchain_of(ground), _operator(ground))
    for account, before, after in found.changes:
        click.echo(f"{account}  {shown(before)} → {shown(after)}  (+{shown(Wei(after - before))})")
    for lane, reason in sorted(found.waiting.items()):
        click.echo(f"waits: {lane.consumer} by {lane.key}: {reason}")
    if found.end is None:
        click.echo(f"epoch {found.epoch}: nothing can be paid now")
    else:
        click.echo(f"epoch {found.epoch}: {found.end.receipt_count} receipts, {shown(found.end.fees)} OPEN of fees")


@settle.command()
@click.argument("number", type=int)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def export(number: int, folder: Path) -> None:
    """Write the bundle of a batch: the published bytes and what was signed."""
    from oracle.settlement.opinions import signed
    from oracle.settlement.verify import export as write
    from oracle.store import batches

    ground = ground_of_settings()
    with ground.database.reading() as connection:
        batch = batches.batch(connection, number)
        said = batches.attestations(connection, number)
    bundle = signed(onchain_of(ground), batch, said)
    write(folder, bundle, ground.blobs.read(bundle.document))
    click.echo(f"{batch.name}: {len(bundle.signatures)} signatures, {folder}")


@settle.command()
@click.argument("opinion", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def accept(opinion: Path) -> None:
    """Take an attestor's opinion (the file that `attest --out` wrote) on the batch that is published now."""
    from oracle.settlement.attest import Opinion
    from oracle.settlement.opinions import accept as take
    from oracle.store import batches

    ground = ground_of_settings()
    with ground.database.reading() as connection:
        batch = batches.on_its_way(connection, ground.rpc.chain)
    if batch is None:
        raise NeedsPerson("no batch is on its way; what was this signed for?")
    said = Opinion.from_json(opinion.read_bytes())
    signer = take(ground.database, onchain_of(ground), batch, said.signature, said.objection)
    click.echo(f"{batch.name}: {'objected to' if said.objection else 'vouched for'} by {signer}")


@settle.command()
@click.argument("bundle", type=BUNDLE)
def adopt(bundle: Path) -> None:
    """After a backup was restored: take over a batch that the chain knows and this database does not."""
    from oracle.settlement.adopt import adopt as take_over
    from oracle.settlement.verify import DOCUMENT, STATEMENT, Signed

    ground = ground_of_settings()
    signed = Signed.from_json((bundle / STATEMENT).read_bytes())
    marked = take_over(ground.database, ground.blobs, onchain_of(ground), signed, (bundle / DOCUMENT).read_bytes())
    click.echo(f"epoch {signed.statement.epoch} taken over; it paid {marked} receipts")


@settle.command()
@click.argument("bundle", type=BUNDLE)
@click.argument("other", type=BUNDLE, required=False)
@click.option("--send", is_flag=True, help="Send them with the configured key, which gets the finder's part.")
def faults(bundle: Path, other: Path | None, send: bool) -> None:
    """What attestors lose their bonds for: contradictions in a batch that they signed, or two statements of one round.

    Whether a batch is good says `verify`; this finds what the contract can judge by itself, and makes the calls.
    """
    from oracle.settlement.faults import equivocations, found_in
    from oracle.settlement.sending import send as send_proof
    from oracle.settlement.verify import STATEMENT, Signed

    ground = ground_of_settings()
    onchain = onchain_of(ground)
    seats = ground.book["AttestorSet"]
    found = found_in(bundle, onchain)
    if other is not None:
        found += equivocations(*(Signed.from_json((folder / STATEMENT).read_bytes()) for folder in (bundle, other)))
    for one in found:
        click.echo(f"{one.kind}  {one.where}: signed by {one.signer}")
        if not send:
            click.echo(f"  to    {seats}\n  data  0x{one.data.hex()}")
    click.echo(f"{len(found)} proofs against {len({one.signer for one in found})} signers")
    if not send or not found:
        return
    if ground.sender is None:
        raise NeedsPerson("no key: set OPENLEDGER_KEYSTORE to send them, or give the calls above to any wallet")
    for signer, one in {one.signer: one for one in reversed(found)}.items():  # the first against each takes its bond
        tx = send_proof(ground.database, ground.sender, ground.rpc.chain, seats, one.data, "proof", time.sleep)
        click.echo(f"{signer} has lost its bond by 0x{tx.hex()}")


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--registries", is_flag=True, help="Ask the chain, too, who had a part in each version's fees.")
def verify(bundle: Path, registries: bool) -> None:
    """Recompute all of an exported bundle, without network. Exits with 1 at the first difference and names it."""
    from oracle.settlement.differing import Difference
    from oracle.settlement.document import hexed
    from oracle.settlement.parties import JudgedTerms
    from oracle.settlement.verify import verify_bundle

    judge = JudgedTerms(registries_of(ground_of_settings()) if registries else None)
    try:
        replayed, signed = verify_bundle(bundle, judged=judge)
    except Difference as found:
        click.echo(f"DIFFERENT  {found.kind}\n  where   {found.where}\n  what    {found.detail}")
        sys.exit(1)
    for name, count in replayed.checked.items():
        click.echo(f"{count:>9}  {name}")
    click.echo(f"{len(signed.signatures):>9}  attestors' signatures")
    if registries:
        click.echo(f"{judge.count:>9}  receipts whose terms are what the registries said then")
    said = signed.statement
    click.echo(f"epoch {said.epoch} follows {hexed(said.previous_root)}\nroot  {hexed(said.root)}, {said.total} wei")
    click.echo("Compare this root with RewardDistributor.recordOf on a node that you trust.")

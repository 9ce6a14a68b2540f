"""Commands of stewards, reviewers and contributors."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from oracle.datanets.pipeline import Pipeline
    from oracle.datanets.publishing import Tally
    from oracle.store.contributions import Contribution


def _pipeline() -> Pipeline:
    from oracle.config import read_settings
    from oracle.datanets.wiring import pipeline_of

    return pipeline_of(read_settings())


@click.group()
def datanet() -> None:
    """Datanets: their rules, contents, reviews and snapshots."""


@datanet.command("list")
def list_() -> None:
    """All datanets that the chain has told of."""
    from oracle.store import contributions, datanets

    pipeline = _pipeline()
    with pipeline.database.reading() as connection:
        for each in datanets.all_datanets(connection):
            states = contributions.tally(connection, each.number)
            told = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no contributions"
            click.echo(f"{each.number:>6}  {each.name:<32} {each.licence:<14} {told}")


@datanet.command()
@click.argument("number", type=int)
def show(number: int) -> None:
    """One datanet: its contributions and snapshots, and which models still contain what was erased."""
    from oracle.datanets.erasing import touched
    from oracle.store import contributions, datanets, snapshots
    from oracle.types import DatanetId

    pipeline = _pipeline()
    with pipeline.database.reading() as connection:
        found = datanets.get_datanet(connection, DatanetId(number))
        click.echo(f"{found.name}  (number {number}, {found.licence}, steward {found.steward})")
        click.echo(f"policy 0x{found.policy.hex()}")
        for given in contributions.in_state(connection, *contributions.STATES, datanet=found.number):
            name = "0x" + (given.name or given.key).hex()[:16] + "…"
            accepted = "" if given.accepted_count is None else f", {given.accepted_count} accepted"
            click.echo(f"  {name}  {given.state:<10} {given.count or '?'} rows{accepted}  {given.reason or ''}")
            if given.erased:
                held, uses = touched(connection, given)
                versions = ", ".join(each.name for each in held) or "no snapshot"
                models = ", ".join(use.name + ("" if use.live else " (withdrawn)") for use in uses) or "no model"
                click.echo(f"      erased; contained in {versions}; trained into {models}")
        for made in snapshots.snapshots_of(connection, found.number):
            version = "not on chain" if made.version is None else f"version {made.version}"
            click.echo(f"  snapshot {made.name}: {made.count} rows, {version}, root 0x{made.root.hex()}")


@datanet.command()
@click.argument("number", type=int, required=False)
@click.option(
    "--check", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A policy to look at."
)
def policy(number: int | None, file: Path | None) -> None:
    """The rules of a datanet, or those of a file; without either, the rules by default."""
    from oracle.datanets.policy import Policy, read_policy
    from oracle.types import DatanetId

    if file is not None:
        found = read_policy(file.read_bytes())
    else:
        found = Policy() if number is None else _pipeline().policy(DatanetId(number))
    for name, value in vars(found).items():
        click.echo(f"{name:<18} {', '.join(value) if isinstance(value, tuple) else value}")
    click.echo(f"\nhash 0x{found.hash.hex()}")


@datanet.command()
@click.option("--name", required=True)
@click.option("--licence", required=True, help="An SPDX name, such as CC-BY-4.0.")
@click.option("--datatype", default="text", show_default=True)
@click.option("--policy", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A file of rules.")
@click.option("--reviewer", "reviewers", multiple=True, required=True, help="An account; may be given several times.")
@click.option("--quorum", default=1, show_default=True)
@click.option("--bond", default=0, help="In wei; at least what the registry's terms ask for.")
def create(
    name: str, licence: str, datatype: str, file: Path | None, reviewers: tuple[str, ...], quorum: int, bond: int
) -> None:
    """Publish a policy and plan the transaction that opens a datanet with it."""
    from oracle.datanets import calls
    from oracle.datanets.policy import Policy, read_policy
    from oracle.types import Address, Wei

    rules = Policy() if file is None else read_policy(file.read_bytes())
    pipeline = _pipeline()
    pipeline.stores.published.put(rules.as_json())
    accounts = [Address(account) for account in reviewers]
    data = calls.create_datanet(rules.hash, name, licence, datatype, accounts, quorum, Wei(bond))
    with pipeline.database.transaction() as connection:
        pipeline.plan(connection, calls.Call(f"datanet:{name}:{rules.hash.hex()}", data, f"opening of datanet {name}"))
    click.echo(f"planned; its policy is 0x{rules.hash.hex()}")


@datanet.command()
@click.argument("number", type=int)
@click.option("--name", required=True, help="What this version is called, once and for all.")
def snapshot(number: int, name: str) -> None:
    """Make a snapshot of all that is settled, and plan its root for the chain."""
    from oracle.datanets import snapshotting
    from oracle.types import DatanetId

    pipeline = _pipeline()
    made = snapshotting.build(
        pipeline.database, pipeline.stores, DatanetId(number), name, pipeline.policy(DatanetId(number))
    )
    if made.state == "built" and pipeline.sender is not None:
        with pipeline.database.transaction() as connection:
            snapshotting.announce(connection, made, pipeline.plan)
    click.echo(f"snapshot {made.name}: {made.count} rows, root 0x{made.root.hex()}, rows {made.rows}")


@datanet.command()
@click.argument("number", type=int)
@click.option("--snapshot", "which", type=int, help="Its number; the newest where none is given.")
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True)
def export(number: int, which: int | None, folder: Path) -> None:
    """Write a snapshot as Croissant: croissant.json and rows.jsonl."""
    from oracle.datanets.exporting import export as write
    from oracle.types import DatanetId

    pipeline = _pipeline()
    for file in write(
        pipeline.database, pipeline.stores, DatanetId(number), which, folder, time.strftime("%Y-%m-%d", time.gmtime())
    ):
        click.echo(str(file))


@datanet.command()
@click.argument("number", type=int)
@click.option("--as", "reviewer", help="The reviewer's account; needed to decide.")
@click.option("--accept", multiple=True, metavar="CONTRIBUTION:ROW")
@click.option("--reject", multiple=True, metavar="CONTRIBUTION:ROW")
@click.option("--reason", default="", help="What the contributor is told; needed to reject.")
def review(number: int, reviewer: str | None, accept: tuple[str, ...], reject: tuple[str, ...], reason: str) -> None:
    """List the rows that are held, or decide some of them."""
    from oracle.datanets import deciding
    from oracle.datanets.verdicts import Finding, Verdict
    from oracle.store import contributions, rows
    from oracle.types import Address, DatanetId, Timestamp

    pipeline = _pipeline()
    rules = pipeline.policy(DatanetId(number))
    if (accept or reject) and reviewer is None:
        raise click.UsageError("--as: which reviewer decides?")
    if reject and not reason.strip():
        raise click.UsageError("--reason: whoever rejects says why")
    for item, wanted in [(item, True) for item in accept] + [(item, False) for item in reject]:
        with pipeline.database.transaction() as connection:
            given, row = _row(connection, DatanetId(number), item)
            deciding.review(
                connection, given, rules, row, wanted, reason, Address(reviewer or ""), Timestamp(int(time.time()))
            )
    pipeline.decide(DatanetId(number))
    with pipeline.database.reading() as connection:
        held = 0
        for given in contributions.in_state(connection, "checked", datanet=DatanetId(number)):
            for each in rows.reasons(connection, given.key, Verdict.HELD):
                held += 1
                told = Finding(Verdict.HELD, each.code, each.detail).sentence
                click.echo(f"0x{(given.name or given.key).hex()}:{each.row + 1}  {told}")
        click.echo(f"{held} rows are held" if held else "nothing is held")


def _row(connection: Any, number: int, item: str) -> tuple[Contribution, int]:
    from oracle.store import contributions
    from oracle.types import ContributionId

    name, _, row = item.partition(":")
    try:
        given = contributions.named(connection, ContributionId(bytes.fromhex(name.removeprefix("0x"))))
        place = int(row) - 1
    except ValueError:
        raise click.UsageError(f"{item}: write CONTRIBUTION:ROW, as the list shows them") from None
    if given.datanet != number or not 0 <= place < (given.count or 0):
        raise click.UsageError(f"{item}: datanet {number} has no such row")
    return given, place


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--datanet", "number", type=int, help="Its number; without one (a dry run only) the default rules are used."
)
@click.option("--kind", default="training-row", show_default=True)
@click.option("--as", "contributor", help="The contributor's account; the oracle's own wallet where none is given.")
@click.option("--licence", default="", help="That of the rows, where it is not the datanet's.")
@click.option("--dry-run", is_flag=True, help="Only look: nothing is kept, published or sent.")
@click.option("--most", default=20, show_default=True, help="How many lines of what is wrong are shown.")
def contribute(
    file: Path, number: int | None, kind: str, contributor: str | None, licence: str, dry_run: bool, most: int
) -> None:
    """Contribute the rows of a file: JSONL, JSON, CSV, Parquet or plain text."""
    from oracle.datanets.kinds import KIND_BY_WORD

    if kind not in KIND_BY_WORD:
        raise click.UsageError(f"--kind: one of {', '.join(KIND_BY_WORD)}")
    if dry_run:
        _report(_dry_run(file, kind, number), most)
        return
    if number is None:
        raise click.UsageError("--datanet: to which one? `openledger datanet list`")
    _contribute(file, number, kind, contributor, licence, most)


def _dry_run(file: Path, kind: str, number: int | None) -> Tally:
    from oracle.datanets.intake import read
    from oracle.datanets.kinds import KIND_BY_WORD
    from oracle.datanets.policy import Policy
    from oracle.datanets.publishing import preview
    from oracle.types import DatanetId

    rules = Policy() if number is None else _pipeline().policy(DatanetId(number))
    with file.open("rb") as opened, _bar(file) as bar:
        return preview(read(opened, file.name, KIND_BY_WORD[kind], progress=_moves(bar)), rules, KIND_BY_WORD[kind])


def _contribute(file: Path, number: int, kind: str, contributor: str | None, licence: str, most: int) -> None:
    from oracle.datanets import publishing
    from oracle.datanets.kinds import KIND_BY_WORD
    from oracle.store import contributions, datanets
    from oracle.types import Address, DatanetId

    pipeline = _pipeline()
    account = contributor or pipeline.sender
    if account is None:
        raise click.UsageError("--as: there is no wallet here; whose contribution is it?")
    rules = pipeline.policy(DatanetId(number))
    with pipeline.database.reading() as connection:
        licence = licence or datanets.get_datanet(connection, DatanetId(number)).licence
    with file.open("rb") as opened:
        key = publishing.receive(
            pipeline.database,
            pipeline.stores,
            iter(lambda: opened.read(1 << 20), b""),
            contributor=Address(account),
            datanet=DatanetId(number),
            kind=KIND_BY_WORD[kind],
            private=rules.private,
            file=file.name,
            licence=licence,
        )
    with pipeline.database.reading() as connection:
        given = contributions.get(connection, key)
    if given.state == "received":
        with _bar(file) as bar:
            _report(publishing.parse(pipeline.database, pipeline.stores, given, rules, _moves(bar)), most)
    pipeline.intake(key)
    with pipeline.database.reading() as connection:
        given = contributions.get(connection, key)
    click.echo(f"contribution 0x{(given.name or given.key).hex()}: {given.state}. {given.reason or ''}")


def _bar(file: Path) -> Any:
    return click.progressbar(length=max(file.stat().st_size, 1), label=file.name, file=sys.stderr)


def _moves(bar: Any) -> Callable[[int], None]:
    return lambda place: bar.update(place - bar.pos)


def _report(tally: Tally, most: int) -> None:
    for line, code, sentence in tally.lines[:most]:
        click.echo(f"  line {line:>8}  {code:<18} {sentence}")
    hidden = tally.left_out + tally.held - min(len(tally.lines), most)
    if hidden > 0:
        click.echo(f"  … and {hidden} more")
    total = tally.taken + tally.left_out
    click.echo(f"\n{'rows':<26}{total:>10,}")
    click.echo(f"{'contributed':<26}{tally.taken:>10,}")
    click.echo(f"{'  of these for a review':<26}{tally.held:>10,}")
    click.echo(f"{'left out':<26}{tally.left_out:>10,}")


@click.command()
@click.argument("contribution")
@click.option("--row", "hashes", multiple=True, metavar="HASH", help="Only these rows; all of it where none is given.")
@click.confirmation_option(prompt="Erased rows cannot be brought back. Go on?")
def erase(contribution: str, hashes: tuple[str, ...]) -> None:
    """Erase a contribution, or some of its rows, for ever; says which snapshots and models contain them."""
    from oracle.datanets import erasing
    from oracle.store import contributions
    from oracle.types import ContributionId, RowHash

    pipeline = _pipeline()
    with pipeline.database.transaction() as connection:
        given = contributions.named(connection, ContributionId(bytes.fromhex(contribution.removeprefix("0x"))))
        rows = [RowHash(bytes.fromhex(row.removeprefix("0x"))) for row in hashes]
        erasing.ask(connection, given, rows, pipeline.plan if given.contributor == pipeline.sender else None)
    pipeline.erase()
    with pipeline.database.reading() as connection:
        held, uses = erasing.touched(connection, given)
    click.echo("erased. Absent from the next snapshot.")
    click.echo("contained in: " + (", ".join(f"snapshot {each.name}" for each in held) or "no snapshot"))
    click.echo("trained into: " + (", ".join(use.name for use in uses) or "no model"))

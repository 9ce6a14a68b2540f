"""Commands of whoever gives data."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import click

from oracle.chain.reading import heads
from oracle.commands.saying import counted, planned, somebody_there
from oracle.commands.taking import ACCOUNT, HASH, SIGNATURE
from oracle.config import read_settings
from oracle.daemon.ground import Ground
from oracle.datanets import announcing, erasing, publishing
from oracle.datanets.intake import Progress, read
from oracle.datanets.kinds import KIND_BY_WORD, Kind
from oracle.datanets.policy import Policy, read_policy
from oracle.datanets.publishing import Tally
from oracle.errors import NeedsPerson
from oracle.store import contributions, datanets
from oracle.types import Address, DatanetId, Hash32, RowHash

_SHOWN = 20
_DAYS_TO_RELAY = 7


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--datanet", type=int, help="Its number; `openledger datanet list` shows them.")
@click.option("--kind", type=click.Choice(sorted(KIND_BY_WORD)), default="training-row", show_default=True)
@click.option("--licence", help="Of these rows; else that of the datanet.")
@click.option(
    "--for", "contributor", type=ACCOUNT, help="The account that contributes and signs; else the configured key's."
)
@click.option("--to-sign", type=click.Path(path_type=Path, dir_okay=False), help="With --for: a file for its JSON.")
@click.option("--dry-run", is_flag=True, help="Check the rows and keep nothing.")
@click.option("--policy", "rules", type=click.Path(path_type=Path, exists=True), help="With --dry-run: these rules.")
def contribute(
    file: Path,
    datanet: int | None,
    kind: str,
    licence: str | None,
    contributor: Address | None,
    to_sign: Path | None,
    dry_run: bool,
    rules: Path | None,
) -> None:
    """Put the rows of a file into a datanet: JSONL, JSON, CSV, Parquet or text, recognised by its content.

    Rows that a rule rejects are left out and listed; the good ones go on. With the configured key, one transaction puts
    all of them on chain. With --for, the account's owner signs what is printed and pays no gas.
    """
    what = KIND_BY_WORD[kind]
    if dry_run:
        _try(file, what, _rules(rules, datanet))
        return
    if datanet is None:
        raise click.UsageError("--datanet: to which one?")
    ground, number = Ground(read_settings()), DatanetId(datanet)
    pipeline, policy = ground.pipeline, ground.pipeline.policy(number)
    who = contributor or pipeline.sender
    if who is None:
        raise NeedsPerson("no key is configured: set OPENLEDGER_KEYSTORE, or name the account with --for")
    with ground.database.reading() as connection:
        licence = licence or datanets.get_datanet(connection, number).licence
    with file.open("rb") as opened:
        key = publishing.receive(
            ground.database, ground.stores, iter(lambda: opened.read(1 << 20), b""), contributor=who, datanet=number,
            kind=what, private=policy.private, file=file.name, licence=licence,
        )  # fmt: skip
    with ground.database.reading() as connection:
        given = contributions.get(connection, key)
    if given.state == "received":
        with _bar(file) as progress:
            _tell(publishing.parse(ground.database, ground.stores, given, policy, progress))
    pipeline.intake(key)
    with ground.database.reading() as connection:
        given = contributions.get(connection, key)
    if given.state == "refused":
        raise NeedsPerson(given.reason or "refused")
    click.echo(f"contribution {key.hex()}: {counted(given.count or 0, 'row')}, {given.state}")
    if given.state == "announced":
        click.echo(planned(given.contributor))
    elif given.state == "published" and given.signature is None:
        now = heads(ground.rpc, ground.settings.finality).head.timestamp  # it is the chain's clock that decides
        _to_sign(ground, key, now + _DAYS_TO_RELAY * 24 * 3600, to_sign)


@click.command()
@click.argument("contribution", type=HASH)
@click.argument("signature", type=SIGNATURE)
@click.option("--deadline", type=int, required=True, help="As it stood in what was signed.")
def sign(contribution: Hash32, signature: bytes, deadline: int) -> None:
    """Hand in the contributor's signature; a relayer puts the contribution on chain and pays the gas."""
    ground = Ground(read_settings())
    with ground.database.transaction() as connection:
        announcing.sign(connection, contribution, deadline, signature, ground.rpc.chain, ground.pipeline.registry)
    click.echo(f"contribution {contribution.hex()}: signed; it is relayed with the next ones")


@click.command()
@click.argument("contribution", type=HASH)
@click.option(
    "--row", "hashes", type=HASH, multiple=True, help="Hash of a row; may be given again. Without: all of it."
)
@click.option("--yes", is_flag=True, help="Do not ask. Where nobody is at the keyboard, nothing is asked.")
def erase(contribution: Hash32, hashes: tuple[RowHash, ...], yes: bool) -> None:
    """Erase a contribution or some of its rows for ever, and give notice on chain."""
    if somebody_there() and not yes:
        what = counted(len(hashes), "row") if hashes else "all"
        click.confirm(f"{what} of {contribution.hex()} for ever: nothing brings it back. Erase?", abort=True)
    ground = Ground(read_settings())
    with ground.database.transaction() as connection:
        given = contributions.get(connection, contribution)
        own = ground.pipeline.sender == given.contributor
        erasing.ask(connection, given, list(hashes), ground.pipeline.plan if own else None)
    erasing.erase_requested(ground.database, ground.stores)
    with ground.database.reading() as connection:
        held, used = erasing.touched(connection, contributions.get(connection, contribution))
    click.echo(f"contribution {contribution.hex()}: erased" + (f", {counted(len(hashes), 'row')}" if hashes else ""))
    for snapshot in held:
        click.echo(f"  snapshot {snapshot.name} was made with it; the next one is without")
    for use in used:
        click.echo(f"  model {use.name} was trained with it" + (" and is live" if use.live else ""))


def _rules(file: Path | None, datanet: int | None) -> Policy:
    """Of a file, of a datanet, or the usual ones. Only a datanet's need an oracle."""
    if file is not None:
        return read_policy(file.read_bytes())
    return Policy() if datanet is None else Ground(read_settings()).pipeline.policy(DatanetId(datanet))


def _try(file: Path, kind: Kind, policy: Policy) -> None:
    with file.open("rb") as opened, _bar(file) as progress:
        tally = publishing.preview(read(opened, file.name, kind, progress=progress), policy, kind)
    _tell(tally)
    click.echo("a dry run: nothing was kept")


class _bar:  # noqa: N801 — reads as the context that it is
    """A progress bar by bytes; silent where nobody looks."""

    def __init__(self, file: Path) -> None:
        self._bar = click.progressbar(length=file.stat().st_size, label=file.name, file=sys.stderr)
        self._at = 0

    def __enter__(self) -> Progress:
        self._bar.__enter__()
        return self._reached

    def __exit__(self, *_: object) -> None:
        self._bar.finish()
        self._bar.render_finish()

    def _reached(self, at: int) -> None:
        self._bar.update(at - self._at)
        self._at = at


def _tell(tally: Tally) -> None:
    for line in sorted(tally.lines, key=lambda line: line.number)[:_SHOWN]:
        click.echo(f"  line {line.number}: {line.sentence}")
    if len(tally.lines) > _SHOWN:
        click.echo(f"  … and {len(tally.lines) - _SHOWN} more")
    for code, count in Counter(line.code for line in tally.lines).most_common():
        click.echo(f"  {count:>8,}  {code}")
    taken = counted(tally.taken, "row")
    click.echo(f"{taken} taken, {tally.held:,} of them for a reviewer; {tally.left_out:,} left out")


def _to_sign(ground: Ground, key: Hash32, deadline: int, file: Path | None) -> None:
    with ground.database.reading() as connection:
        given = contributions.get(connection, key)
    message = publishing.terms_of(given).to_sign(deadline, ground.rpc.chain, ground.pipeline.registry)
    written = json.dumps(message, default=lambda value: "0x" + value.hex(), indent=1)
    click.echo(f"{given.contributor} signs {file or 'this'} (eth_signTypedData_v4), then")
    click.echo(f"    openledger sign {key.hex()} SIGNATURE --deadline {deadline}")
    if file is None:
        click.echo(written)
    else:
        file.write_text(written + "\n", encoding="utf-8")

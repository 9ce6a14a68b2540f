"""Commands about models that are published: what there is, what changed, what an auditor reads, price and end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oracle.commands.model_ground import FOLDER, found_in, needed
from oracle.commands.saying import planned, tell
from oracle.errors import NeedsPerson
from oracle.settlement.claims import shown

if TYPE_CHECKING:
    from oracle.daemon.ground import Ground
    from oracle.store.models import Model


@click.command(name="list")
def list_() -> None:
    """All that this oracle knows."""
    from oracle.store import models

    ground = needed()
    with ground.database.reading() as connection:
        tell(
            map(_line, models.listed(connection, ground.rpc.chain)), "no model yet; `openledger model publish` adds one"
        )


def _line(model: Model) -> str:
    kind = "base" if model.made.is_base else f"on {model.made.base}"
    forced = ", forced" if model.made.forced else ""
    return f"{model.id:<32} {model.state:<10} {kind}{forced}  {model.made.title}"


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """One version: what it was made of, how good it is, what it costs. NAME is the newest, NAME@2 the second."""
    from oracle.daemon.models import status_of

    ground = needed()
    found = found_in(ground, name)
    made = found.made
    click.echo(f"{found.id}  {found.state}, number {found.model or 'none yet'}, builder {found.builder}")
    click.echo(f"  {made.title or made.base}  {made.about}")
    click.echo(
        f"  price  {shown(found.input_price)} OPEN in, {shown(found.output_price)} out, of 1,000 tokens;"
        f" split {made.split}"
    )
    click.echo(f"  weights 0x{made.weights.hex()}\n  manifest 0x{made.manifest.hex()}")
    for parent in made.parents:
        click.echo(f"  on top of {parent.name}@{parent.version}, {parent.share / 100:g} % of the upstream part")
    for datanet, version in made.snapshots:
        click.echo(f"  datanet {datanet}, version {version}")
    click.echo(f"  licences {', '.join(made.licences) or 'none told'}; {len(made.files)} files")
    if made.forced:
        click.echo(f"  published by force: {_manifest(ground, found)['forced']}")
    if not made.is_base:
        for reason in _manifest(ground, found)["evaluation"]["gate"]["reasons"]:
            click.echo(f"  {reason}")
    for line in status_of(ground, found):
        click.echo(f"  {line}")


@click.command()
@click.argument("one")
@click.argument("other")
def compare(one: str, other: str) -> None:
    """What changed between two versions in data, recipe and results."""
    from oracle.factory.comparing import compare as compared

    ground = needed()
    found = [found_in(ground, name) for name in (one, other)]
    if any(each.made.is_base for each in found):
        raise NeedsPerson("bases were not made here; compare two versions of adapters")
    for line in compared(*(_manifest(ground, each) for each in found)):
        click.echo(line)


@click.command()
@click.argument("name")
@click.option("--out", type=FOLDER, required=True)
@click.option("--private", is_flag=True, help="Also rows that are private, in clear.")
def export(name: str, out: Path, private: bool) -> None:
    """One folder for an auditor: weights, manifest, papers, rows, and an index whose root is on chain."""
    from oracle.daemon.auditing import export as write

    ground = needed()
    write(ground, found_in(ground, name), out, private)
    click.echo(f"{out}: {sum(each.is_file() for each in out.rglob('*'))} files; openledger model verify {out}")


@click.command()
@click.argument("folder", type=FOLDER)
def verify(folder: Path) -> None:
    """Check an exported folder, offline: every file, the manifest, the builder's signature."""
    from oracle.daemon.auditing import verify as checked

    found = checked(folder)
    click.echo(f"{found.files} files are those of the index; signed by {found.signature['account']}")
    click.echo(f"manifest 0x{found.manifest}\nCompare it with ModelRegistry.versionOf on a node that you trust.")


@click.command()
@click.argument("name")
@click.option("--input", "input_", required=True, help="OPEN for 1,000 prompt tokens.")
@click.option("--output", required=True, help="OPEN for 1,000 generated tokens.")
def price(name: str, input_: str, output: str) -> None:
    """Announce another price; it holds after the registry's notice period, for every version."""
    from oracle.daemon.models import announce_price
    from oracle.daemon.releasing import wei

    ground = needed()
    found = found_in(ground, name)
    announce_price(ground, found, (wei(input_), wei(output)))
    click.echo(planned(found.builder))


@click.command()
@click.argument("name")
@click.option("--because", required=True, help="Its hash stands on chain.")
def deprecate(name: str, because: str) -> None:
    """Say that a version should not be begun with any more; it is still served."""
    from oracle.daemon.models import DEPRECATED

    _end(name, DEPRECATED, because)


@click.command()
@click.argument("name")
@click.option("--because", required=True, help="Its hash stands on chain.")
def withdraw(name: str, because: str) -> None:
    """Take a version out of service, for good."""
    from oracle.daemon.models import WITHDRAWN

    _end(name, WITHDRAWN, because)


def _end(name: str, status: int, because: str) -> None:
    from oracle.daemon.models import set_status

    ground = needed()
    if "@" not in name:
        raise NeedsPerson(f"{name}: say which version, as {name}@1; there is no way back")
    found = found_in(ground, name)
    set_status(ground, found, status, because)
    click.echo(planned(found.builder))


def _manifest(ground: Ground, found: Model) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(ground.blobs.read(found.made.files["manifest.json"]))
    return said


COMMANDS = (list_, show, compare, export, verify, price, deprecate, withdraw)

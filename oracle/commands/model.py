"""Commands of model builders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oracle.config import read_settings
from oracle.daemon.ground import Ground
from oracle.errors import NeedsPerson

if TYPE_CHECKING:
    from oracle.daemon.workshop import Prepared
    from oracle.factory.watching import Progress

RECIPE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def model() -> None:
    """Models: from a snapshot to a published adapter that is proven better than its base."""


def _ground() -> Ground | None:
    """None where no oracle was made here: folders can be trained on all the same."""
    ground = Ground(read_settings())
    return ground if ground.settings.database_url or (ground.settings.home / "ledger.db").exists() else None


def _needed() -> Ground:
    ground = _ground()
    if ground is None:
        raise NeedsPerson("there is no oracle here: run `openledger init`")
    return ground


def _folder(name: str, out: Path | None) -> Path:
    return out or read_settings().home / "runs" / name


def _prepared(file: Path, ground: Ground | None) -> Prepared:
    from oracle.daemon.workshop import gather
    from oracle.factory.recipe import read

    return gather(read(file), ground, read_settings().home / "factory")


@model.command()
@click.argument("recipe", type=RECIPE)
@click.option("--out", type=FOLDER, help="The run's folder; else one of the home, by the recipe's name.")
@click.option("--dry-run", is_flag=True, help="Rows, tokens, steps, memory, time and licences; trains nothing.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
def train(recipe: Path, out: Path | None, dry_run: bool, device: str) -> None:
    """Train an adapter. A run that was killed goes on from its last checkpoint, to the same weights."""
    from oracle.daemon.workshop import make

    prepared = _prepared(recipe, _ground())
    folder = _folder(prepared.recipe.name, out)
    trained = make(prepared, folder, _bar(), device=device)
    assert trained is not None
    click.echo(f"\n{trained.steps} steps, loss {trained.loss:.4f}, weights 0x{trained.weights}\n{folder}")


@model.command(name="eval")
@click.argument("recipe", type=RECIPE)
@click.option("--out", type=FOLDER, help="The run's folder, as given to train.")
@click.option("--device", default="cpu", show_default=True)
def evaluate(recipe: Path, out: Path | None, device: str) -> None:
    """Base and adapter side by side on what is held out, and whether the gate lets it through. Exits with 1 if not."""
    from oracle.daemon.workshop import judge

    prepared = _prepared(recipe, _ground())
    report = judge(prepared, _folder(prepared.recipe.name, out), device)
    for name, sides in (("base", report.base), ("adapter", report.adapter)):
        for what, side in sides.items():
            for metric, figure in side.figures.items():
                click.echo(
                    f"{name:<8} {what:<9} {metric:<12} {figure.value:10.4f}  [{figure.low:.4f}, {figure.high:.4f}]"
                    f"  {figure.items} items"
                )
    for reason in report.reasons:
        click.echo(reason)
    click.echo("GO" if report.go else "NO-GO")
    sys.exit(not report.go)


@model.command()
@click.argument("recipe", type=RECIPE)
@click.option("--out", type=FOLDER, help="The run's folder, as given to train.")
@click.option("--force", metavar="REASON", help="Although the gate said NO-GO; the reason stands in the manifest.")
@click.option("--dry-run", is_flag=True, help="Check all of it and publish nothing.")
def publish(recipe: Path, out: Path | None, force: str | None, dry_run: bool) -> None:
    """Put the adapter among the models: its files as blobs, its hashes on chain. The daemon sends it."""
    from oracle.daemon import workshop

    ground = _needed()
    prepared = _prepared(recipe, ground)
    found = workshop.publish(ground, prepared, _folder(prepared.recipe.name, out), force)
    click.echo(f"model {found.id}: manifest 0x{found.made.manifest.hex()}; the daemon sends it")


@model.command(name="list")
def list_() -> None:
    """All that this oracle knows."""
    from oracle.store import models

    ground = _needed()
    with ground.database.reading() as connection:
        for each in models.listed(connection, ground.rpc.chain):
            kind = "base" if each.made.is_base else f"on {each.made.base}"
            click.echo(f"{each.id:<32} {each.state:<10} {kind}  {each.made.title}")


def _bar() -> _Bar:
    return _Bar()


class _Bar:
    """One line that moves along: where the run is, its loss, and when it ends."""

    def __call__(self, told: Progress) -> None:
        if not sys.stderr.isatty() and told.step % 50 and told.step != told.steps:
            return
        width = 24
        done = width * told.step // told.steps
        line = (
            f"{told.job} [{'#' * done}{'.' * (width - done)}] {told.step}/{told.steps}  loss {told.loss:.4f}"
            f"  {told.tokens_per_s:,.0f} tokens/s  {told.eta_s:.0f} s left"
        )
        click.echo(f"\r{line}" if sys.stderr.isatty() else line, nl=not sys.stderr.isatty(), err=True)

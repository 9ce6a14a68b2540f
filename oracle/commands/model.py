"""Commands of model builders."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oracle.commands import model_registry
from oracle.commands.model_ground import FOLDER, ground_here, needed, prepared_from, run_folder
from oracle.commands.model_saying import say_accuracy, say_estimate, say_report, say_trained, tell
from oracle.commands.saying import planned
from oracle.config import read_settings
from oracle.errors import NeedsPerson
from oracle.types import DatanetId

if TYPE_CHECKING:
    from oracle.daemon.workshop import Prepared

RECIPE = click.Path(path_type=Path, dir_okay=False)
DEVICE = click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
CALIBRATE = click.option(
    "--calibrate",
    is_flag=True,
    help="Measure how well its shares are known, by 28 retrainings at most; or say why it cannot be.",
)
OUT = click.option("--out", type=FOLDER, help="The run's folder; else one of the home, by the recipe's name.")


@click.group()
def model() -> None:
    """Models: from a snapshot to a published adapter that is proven better than its base."""


@model.command()
@click.argument("datanets", nargs=-1, type=int)
@click.option("--snapshot", "folders", multiple=True, type=FOLDER, help="Or an exported snapshot; may be given again.")
@click.option("--name", required=True, help="Of the model: small letters, digits, dots and dashes.")
@click.option("--base", default="embedded", show_default=True, help="A folder, a name on the hub, or embedded.")
@click.option("--preset", type=click.Choice(["quick", "balanced", "thorough"]), default="balanced", show_default=True)
@click.option("--out", type=RECIPE, default="recipe.yaml", show_default=True)
def init(datanets: tuple[int, ...], folders: tuple[Path, ...], name: str, base: str, preset: str, out: Path) -> None:
    """Write a recipe over the newest snapshots of datanets, with sensible values."""
    from oracle.daemon.workshop import gather
    from oracle.factory.base import embedded
    from oracle.factory.recipe import parse
    from oracle.factory.sensible import GENERAL, recipe_over
    from oracle.store import snapshots

    if out.exists():
        raise NeedsPerson(f"{out}: is there already; give another --out")
    ground = ground_here()
    sources: list[dict[str, Any]] = [{"folder": str(folder)} for folder in folders]
    for number in datanets:
        if ground is None:
            raise NeedsPerson("there is no oracle here: run `openledger init`, or give --snapshot FOLDER")
        with ground.database.reading() as connection:
            made = snapshots.get_snapshot(connection, DatanetId(number))
        sources.append({"datanet": number, "snapshot": made.number})
    if not sources:
        raise NeedsPerson("over which snapshots? name datanets by their numbers, or give --snapshot FOLDER")
    asked = parse(json.dumps({"name": name, "base": base, "preset": preset, "snapshots": sources}), "recipe")
    prepared = gather(asked, ground, read_settings().home / "factory")
    out.write_text(recipe_over(asked, prepared.rows, prepared.base), encoding="utf-8")
    click.echo(f"{out}: {len(prepared.rows)} rows; look at it, then: openledger model train {out} --dry-run")
    if prepared.base != embedded():
        click.echo(f"{GENERAL}: write it first; the recipe says what belongs into it")


@model.command()
@click.argument("recipes", type=RECIPE, nargs=-1, required=True)
@OUT
@click.option("--dry-run", is_flag=True, help="Rows, tokens, steps, memory, time and licences; trains nothing.")
@click.option("--queue", is_flag=True, help="Leave it to the workers of the queue `train`.")
@CALIBRATE
@DEVICE
def train(
    recipes: tuple[Path, ...], out: Path | None, dry_run: bool, queue: bool, calibrate: bool, device: str
) -> None:
    """Train an adapter, or several over one base together. A run that was killed goes on from its last checkpoint, to
    the same weights."""
    from oracle.daemon.workshop import make, make_together
    from oracle.factory.suites import require

    ground = ground_here()
    prepared = [prepared_from(recipe, ground) for recipe in recipes]
    for each in prepared:
        require(each.recipe)
    if dry_run:
        for each in prepared:
            say_estimate(each)
    elif queue:
        from oracle.daemon.training import request

        for each, recipe in zip(prepared, recipes):
            click.echo(f"run {request(needed(), each.recipe, recipe)}: queued; a worker of the queue train makes it")
    elif len(prepared) == 1:
        trained = make(prepared[0], run_folder(prepared[0].recipe.name, out), tell, device=device)
        assert trained is not None
        say_trained(trained, recipes[0])
        if calibrate:
            _measure(prepared[0], trained.folder)
    else:
        together = out or read_settings().home / "runs"
        runs = [(each, together / each.recipe.name) for each in prepared]
        for each, done, recipe in zip(prepared, make_together(runs, together, tell, device), recipes):
            say_trained(done, recipe)
            if calibrate:
                _measure(each, done.folder)


@model.command(name="eval")
@click.argument("recipe", type=RECIPE)
@OUT
@click.option("--leave-out", type=click.Choice(["datanet", "contributor"]), help="Train again without each of them.")
@click.option("--groups", type=click.IntRange(2), help="With --leave-out: contributors put into so many groups.")
@DEVICE
def evaluate(recipe: Path, out: Path | None, leave_out: str | None, groups: int | None, device: str) -> None:
    """Base and adapter side by side on what is held out, and whether the gate lets it through. Exits with 1 if not."""
    from oracle.daemon.workshop import judge, judge_parts

    prepared = prepared_from(recipe, ground_here())
    folder = run_folder(prepared.recipe.name, out)
    report = judge(prepared, folder, device)
    say_report(report)
    if leave_out:
        for each in judge_parts(prepared, folder, leave_out, lambda line: click.echo(line, err=True), groups):
            loss = each.loss
            click.echo(
                f"without {each.group}: {each.rows} rows, loss {loss.value:+.4f} a token"
                f" [{loss.low:+.4f}, {loss.high:+.4f}]"
            )
    sys.exit(not report.go)


@model.command()
@click.argument("recipe", type=RECIPE)
@OUT
@click.option("--force", metavar="REASON", help="Although the gate said NO-GO; the reason stands in the manifest.")
@click.option("--dry-run", is_flag=True, help="Check all of it and publish nothing.")
@CALIBRATE
def publish(recipe: Path, out: Path | None, force: str | None, dry_run: bool, calibrate: bool) -> None:
    """Put the adapter among the models: its files as blobs, its hashes on chain."""
    from oracle.daemon import releasing

    ground = needed()
    prepared = prepared_from(recipe, ground)
    folder = run_folder(prepared.recipe.name, out)
    if calibrate:
        _measure(prepared, folder)
    if dry_run:
        made, _ = releasing.assemble(ground, prepared, folder, force, keep=False)
        click.echo(f"{len(made.files)} files, weights 0x{made.weights.hex()}, manifest 0x{made.manifest.hex()}")
        return
    found = releasing.publish(ground, prepared, folder, force)
    click.echo(f"model {found.id}: manifest 0x{found.made.manifest.hex()}; {planned(found.builder)}")
    if not calibrate and not any(found.made.accuracy):
        click.echo("accuracy of attribution: not measured; another version with --calibrate would have it")


def _measure(prepared: Prepared, folder: Path) -> None:
    from oracle.daemon.measuring import measure

    say_accuracy(measure(prepared, folder, say=lambda line: click.echo(line, err=True)))


for command in model_registry.COMMANDS:
    model.add_command(command)

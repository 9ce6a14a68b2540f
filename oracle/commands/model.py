"""Commands of model builders."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oracle.config import read_settings
from oracle.daemon.ground import Ground
from oracle.errors import NeedsPerson
from oracle.types import DatanetId

if TYPE_CHECKING:
    from oracle.daemon.workshop import Prepared
    from oracle.factory.evaluation import Report
    from oracle.factory.training import Trained
    from oracle.factory.watching import Progress
    from oracle.store.models import Model

RECIPE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
DEVICE = click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
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
    from oracle.factory.recipe import parse
    from oracle.factory.sensible import recipe_over
    from oracle.store import snapshots

    if out.exists():
        raise NeedsPerson(f"{out}: is there already; give another --out")
    ground = _ground()
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


@model.command()
@click.argument("recipes", type=RECIPE, nargs=-1, required=True)
@OUT
@click.option("--dry-run", is_flag=True, help="Rows, tokens, steps, memory, time and licences; trains nothing.")
@click.option("--queue", is_flag=True, help="Leave it to the workers of the queue `train`.")
@DEVICE
def train(recipes: tuple[Path, ...], out: Path | None, dry_run: bool, queue: bool, device: str) -> None:
    """Train an adapter, or several over one base together. A run that was killed goes on from its last checkpoint, to
    the same weights."""
    from oracle.daemon.workshop import make, make_together
    from oracle.factory.suites import require

    ground = _ground()
    prepared = [_prepared(recipe, ground) for recipe in recipes]
    for each in prepared:
        require(each.recipe.evaluation)
    if dry_run:
        for each in prepared:
            _say_estimate(each)
    elif queue:
        from oracle.daemon.training import request

        for each, recipe in zip(prepared, recipes):
            click.echo(f"run {request(_needed(), each.recipe, recipe)}: queued; a worker of the queue train makes it")
    elif len(prepared) == 1:
        trained = make(prepared[0], _folder(prepared[0].recipe.name, out), _tell, device=device)
        assert trained is not None
        _say_trained(trained, recipes[0])
    else:
        together = out or read_settings().home / "runs"
        runs = [(each, together / each.recipe.name) for each in prepared]
        for each_trained, recipe in zip(make_together(runs, together, _tell, device), recipes):
            _say_trained(each_trained, recipe)


@model.command(name="eval")
@click.argument("recipe", type=RECIPE)
@OUT
@click.option("--leave-out", type=click.Choice(["datanet", "contributor"]), help="Train again without each of them.")
@DEVICE
def evaluate(recipe: Path, out: Path | None, leave_out: str | None, device: str) -> None:
    """Base and adapter side by side on what is held out, and whether the gate lets it through. Exits with 1 if not."""
    from oracle.daemon.workshop import judge, judge_parts

    prepared = _prepared(recipe, _ground())
    folder = _folder(prepared.recipe.name, out)
    report = judge(prepared, folder, device)
    _say_report(report)
    if leave_out:
        for each in judge_parts(prepared, folder, leave_out, lambda line: click.echo(line, err=True)):
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
def publish(recipe: Path, out: Path | None, force: str | None, dry_run: bool) -> None:
    """Put the adapter among the models: its files as blobs, its hashes on chain. The daemon sends it."""
    from oracle.daemon import releasing

    ground = _needed()
    prepared = _prepared(recipe, ground)
    folder = _folder(prepared.recipe.name, out)
    if dry_run:
        made, _ = releasing.assemble(ground, prepared, folder, force, keep=False)
        click.echo(f"{len(made.files)} files, weights 0x{made.weights.hex()}, manifest 0x{made.manifest.hex()}")
        return
    found = releasing.publish(ground, prepared, folder, force)
    click.echo(f"model {found.id}: manifest 0x{found.made.manifest.hex()}; the daemon sends it")


@model.command(name="list")
def list_() -> None:
    """All that this oracle knows."""
    from oracle.store import models

    ground = _needed()
    with ground.database.reading() as connection:
        for each in models.listed(connection, ground.rpc.chain):
            kind = "base" if each.made.is_base else f"on {each.made.base}"
            forced = ", forced" if each.made.forced else ""
            click.echo(f"{each.id:<32} {each.state:<10} {kind}{forced}  {each.made.title}")


@model.command()
@click.argument("name")
def show(name: str) -> None:
    """One version: what it was made of, how good it is, what it costs. NAME is the newest, NAME@2 the second."""
    from oracle.daemon.models import status_of

    ground = _needed()
    found = _find(ground, name)
    made = found.made
    click.echo(f"{found.id}  {found.state}, number {found.model or 'none yet'}, builder {found.builder}")
    click.echo(f"  {made.title or made.base}  {made.about}")
    click.echo(
        f"  price  {found.input_price} wei in, {found.output_price} wei out, of 1,000 tokens; split {made.split}"
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


@model.command()
@click.argument("one")
@click.argument("other")
def compare(one: str, other: str) -> None:
    """What changed between two versions in data, recipe and results."""
    from oracle.factory.comparing import compare as compared

    ground = _needed()
    found = [_find(ground, name) for name in (one, other)]
    if any(each.made.is_base for each in found):
        raise NeedsPerson("bases were not made here; compare two versions of adapters")
    for line in compared(*(_manifest(ground, each) for each in found)):
        click.echo(line)


@model.command()
@click.argument("name")
@click.option("--out", type=FOLDER, required=True)
@click.option("--private", is_flag=True, help="Also rows that are private, in clear.")
def export(name: str, out: Path, private: bool) -> None:
    """One folder for an auditor: weights, manifest, papers, rows, and an index whose root is on chain."""
    from oracle.daemon.auditing import export as write

    ground = _needed()
    write(ground, _find(ground, name), out, private)
    click.echo(f"{out}: {sum(each.is_file() for each in out.rglob('*'))} files; openledger model verify {out}")


@model.command()
@click.argument("folder", type=FOLDER)
def verify(folder: Path) -> None:
    """Check an exported folder, offline: every file, the manifest, the builder's signature."""
    from oracle.daemon.auditing import verify as checked

    found = checked(folder)
    click.echo(f"{found.files} files are those of the index; signed by {found.signature['account']}")
    click.echo(f"manifest 0x{found.manifest}\nCompare it with ModelRegistry.versionOf on a node that you trust.")


@model.command()
@click.argument("name")
@click.option("--input", "input_", required=True, help="OPEN for 1,000 prompt tokens.")
@click.option("--output", required=True, help="OPEN for 1,000 generated tokens.")
def price(name: str, input_: str, output: str) -> None:
    """Announce another price; it holds after the registry's notice period, for every version."""
    from oracle.daemon.models import announce_price
    from oracle.daemon.releasing import wei

    ground = _needed()
    announce_price(ground, _find(ground, name), (wei(input_), wei(output)))
    click.echo("planned; the daemon sends it")


@model.command()
@click.argument("name")
@click.option("--because", required=True, help="Its hash stands on chain.")
def deprecate(name: str, because: str) -> None:
    """Say that a version should not be begun with any more; it is still served."""
    from oracle.daemon.models import DEPRECATED

    _end(name, DEPRECATED, because)


@model.command()
@click.argument("name")
@click.option("--because", required=True, help="Its hash stands on chain.")
def withdraw(name: str, because: str) -> None:
    """Take a version out of service, for good."""
    from oracle.daemon.models import WITHDRAWN

    _end(name, WITHDRAWN, because)


def _end(name: str, status: int, because: str) -> None:
    from oracle.daemon.models import set_status

    ground = _needed()
    if "@" not in name:
        raise NeedsPerson(f"{name}: say which version, as {name}@1; there is no way back")
    set_status(ground, _find(ground, name), status, because)
    click.echo("planned; the daemon sends it")


def _ground() -> Ground | None:
    """None where no oracle was made here: folders can be trained on all the same."""
    ground = Ground(read_settings())
    return ground if ground.settings.database_url or (ground.settings.home / "ledger.db").exists() else None


def _needed() -> Ground:
    ground = _ground()
    if ground is None:
        raise NeedsPerson("there is no oracle here: run `openledger init`")
    return ground


def _find(ground: Ground, name: str) -> Model:
    from oracle.daemon.workshop import find

    return find(ground, name)


def _manifest(ground: Ground, found: Model) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(ground.blobs.read(found.made.files["manifest.json"]))
    return said


def _folder(name: str, out: Path | None) -> Path:
    return out or read_settings().home / "runs" / name


def _prepared(file: Path, ground: Ground | None) -> Prepared:
    from oracle.daemon.workshop import gather
    from oracle.factory.recipe import read

    return gather(read(file), ground, read_settings().home / "factory")


def _say_trained(found: Trained, recipe: Path) -> None:
    """The recipe stays beside what came of it."""
    (found.folder / "recipe.yaml").write_bytes(recipe.read_bytes())
    click.echo(f"{found.steps} steps, loss {found.loss:.4f}, weights 0x{found.weights}\n{found.folder}")


def _say_estimate(prepared: Prepared) -> None:
    from oracle.factory.estimate import estimate

    found = estimate(prepared.recipe, prepared.training, prepared.base, prepared.start)
    click.echo(f"rows     {found.rows} to train on, {len(prepared.rows) - found.rows} held out")
    if found.without_target or found.cut:
        click.echo(f"         {found.cut} are cut at the length, {found.without_target} have nothing left to learn")
    click.echo(f"tokens   {found.tokens} an epoch\nsteps    {found.steps}")
    click.echo(f"weights  {found.trained:,} trained beside {found.parameters:,} frozen")
    click.echo(f"memory   {found.memory_mb} MB at its peak in a few real steps")
    click.echo(f"time     about {found.seconds:.0f} s on this machine's CPU, from those steps")
    licences = sorted({each.licence for each in prepared.snapshots})
    click.echo(f"licences {', '.join(licences)}; the adapter's own has to be {prepared.licence}")


def _say_report(report: Report) -> None:
    for name, sides in (("base", report.base), ("adapter", report.adapter)):
        for what, side in sides.items():
            for metric, figure in side.figures.items():
                click.echo(
                    f"{name:<8} {what:<9} {metric:<12} {figure.value:10.4f}  [{figure.low:.4f}, {figure.high:.4f}]"
                    f"  {figure.items} items"
                )
    for suite, metrics in report.suites.items():
        for metric, sides_ in metrics.items():
            click.echo(f"{suite} {metric}: {sides_['base']['value']:.4f} → {sides_['adapter']['value']:.4f}")
    for reason in report.reasons:
        click.echo(reason)
    click.echo("GO" if report.go else "NO-GO")


def _tell(told: Progress) -> None:
    """One line that moves along: where the run is, its loss, and when it ends."""
    shown = sys.stderr.isatty()
    if not shown and told.step % 50 and told.step != told.steps:
        return
    width = 24
    done = width * told.step // told.steps
    line = (
        f"{told.job} [{'#' * done}{'.' * (width - done)}] {told.step}/{told.steps}  loss {told.loss:.4f}"
        f"  {told.tokens_per_s:,.0f} tokens/s  {told.eta_s:.0f} s left"
    )
    if shown:
        click.echo(f"\r{line}", nl=told.step == told.steps, err=True)
    else:
        click.echo(line, err=True)

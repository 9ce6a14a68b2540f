"""What the commands of model builders say of runs, estimates and verdicts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from oracle.attribution.calibration import Accuracy
    from oracle.daemon.workshop import Prepared
    from oracle.factory.evaluation import Report
    from oracle.factory.trained import Trained
    from oracle.factory.watching import Progress


def say_trained(found: Trained, recipe: Path) -> None:
    """The recipe stays beside what came of it."""
    (found.folder / "recipe.yaml").write_bytes(recipe.read_bytes())
    click.echo(f"{found.steps} steps, loss {found.loss:.4f}, weights 0x{found.weights}\n{found.folder}")


def say_estimate(prepared: Prepared) -> None:
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


def say_report(report: Report) -> None:
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


def tell(told: Progress) -> None:
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


def say_accuracy(found: Accuracy | str) -> None:
    if isinstance(found, str):
        click.echo(f"accuracy of attribution: not measured, {found}")
        return
    lds = found.lds_contributors
    click.echo(
        f"accuracy of attribution: LDS {lds.value:.3f} [{lds.low:.3f}, {lds.high:.3f}] by {found.retrainings}"
        f" retrainings; {found.recommendation}"
    )

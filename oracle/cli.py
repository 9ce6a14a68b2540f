"""The `openledger` command. Each part is imported only when its command runs."""

from __future__ import annotations

from pathlib import Path

import click

from oracle import __version__
from oracle.errors import OpenLedgerError


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OpenLedgerError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
@click.version_option(__version__, prog_name="openledger")
def main() -> None:
    """Remembers who made a specialised language model, and pays them each time it is used."""


@main.command()
@click.option("--rpc", default="http://127.0.0.1:8545", show_default=True, help="A node of the chain.")
@click.option(
    "--deployments",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("deployments"),
    show_default=True,
    help="The folder that the deployment wrote.",
)
def suite(rpc: str, deployments: Path) -> None:
    """Where the contracts stand on the chain of a node, and whether the code there is alive."""
    from oracle.chain.suite import standing

    for name, address, code_bytes in standing(rpc, deployments):
        click.echo(f"{name:<18} {address}  {code_bytes:>6} bytes of code")

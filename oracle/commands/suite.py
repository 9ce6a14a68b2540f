"""`openledger suite`: for whoever has just deployed."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
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

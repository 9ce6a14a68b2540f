"""`openledger suite`: for whoever has just deployed."""

from __future__ import annotations

from pathlib import Path

import click

from oracle.config import read_settings


@click.command()
@click.option("--rpc", help="A node of the chain; else the first of OPENLEDGER_RPC_URLS.")
@click.option(
    "--deployments",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder that the deployment wrote; else OPENLEDGER_DEPLOYMENTS.",
)
def suite(rpc: str | None, deployments: Path | None) -> None:
    """Where the contracts stand on the chain of a node, and whether the code there is alive."""
    from oracle.chain.suite import standing

    settings = read_settings()
    node = rpc or settings.rpc_urls[0].get_secret_value()
    for name, address, code_bytes in standing(node, deployments or settings.deployments):
        click.echo(f"{name:<18} {address}  {code_bytes:>6} bytes of code")

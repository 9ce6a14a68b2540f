"""The `openledger` command. Each part is imported only when its command runs."""

from __future__ import annotations

from importlib import import_module

import click

from oracle import __version__
from oracle.errors import OpenLedgerError

# command → the module of oracle.commands that holds it under this name, and what `--help` says of it
COMMANDS = {
    "init": ("operator", "Make a home: folder, master key, database."),
    "up": ("operator", "Start everything on this machine."),
    "worker": ("operator", "Work for some of the queues."),
    "beat": ("operator", "Send out what is done again and again."),
    "api": ("operator", "Serve HTTP."),
    "infer": ("operator", "Answer what APIs ask through the queue."),
    "doctor": ("operator", "Look whether all is well, and how to mend what is not."),
    "database": ("operator", "The database's tables."),
    "work": ("operator", "What is parked, and going on with it."),
    "settings": ("operator", "Every setting, and its value."),
    "contribute": ("contributor", "Put the rows of a file into a datanet."),
    "sign": ("contributor", "Hand in a contributor's signature."),
    "erase": ("contributor", "Erase a contribution or some of its rows."),
    "datanet": ("datanets", "Datanets: rules, contents, snapshots."),
    "review": ("datanets", "What rules hold back, and the outcomes that reviewers sign."),
    "retrieval": ("retrieval", "Documents that models look up."),
    "model": ("model", "Train, prove, publish and export models."),
    "mcp": ("agents", "Serve the API's calls as tools for agents."),
    "agent": ("agents", "This service as other agents find it."),
    "suite": ("suite", "Where the contracts stand."),
    "index": ("chain", "Read the chain's events."),
    "send": ("chain", "What was, is and will be written to the chain."),
    "attribution": ("attribution", "How well the shares of a model are known."),
    "settle": ("settlement", "Receipts into batches, batches into roots."),
    "attest": ("attestor", "Check a published batch, and sign it or object."),
    "verify": ("settlement", "Recompute an exported batch, offline."),
    "statement": ("earner", "What an account earned, and why or why not."),
    "claim": ("earner", "Claim what was earned."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        try:
            command = getattr(import_module(f"oracle.commands.{module}"), cmd_name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("oracle"):
                raise
            raise click.ClickException(
                f"{cmd_name} needs {error.name}: install the daemon's part with pip install 'openledger[daemon]'"
            ) from None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except OpenLedgerError as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error


@click.group(cls=_Commands, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="openledger")
def main() -> None:
    """Remembers who made a specialised language model, and pays them each time it is used."""

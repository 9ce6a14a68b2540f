"""Commands of whoever keeps an oracle running."""

from __future__ import annotations

import sys
import time

import click
from pydantic import SecretStr

from oracle.config import PREFIX, Settings, read_settings
from oracle.store import work as stored_work
from oracle.store.database import Database, newest_revision
from oracle.telemetry import configure_logs
from oracle.types import Timestamp


def _daemon() -> Settings:
    settings = read_settings()
    configure_logs(settings.log_level)
    return settings


@click.command()
def init() -> None:
    """Make a home: its folder, a master key for private rows, the tables of the database."""
    from oracle.daemon.local import initialise

    settings = read_settings()
    initialise(settings)
    click.echo(
        f"home      {settings.home}\ndatabase  {Database(settings.database).name}\nkey       {settings.master_key}"
    )
    click.echo("Keep a copy of the key where no backup of the rows lies: without it, private rows are lost.")


@click.command()
@click.option("--chain/--no-chain", default=True, help="With a local chain, if no setting names another.")
def up(chain: bool) -> None:
    """Start everything on this machine: Redis, a local chain, workers, the API. Ctrl-C takes all of it down."""
    from oracle.daemon.local import Local

    Local(_daemon(), click.echo).run(chain)


@click.command()
@click.option("--queues", required=True, help="Which to work for, separated by commas; a wrong one names them all.")
@click.option("--name", default="worker", show_default=True, help="One name per worker of a machine.")
def worker(queues: str, name: str) -> None:
    """Work for some of the queues, until SIGTERM. On another machine this is all that runs."""
    from oracle.daemon.watch import Watch

    Watch(_daemon(), [queue for queue in queues.split(",") if queue], name).run()


@click.command()
def beat() -> None:
    """Send out the rounds. One process of all machines has to; a second one does no harm."""
    from oracle import jobs

    jobs.beat(_daemon())


@click.command()
def api() -> None:
    """Serve the API and the pages, at OPENLEDGER_HTTP_HOST and OPENLEDGER_HTTP_PORT."""
    from oracle.api.app import create
    from oracle.api.listening import listen

    settings = _daemon()
    listen(create(settings), settings.http_host, settings.http_port)


@click.command()
@click.option("--name", default="engine", show_default=True, help="One name per engine of a machine.")
def infer(name: str) -> None:
    """Answer what APIs ask through the queue, until SIGTERM; for `OPENLEDGER_INFERENCE=queue`."""
    import signal
    import socket
    import threading

    from oracle.daemon.engines import inference_of
    from oracle.daemon.ground import Ground
    from oracle.daemon.inference_queue import Host, connect

    settings = _daemon()
    ground, over = Ground(settings), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    engine = inference_of(ground)
    Host(connect(settings), ground.database, engine, f"{name}@{socket.gethostname()}").run(over)
    engine.close()


@click.command()
def doctor() -> None:
    """Look at every part, say what is wrong and how to mend it. Exits with 1 if something is."""
    from oracle.daemon.doctor import examine

    findings = examine(read_settings())
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        mark = {"well": click.style("ok   ", fg="green"), "unsure": click.style("look ", fg="yellow")}.get(
            finding.state, click.style("WRONG", fg="red")
        )
        click.echo(f"{mark}  {finding.part:<{width}}  {finding.found}")
        if finding.remedy:
            click.echo(f"{'':<{width + 9}}→ {finding.remedy}")
    sys.exit(any(finding.state == "wrong" for finding in findings))


@click.group()
def database() -> None:
    """The database's tables."""


@database.command()
def upgrade() -> None:
    """Bring the tables to what this version expects."""
    opened = Database(read_settings().database)
    before = opened.revision()
    opened.upgrade()
    click.echo(f"{opened.name}: {before or 'empty'} → {newest_revision()}")


@click.group()
def work() -> None:
    """Work that waits for a person."""


@work.command(name="parked")
def _parked() -> None:
    """What is parked, and why."""
    with Database(read_settings().database).reading() as connection:
        items = stored_work.parked(connection, 1000)
    for item in items:
        click.echo(f"{item.step}  {item.subject}\n    {item.reason}")
    click.echo(f"{len(items)} parked")


@work.command()
@click.argument("step")
@click.argument("subject")
def resume(step: str, subject: str) -> None:
    """Go on with it, after what it says was mended."""
    with Database(read_settings().database).transaction() as connection:
        stored_work.resume(connection, step, subject, Timestamp(int(time.time())))
    click.echo(f"{step} {subject}: is taken up within seconds")


@click.command()
def settings() -> None:
    """Every setting with its value. Secrets are not shown."""
    read = read_settings()
    for name, field in Settings.model_fields.items():
        value = getattr(read, name)
        if isinstance(value, tuple):
            value = ", ".join("set" if isinstance(part, SecretStr) else str(part) for part in value)
        elif isinstance(value, SecretStr):
            value = "set" if value.get_secret_value() else ""
        click.echo(f"{PREFIX}{name.upper():<24} {value if value is not None else ''}\n    {field.description}")

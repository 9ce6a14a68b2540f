"""Commands of the attestor: on its own machine, with its own key, node and database."""

from __future__ import annotations

import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oracle.commands.settlement import BUNDLE, ground_of_settings, onchain_of, registries_of
from oracle.commands.taking import ACCOUNT
from oracle.errors import NeedsPerson, Retry
from oracle.types import Address

if TYPE_CHECKING:
    from oracle.settlement.attest import Opinion
    from oracle.settlement.watching import Watching

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.command()
@click.argument("bundle", type=BUNDLE, required=False)
@click.option("--watch", is_flag=True, help="Go on checking whatever the operator publishes, until SIGTERM.")
@click.option("--from", "url", help="The operator's server, for --watch: https://…")
@click.option("--every", default=15, show_default=True, help="Seconds between two looks.")
@click.option("--sample", default=16, show_default=True, help="Receipts whose attribution is recomputed.")
@click.option("--tolerance", default=20_000, show_default=True, help="Millionths that two attributions may lie apart.")
@click.option(
    "--operator", type=ACCOUNT, help="Whose receipts they have to be; without it the document's word is taken."
)
@click.option("--treasury", type=ACCOUNT, help="The treasury's account, if it is not the timelock.")
@click.option("--commons", type=ACCOUNT, help="The commons' account, if it is not the timelock.")
@click.option("--least", default=0, show_default=True, help="So many of them have to be recomputed before it signs.")
@click.option("--models", type=FOLDER, help="Files of models. Watching fetches the public ones by itself.")
@click.option("--answers", type=FOLDER, help="Answers that were disclosed for a BUNDLE. Watching asks for them itself.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where the opinion is written.")
def attest(
    bundle: Path | None,
    watch: bool,
    url: str | None,
    every: int,
    sample: int,
    tolerance: int,
    operator: Address | None,
    treasury: Address | None,
    commons: Address | None,
    least: int,
    models: Path | None,
    answers: Path | None,
    out: Path | None,
) -> None:
    """Check a published batch against the chain, and sign it or say precisely what is wrong. Exits with 1 if it is."""
    from oracle.chain.signer import signer_of
    from oracle.daemon.fetching import Fetching
    from oracle.daemon.recomputing import recomputer_of
    from oracle.daemon.registered import Registered
    from oracle.settlement.attest import Policy
    from oracle.settlement.attest import attest as judge
    from oracle.settlement.drawing import Drawing
    from oracle.settlement.verify import DOCUMENT, STATEMENT, Signed
    from oracle.settlement.watching import Publisher, Watching
    from oracle.store.folder import Folder

    if watch == (bundle is not None) or watch == (url is None):
        raise NeedsPerson("give a BUNDLE to check once, or --watch --from URL to check whatever is published there")
    ground = ground_of_settings()
    signer = signer_of(ground.settings)
    if signer is None:
        raise NeedsPerson("no key: set OPENLEDGER_KEYSTORE and OPENLEDGER_PASSWORD_FILE to the attestor's")
    policy = Policy(sample, tolerance, operator, least)
    journal, onchain = Folder(str(ground.settings.home / "attested")), onchain_of(ground)
    if url is not None:
        publisher, given = Publisher(url), ground.settings.home / "disclosed"
        drawing = Drawing(publisher, onchain, signer, journal, given) if find_spec("torch") else None
        known = Registered(ground, publisher)
        fetched = recomputer_of(
            models or ground.settings.home / "models", given, Fetching(publisher, known.manifest_of), known
        )
        _watch(
            Watching(
                publisher, onchain, signer, journal, policy, fetched,
                lambda: registries_of(ground, treasury, commons), drawing,
            ),
            every,
        )  # fmt: skip
        return
    recompute = recomputer_of(models, answers, registry=Registered(ground))
    assert bundle is not None
    signed, document = Signed.from_json((bundle / STATEMENT).read_bytes()), bundle / DOCUMENT
    published = document.read_bytes() if document.exists() else None
    registries = registries_of(ground, treasury, commons)
    opinion = judge(signed, published, onchain, signer, journal, policy, recompute, registries)
    if out is not None:
        out.write_bytes(opinion.as_json())
    _say(opinion)
    sys.exit(opinion.objection is not None)


def _watch(watching: Watching, every: int) -> None:
    """Until SIGTERM or SIGINT. What is too early, or does not answer, is looked at again."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    click.echo(f"watching {watching.publisher.url} as {watching.signer.address}")
    before = ""
    while not ended.is_set():
        try:
            opinion = watching.turn()
        except Retry as error:
            if str(error) != before:
                click.echo(f"again in {every} s: {error}")
            before = str(error)
        except NeedsPerson as error:
            click.echo(f"a person has to look: {error}", err=True)
        else:
            if opinion is not None:
                _say(opinion)
        sys.stdout.flush()
        ended.wait(every)


def _say(opinion: Opinion) -> None:
    for name, count in opinion.said.items():
        click.echo(f"{count:>9}  {name}")
    for why, count in opinion.unable.items():
        click.echo(f"attribution not recomputed for {count} of {opinion.said['sampled']}: {why}")
    click.echo(f"objection: {opinion.objection}" if opinion.objection else f"signature: 0x{opinion.signature.hex()}")

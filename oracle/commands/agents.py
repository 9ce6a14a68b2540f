"""Commands for agents: the tools, and the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oracle.commands.taking import ACCOUNT
from oracle.config import Settings, read_settings
from oracle.errors import NeedsPerson

if TYPE_CHECKING:
    from oracle.agents.calling import Api
    from oracle.agents.card import Registration
    from oracle.agents.purse import Purse

_ABOUT = (
    "Specialised language models whose contributors are paid for every answer. OpenAI-compatible; a quote before the"
    " call, a signed receipt after it, and whose rows shaped the answer."
)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option("--api", "url", default="http://127.0.0.1:8000", show_default=True, help="Where the API answers.")
@click.option("--api-key-file", type=_FILE, help="A file with an API key, whose wallet has signed its spending cap.")
@click.option("--keystore", type=_FILE, help="Or a wallet's encrypted keystore, to sign vouchers with.")
@click.option("--password-file", type=_FILE, help="Its password.")
@click.option("--cap", help="With a keystore: how much its vouchers may come to in total, in OPEN.")
@click.option("--operator", type=ACCOUNT, help="Whose signature receipts have to bear; else whom the API names.")
def mcp(
    url: str,
    api_key_file: Path | None,
    keystore: Path | None,
    password_file: Path | None,
    cap: str | None,
    operator: str | None,
) -> None:
    """Serve the API's calls as tools of the Model Context Protocol, on standard input and output."""
    from oracle.agents.calling import Api
    from oracle.agents.purse import KeyPurse, NoPurse
    from oracle.agents.tools import server

    api = Api(url)
    purse: Purse = NoPurse()
    if api_key_file is not None and keystore is not None:
        raise NeedsPerson("--api-key-file and --keystore: choose one")
    if api_key_file is not None:
        purse = KeyPurse(api_key_file.read_text(encoding="utf-8").strip())
    elif keystore is not None:
        purse = _voucher_purse(api, keystore, password_file, cap)
    server(api, purse, operator).run("stdio")


def _voucher_purse(api: Api, keystore: Path, password_file: Path | None, cap: str | None) -> Purse:
    from eth_account import Account

    from oracle.agents.purse import VoucherPurse
    from oracle.agents.tools import wei_of
    from oracle.client.wallet import Wallet

    if password_file is None or cap is None:
        raise NeedsPerson("--keystore needs --password-file, and --cap: how much may be spent in total, in OPEN")
    password = password_file.read_text(encoding="utf-8").strip()
    try:
        secret = Account.decrypt(json.loads(keystore.read_text(encoding="utf-8")), password)
    except (ValueError, KeyError, TypeError) as error:
        raise NeedsPerson(f"{keystore}: cannot be opened with the password of {password_file} ({error})") from None
    return VoucherPurse(Wallet(bytes(secret)), api, wei_of(cap))


@click.group()
def agent() -> None:
    """This service as other agents find it."""


@agent.command()
@click.option("--url", help="Of the API, as others reach it; else where it listens.")
@click.option("--name", default="OpenLedger", show_default=True)
@click.option("--about", default=_ABOUT, help="What it does, in a sentence or two.")
@click.option("--image", default="", help="The address of a picture.")
@click.option("--mcp", "mcp_url", default="", help="Where tools are served over HTTP, if they are.")
@click.option(
    "--registered",
    nargs=2,
    multiple=True,
    metavar="REGISTRY AGENT",
    help="Where it is registered: eip155:CHAIN:ADDRESS and its number there; may be given again.",
)
def card(
    url: str | None, name: str, about: str, image: str, mcp_url: str, registered: tuple[tuple[str, str], ...]
) -> None:
    """Its registration file (ERC-8004), from the settings."""
    from oracle.agents.card import Card
    from oracle.chain.signer import signer_of

    settings = read_settings()
    signer = signer_of(settings)
    made = Card(
        name=name,
        description=about,
        url=url or _address(settings),
        operator=None if signer is None else signer.address,
        chain=settings.chain_id,
        x402=settings.x402,
        image=image,
        mcp=mcp_url,
        registrations=tuple(_registration(*each) for each in registered),
    )
    click.echo(json.dumps(made.as_told(), indent=2, ensure_ascii=False))


def _address(settings: Settings) -> str:
    return f"http://{settings.http_host}:{settings.http_port}"


def _registration(registry: str, number: str) -> Registration:
    from oracle.agents.card import Registration

    parts = registry.split(":")
    if len(parts) != 3 or parts[0] != "eip155" or not parts[1].isdigit() or not number.isdigit():
        raise NeedsPerson(f"--registered {registry} {number}: write eip155:CHAIN:ADDRESS and a number")
    return Registration(registry, int(number))

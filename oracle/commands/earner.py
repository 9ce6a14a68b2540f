"""Commands of whoever is paid: what was earned and why, and the money itself."""

from __future__ import annotations

import time
from pathlib import Path

import click

from oracle.commands.settlement import BUNDLE, ground_of_settings, onchain_of
from oracle.commands.taking import ACCOUNT
from oracle.errors import NeedsPerson
from oracle.types import Address, Cid, Wei


@click.command()
@click.argument("address", type=ACCOUNT)
@click.option("--csv", "form", flag_value="csv", help="Instead of text: a line for each receipt.")
@click.option("--json", "form", flag_value="json", help="All of it, exact, in wei.")
@click.option("--html", "form", flag_value="html", help="A page that needs nothing else.")
@click.option(
    "--bundle",
    "bundles",
    type=BUNDLE,
    multiple=True,
    help="A batch, instead of this oracle's own; given again, others: what is earned counts these alone.",
)
def statement(address: Address, form: str | None, bundles: tuple[Path, ...]) -> None:
    """What an account earned, by contribution, why or why not, and the receipts behind every amount."""
    from oracle.settlement.forms import FORMS
    from oracle.settlement.reports import statement_of_account

    ground = ground_of_settings()
    found = statement_of_account(ground.database, ground.blobs, onchain_of(ground), address, bundles)
    click.echo(FORMS[form or "text"](found), nl=False)


@click.command()
@click.argument("addresses", type=ACCOUNT, nargs=-1, required=True)
@click.option("--bundle", type=BUNDLE, help="The exported bundle of the newest active batch; no server is asked.")
@click.option("--document", help="Or the name of its document in the blob store. Without either: this oracle's own.")
@click.option("--subtree", type=int, help="Pay the 2^N accounts around the address with one proof.")
@click.option("--price", type=click.IntRange(min=0), default=0, help="OPEN for one ether: it has to be worth its gas.")
@click.option("--most-gas-percent", default=10, show_default=True, help="With --price: the most of it, for gas.")
@click.option("--send", is_flag=True, help="Send it with the configured key. Without: print the call.")
def claim(
    addresses: tuple[Address, ...],
    bundle: Path | None,
    document: str | None,
    subtree: int | None,
    price: int,
    most_gas_percent: int,
    send: bool,
) -> None:
    """Claim what accounts have earned: for oneself, for others, for many at once. Money always goes to the account."""
    from oracle.settlement.claiming import Claiming
    from oracle.settlement.claims import shown
    from oracle.settlement.sending import send as send_claim

    ground = ground_of_settings()
    onchain = onchain_of(ground)
    if bundle is not None:
        claiming = Claiming.of_bundle(bundle, onchain)
    elif document is not None:
        claiming = Claiming.of_blob(ground.blobs, Cid(document), onchain)
    else:
        claiming = Claiming.of_newest(ground.database, ground.blobs, onchain)
    gas_price = Wei(int(ground.rpc.call("eth_gasPrice"), 16))
    data, amount = claiming.call(list(addresses), subtree, gas_price, price, most_gas_percent)
    # Of a whole subtree it is the contract that adds up.
    pays = f"{shown(amount)} OPEN" if subtree is None else "whatever is due to these accounts"
    if not send:
        click.echo(f"to    {claiming.distributor}\ndata  0x{data.hex()}\npays  {pays}")
        return
    if ground.sender is None:
        raise NeedsPerson("no key: set OPENLEDGER_KEYSTORE to send it, or give the call above to any wallet or relayer")
    tx = send_claim(ground.database, ground.sender, ground.rpc.chain, claiming.distributor, data, "claim", time.sleep)
    click.echo(f"paid {pays} by 0x{tx.hex()}")

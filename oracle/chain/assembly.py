"""The chain part as the settings describe it."""

from __future__ import annotations

from oracle.chain.contracts import AddressBook, read_address_book
from oracle.chain.indexer import Indexer
from oracle.chain.reverts import Reverts
from oracle.chain.rpc import Rpc
from oracle.chain.sender import Sender
from oracle.chain.signer import signer_of
from oracle.config import Settings
from oracle.store.database import Database
from oracle.types import ChainId, Wei

_GWEI = 10**9


def rpc_of(settings: Settings) -> Rpc:
    urls = [url.get_secret_value() for url in settings.rpc_urls]
    return Rpc.of_urls(urls, None if settings.chain_id is None else ChainId(settings.chain_id))


def address_book_of(settings: Settings, rpc: Rpc) -> AddressBook:
    return read_address_book(settings.deployments, rpc.chain)


def indexer_of(settings: Settings, rpc: Rpc, database: Database, by_logs: bool = False) -> Indexer:
    book = address_book_of(settings, rpc)
    return Indexer(rpc, database, book, settings.deployments, settings.finality, by_logs=by_logs)


def sender_of(settings: Settings, rpc: Rpc, database: Database) -> Sender | None:
    """None where no key is configured: then nothing can be sent."""
    signer = signer_of(settings)
    if signer is None:
        return None
    return Sender(
        rpc,
        database,
        rpc.chain,
        signer,
        settings.finality,
        Reverts.of_suite(settings.deployments),
        ceiling=Wei(settings.max_fee_gwei * _GWEI),
    )

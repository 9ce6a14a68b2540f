"""What every process of the daemon stands on, opened from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from oracle.chain.contracts import AddressBook, read_address_book
from oracle.chain.indexer import Indexer
from oracle.chain.reverts import Reverts
from oracle.chain.rpc import Rpc
from oracle.chain.sender import Sender
from oracle.chain.signer import Signer, signer_of
from oracle.config import Settings
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.vault import Vault
from oracle.telemetry import hide
from oracle.types import ChainId, Wei


@dataclass(frozen=True)
class Ground:
    """Parts open when they are first used: an indexer needs no vault."""

    settings: Settings

    def __post_init__(self) -> None:
        hide(*(url.get_secret_value() for url in self.settings.rpc_urls))
        hide(self.settings.redis_url.get_secret_value())

    @cached_property
    def database(self) -> Database:
        database = Database(self.settings.database)
        database.require_current()
        return database

    @cached_property
    def rpc(self) -> Rpc:
        chain = self.settings.chain_id
        urls = [url.get_secret_value() for url in self.settings.rpc_urls]
        return Rpc.of_urls(urls, None if chain is None else ChainId(chain))

    @cached_property
    def book(self) -> AddressBook:
        return read_address_book(self.settings.deployments, self.rpc.chain)

    @cached_property
    def indexer(self) -> Indexer:
        return Indexer(self.rpc, self.database, self.book, self.settings.deployments, self.settings.finality)

    @cached_property
    def signer(self) -> Signer | None:
        """None means dry run."""
        return signer_of(self.settings)

    @cached_property
    def sender(self) -> Sender | None:
        """The only writer to the chain; None without a key, and then intents stay planned."""
        if self.signer is None:
            return None
        return Sender(
            self.rpc,
            self.database,
            self.rpc.chain,
            self.signer,
            self.settings.finality,
            Reverts.of_suite(self.settings.deployments),
            ceiling=Wei(self.settings.max_fee_gwei * 10**9),
        )

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.settings.blob_store)

    @cached_property
    def vault(self) -> Vault:
        return Vault(self.settings.key_store, self.settings.master_key)

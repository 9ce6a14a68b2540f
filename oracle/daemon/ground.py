"""What every process of the daemon stands on, opened from the settings."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection

from oracle.chain.assembly import address_book_of, indexer_of, rpc_of, sender_of
from oracle.chain.contracts import AddressBook
from oracle.chain.indexer import Indexer
from oracle.chain.rpc import Rpc
from oracle.chain.sender import Sender
from oracle.chain.signer import Signer, signer_of
from oracle.config import Settings
from oracle.datanets.calls import CONTRACT, Call
from oracle.datanets.pipeline import Pipeline
from oracle.datanets.stores import Stores
from oracle.retrieval.assembly import builder_of, retriever_of
from oracle.retrieval.building import Builder
from oracle.retrieval.retriever import Retriever
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.intents import Intent, plan
from oracle.store.vault import Vault
from oracle.telemetry import hide
from oracle.types import Address, ChainId, Wei


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

    # The chain

    @cached_property
    def rpc(self) -> Rpc:
        return rpc_of(self.settings)

    @cached_property
    def book(self) -> AddressBook:
        return address_book_of(self.settings, self.rpc)

    @cached_property
    def indexer(self) -> Indexer:
        return indexer_of(self.settings, self.rpc, self.database)

    @cached_property
    def signer(self) -> Signer | None:
        """None means dry run."""
        return signer_of(self.settings)

    @cached_property
    def sender(self) -> Sender | None:
        """The only writer to the chain; None without a key, and then intents stay planned."""
        return sender_of(self.settings, self.rpc, self.database)

    # Data

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.settings.blob_store)

    @cached_property
    def stores(self) -> Stores:
        spool = Blobs(str(self.settings.home / "spool"))
        vault = Vault(self.settings.key_store, self.settings.master_key) if self.settings.master_key.exists() else None
        return Stores(self.blobs, spool, vault)

    @cached_property
    def pipeline(self) -> Pipeline:
        registry = self.book[CONTRACT]
        sender = None if self.signer is None else self.signer.address
        chain = self.rpc.chain
        planner = Planner(chain, registry, sender)
        return Pipeline(self.database, self.stores, chain, registry, planner, sender, lambda: int(time.time()))

    # Documents

    @cached_property
    def retriever(self) -> Retriever:
        return retriever_of(self.settings, self.database, self.stores)

    @cached_property
    def builder(self) -> Builder:
        return builder_of(self.settings, self.database, self.stores)


@dataclass(frozen=True)
class Planner:
    """Calls to one contract become intents of the sender, in the caller's transaction."""

    chain: ChainId
    to: Address
    by: Address | None

    def __call__(self, connection: Connection, call: Call) -> None:
        plan(connection, Intent(call.key, self.chain, self.to, call.data, Wei(0), call.purpose), self.by)

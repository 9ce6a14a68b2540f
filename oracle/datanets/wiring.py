"""A pipeline as the settings say: where its database, its blobs and its keys are, and who plans what it wants sent."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from oracle.chain.contracts import read_address_book
from oracle.config import Settings
from oracle.datanets.announcing import Plan
from oracle.datanets.calls import CONTRACT, Call
from oracle.datanets.pipeline import Pipeline
from oracle.datanets.stores import Stores
from oracle.errors import NeedsPerson
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.vault import Vault
from oracle.types import Address, ChainId


class NotSent(NeedsPerson):
    """Something has to go on chain, and nobody here sends transactions."""


def stores_of(settings: Settings) -> Stores:
    vault = Vault(settings.key_store, settings.master_key) if settings.master_key.exists() else None
    return Stores(Blobs(settings.blob_store), Blobs(str(settings.home / "spool")), vault)


def pipeline_of(settings: Settings, plan: Plan | None = None, sender: Address | None = None) -> Pipeline:
    """Without a plan it does all that needs no chain, and says so where one is needed."""
    chain = ChainId(settings.chain_id or 0)
    registry = Address("0x" + "0" * 40)
    if settings.chain_id is not None:
        registry = read_address_book(settings.deployments, chain)[CONTRACT]
    database = Database(settings.database)
    return Pipeline(database, stores_of(settings), chain, registry, plan or _nobody, sender, lambda: int(time.time()))


def _nobody(connection: Connection, call: Call) -> None:
    raise NotSent(
        f"{call.purpose}: there is no wallet here; configure OPENLEDGER_KEYSTORE, or let its contributor sign"
    )

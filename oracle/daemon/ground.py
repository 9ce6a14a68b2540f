"""What every process of the daemon stands on, opened from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from oracle.config import Settings
from oracle.store.blobs import Blobs
from oracle.store.database import Database
from oracle.store.vault import Vault
from oracle.telemetry import hide


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
    def blobs(self) -> Blobs:
        return Blobs(self.settings.blob_store)

    @cached_property
    def vault(self) -> Vault:
        return Vault(self.settings.key_store, self.settings.master_key)

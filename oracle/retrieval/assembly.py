"""Retrieval from the settings: who builds an index, and who asks it."""

from __future__ import annotations

from oracle.config import Settings
from oracle.datanets.stores import Stores
from oracle.retrieval.building import Builder
from oracle.retrieval.encoding import NONE, Apart, Encoder, Here
from oracle.retrieval.retriever import Retriever
from oracle.retrieval.segments import Segments
from oracle.store.database import Database
from oracle.store.folder import Folder


def retriever_of(settings: Settings, database: Database, stores: Stores) -> Retriever:
    """For a process that answers, whether it has torch or not: its questions are encoded by a process apart."""
    return Retriever(database, _segments(settings, stores), encoder_of(settings, apart=True))


def builder_of(settings: Settings, database: Database, stores: Stores) -> Builder:
    """For a worker, which has torch."""
    return Builder(database, stores, _segments(settings, stores), encoder_of(settings, apart=False))


def encoder_of(settings: Settings, apart: bool) -> Encoder | None:
    """None: words alone."""
    if settings.retrieval_model == NONE:
        return None
    return (Apart if apart else Here)(settings.retrieval_model)


def _segments(settings: Settings, stores: Stores) -> Segments:
    return Segments(Folder(settings.passage_store), stores)

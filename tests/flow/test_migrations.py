"""Migrations lead to just the tables that the code declares, on both databases."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from oracle.store.database import Database, WrongRevision, newest_revision
from oracle.store.schema import METADATA


def test_migrations__when_all_are_run__then_nothing_differs_from_the_code(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_upgrade__when_run_again__then_changes_nothing(database: Database) -> None:
    database.upgrade()
    assert database.revision() == newest_revision()


def test_database__when_its_tables_are_not_there__then_says_what_to_run(database_url: str) -> None:
    with pytest.raises(WrongRevision, match="openledger database upgrade"):
        Database(database_url).require_current()

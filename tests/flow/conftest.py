"""Flow tests use real servers: SQLite and PostgreSQL, Redis, Anvil."""

from fixtures.anvil import anvil
from fixtures.databases import database, database_url, postgres_url
from fixtures.suite import suite, suite_state

__all__ = ["anvil", "database", "database_url", "postgres_url", "suite", "suite_state"]

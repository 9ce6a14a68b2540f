"""Flow tests use real servers: SQLite and PostgreSQL, Redis, Anvil."""

from fixtures.databases import database, database_url, postgres_url

__all__ = ["database", "database_url", "postgres_url"]

"""Flow tests use real servers: SQLite and PostgreSQL, Redis, Anvil."""

from fixtures.databases import database, database_url, postgres_url
from fixtures.queues import home, private_redis

__all__ = ["database", "database_url", "home", "postgres_url", "private_redis"]

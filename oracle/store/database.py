"""One database: SQLite in WAL mode in a file, or PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from oracle.errors import NeedsPerson, OpenLedgerError, Retry, Stop

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_MS = 30_000
_ROOM_KB = 128 * 1024


class DatabaseUnavailable(Retry):
    """The database does not answer, or another writer held it for too long."""


class WrongRevision(Stop):
    """The tables are not those that this version of the code was written for."""


class Database:
    """A pool of connections and the only way to a transaction."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise NeedsPerson(f"database URL: {error}; write sqlite:///PATH or postgresql://USER@HOST/NAME") from error
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise NeedsPerson(f"database {parsed.get_backend_name()}: only sqlite and postgresql are supported")
        self.url = parsed
        self.name = parsed.render_as_string(hide_password=True)
        self.engine = _sqlite(parsed.database) if self.is_sqlite else _postgresql(parsed)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing. On SQLite one writer at a time; on PostgreSQL rows are locked by who changes them."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise self._fault(error) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view that waits for no writer."""
        try:
            with self.engine.connect() as connection:
                if self.is_sqlite:
                    connection = connection.execution_options(sqlite_begin="BEGIN")
                else:
                    connection = connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                with connection.begin():
                    yield connection
        except OperationalError as error:
            raise self._fault(error) from error

    def _fault(self, error: OperationalError) -> OpenLedgerError:
        # SQLite says it in the same way as that it is busy.
        if str(error.orig).startswith("no such"):
            return WrongRevision(f"database {self.name}: {error.orig}; run `openledger database upgrade`")
        return DatabaseUnavailable(f"database {self.name}: {error.orig}; it is tried again")

    # Revisions

    def upgrade(self) -> None:
        """Brings the tables to what this version expects; does nothing where they are already there."""
        with self.transaction() as connection:
            command.upgrade(self._alembic(connection), "head")

    def revision(self) -> str | None:
        """The revision that the tables are at; None in an empty database."""
        with self.reading() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def require_current(self) -> None:
        """Raises WrongRevision unless the tables are those of this version."""
        found, expected = self.revision(), newest_revision()
        if found is None:
            raise WrongRevision(
                f"database {self.name}: there are no tables in it; `openledger init` makes them where an oracle is to"
                " live (`openledger database upgrade` those alone), and OPENLEDGER_HOME names one that lives elsewhere"
            )
        if found != expected:
            raise WrongRevision(
                f"database {self.name}: its tables are at revision {found}, this version needs {expected};"
                " run `openledger database upgrade`"
            )

    def close(self) -> None:
        self.engine.dispose()

    def _alembic(self, connection: Connection) -> Config:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_MIGRATIONS))
        return config


def newest_revision() -> str:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None
    return head


def _sqlite(path: str | None) -> Engine:
    if not path or path == ":memory:":
        raise NeedsPerson("an SQLite database needs a file: several processes share it")
    folder = Path(path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NeedsPerson(f"{folder}: cannot hold the database ({error})") from error
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late: see _begin
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # in WAL mode NORMAL may forget the last commits when the power fails
            "foreign_keys=ON",
            "secure_delete=ON",  # what is erased is overwritten
            f"busy_timeout={_BUSY_MS}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that begins by reading and then writes fails at once if somebody else wrote in between, whatever
        # the timeout. Writers therefore queue up at their beginning.
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))

    return engine


class _Text(StrDumperUnknown):
    """PostgreSQL has no place for a zero character in text. Names and reasons come from strangers, some of them by the
    chain: one such name must not stop everybody's events."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\\x00"))


def _postgresql(url: URL) -> Engine:
    engine = create_engine(url, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.adapters.register_dumper(str, _Text)

    return engine


@contextmanager
def roomy(connection: Connection) -> Iterator[None]:
    """For a step that goes through millions of rows. SQLite keeps two megabytes of pages unless it is told, and reads
    and writes the rest again and again."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
    connection.exec_driver_sql(f"PRAGMA cache_size={-_ROOM_KB}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA cache_size={int(before)}")


def is_duplicate(error: DBAPIError) -> bool:
    """Whether a unique constraint refused the row."""
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", "")
    return state in ("23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY")

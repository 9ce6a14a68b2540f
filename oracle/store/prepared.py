"""Statements that are written once and run often: SQLAlchemy writes them, the driver runs them.

Building and preparing a statement anew takes SQLAlchemy ten times as long as SQLite takes to run it. Whoever serves
hundreds of calls a second keeps what it wrote. Values go the same way through the columns' types; rows come as the
driver has them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import OperationalError

_FAULTS = (sqlite3.OperationalError, psycopg.OperationalError)


class Prepared:
    """`write` is given the dialect (for its `insert`), and writes with `bindparam` for whatever varies.

    `binary`: PostgreSQL sends bytes as they are, not as hexadecimal text, which is twice as long. (SQLite always does.)
    """

    def __init__(self, write: Callable[[Any], Executable], binary: bool = False) -> None:
        self._write, self._binary = write, binary
        self._written: dict[str, tuple[str, tuple[str, ...] | None, dict[str, Any], dict[str, Any]]] = {}

    def __call__(self, connection: Connection, **values: Any) -> Any:
        """The driver's cursor."""
        dialect = connection.dialect
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = self._prepare(dialect)
        text, order, processors, fixed = written
        given = fixed | values
        for name, process in processors.items():
            given[name] = process(given[name])
        driver: Any = connection.connection.driver_connection
        options = {"binary": True} if self._binary and dialect.name == "postgresql" else {}
        try:
            return driver.execute(text, given if order is None else [given[name] for name in order], **options)
        except _FAULTS as error:
            raise OperationalError(text, None, error) from error

    def _prepare(self, dialect: Dialect) -> tuple[str, tuple[str, ...] | None, dict[str, Any], dict[str, Any]]:
        statement: Any = self._write(postgresql if dialect.name == "postgresql" else sqlite)
        compiled: Any = statement.compile(dialect=dialect)
        processors = {name: process for name, process in compiled._bind_processors.items() if process is not None}
        order = tuple(compiled.positiontup) if compiled.positional else None
        # Constants of the statement are values of their own.
        return compiled.string, order, processors, dict(compiled.params)

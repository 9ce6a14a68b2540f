"""Run by Alembic, on the connection that Database hands over."""

from typing import Any, Literal

from alembic import context

from oracle.store import columns
from oracle.store.schema import METADATA


def render(kind: str, thing: Any, autogen: Any) -> str | Literal[False]:
    """The words of the domain by their own names: a migration reads like the tables."""
    if kind == "type" and type(thing).__module__ == columns.__name__:
        autogen.imports.add(f"from oracle.store.columns import {type(thing).__name__}")
        return f"{type(thing).__name__}()"
    for name in ("Id", "Document"):
        if kind == "type" and thing is getattr(columns, name):
            autogen.imports.add(f"from oracle.store.columns import {name}")
            return name
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table by copying it
    render_item=render,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

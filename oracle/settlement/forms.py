"""A statement as people and programs read it: text, CSV, JSON, HTML."""

from __future__ import annotations

import csv
import html
import io
from typing import Any

import orjson

from oracle.settlement.claims import shown
from oracle.settlement.statement import Line, Statement

_COLUMNS = (
    "contribution", "accepted", "trained into", "influenced", "earned", "claimable", "claimed", "waiting", "why"
)  # fmt: skip


# Of a page that is kept and printed: nothing is fetched.
_STYLE = (
    "body{font:1rem/1.5 sans-serif;margin:2rem;color-scheme:light dark;overflow-wrap:anywhere}h1{font-size:1.2rem}"
    "table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;"
    "border-bottom:1px solid #8888}"
)


def as_json(said: Statement) -> str:
    content: dict[str, Any] = {**vars(said), "lines": [_as_json(line) for line in said.lines]}
    for name in ("earned", "claimable", "claimed", "pending"):
        content[name] = str(content[name])
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()


def as_csv(said: Statement) -> str:
    out = io.StringIO()
    table = csv.writer(out)
    money = {"earned", "claimable", "claimed", "waiting"}
    table.writerow([*(f"{name} (wei)" if name in money else name for name in _COLUMNS), "receipt", "wei"])
    nothing = [""] * len(_COLUMNS)
    for line in said.lines:
        amounts = (line.earned, line.claimable, line.claimed, line.pending)
        row = [line.name, line.accepted, line.trained, line.influenced, *amounts, line.reason]
        table.writerow([_inert(cell) for cell in [*row, "", ""]])
        for receipt, amount in line.receipts:
            table.writerow([line.name, *nothing[1:], receipt, amount])
    whole = (said.earned, said.claimable, said.claimed, said.pending)
    table.writerow([said.account, "", "", "", *whole, "all of it", "", ""])
    return out.getvalue()


def as_html(said: Statement) -> str:
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(line)) + f"<td>{_listed(line)}</td></tr>"
        for line in said.lines
    )
    heads = "".join(f"<th>{name}</th>" for name in (*_COLUMNS, "receipts"))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Statement of {html.escape(said.account)}</title><style>{_STYLE}</style>"
        f"<h1>Statement of {html.escape(said.account)}</h1><p>earned {shown(said.earned)} OPEN, of it claimable"
        f" {shown(said.claimable)}, claimed {shown(said.claimed)}, waiting {shown(said.pending)}</p>"
        f"<table><tr>{heads}</tr>{rows}</table>\n"
    )


def as_text(said: Statement) -> str:
    found = [
        f"{said.account}",
        f"  earned {shown(said.earned)} OPEN: claimable {shown(said.claimable)}, claimed {shown(said.claimed)},"
        f" waiting for its window {shown(said.pending)}",
    ]
    for line in said.lines:
        found.append(f"  {line.name}")
        found.append(f"    accepted {line.accepted}; trained into {line.trained}; influenced {line.influenced} answers")
        of_it = (
            f", of it claimable {shown(line.claimable)}, claimed {shown(line.claimed)}, waiting {shown(line.pending)}"
        )
        found.append(f"    earned {shown(line.earned)} OPEN" + (f": {line.reason}" if line.reason else of_it))
        found += [f"      {shown(amount)} by receipt {receipt}" for receipt, amount in line.receipts]
    return "\n".join(found) + "\n"


def _cells(line: Line) -> tuple[str, ...]:
    """As people read them, in the order of the columns."""
    money = [shown(amount) for amount in (line.earned, line.claimable, line.claimed, line.pending)]
    return (line.name, line.accepted, line.trained, str(line.influenced), *money, line.reason)


def _as_json(line: Line) -> dict[str, Any]:
    money = {name: str(getattr(line, name)) for name in ("earned", "claimable", "claimed", "pending")}
    return {**vars(line), **money, "receipts": [[name, str(amount)] for name, amount in line.receipts]}


def _listed(line: Line) -> str:
    """The receipts behind an amount, folded away."""
    if not line.receipts:
        return ""
    each = "".join(f"<li>{shown(amount)} by {html.escape(receipt)}</li>" for receipt, amount in line.receipts)
    return f"<details><summary>{len(line.receipts)}</summary><ul>{each}</ul></details>"


def _inert(cell: object) -> object:
    """A spreadsheet runs what begins like a formula."""
    return "'" + cell if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell


FORMS = {"text": as_text, "csv": as_csv, "json": as_json, "html": as_html}

"""A file from a browser: checked while one looks on, then signed by the wallet."""

from __future__ import annotations

import queue
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any, BinaryIO

import orjson
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.datastructures import UploadFile

from oracle.chain.reading import heads
from oracle.datanets import announcing, calls, publishing
from oracle.datanets.intake import read
from oracle.datanets.kinds import KIND_BY_WORD
from oracle.datanets.policy import Policy
from oracle.datanets.publishing import Tally
from oracle.errors import NeedsPerson, OpenLedgerError
from oracle.store import browsing, datanets, work
from oracle.store.contributions import BEFORE_CHAIN, Contribution
from oracle.types import Address, DatanetId, Timestamp
from oracle.web.actions.signin import Token
from oracle.web.asked import OWN, Account, Asked, Hex, account, plain
from oracle.web.calling import Call, tried
from oracle.web.pages.contributions import find
from oracle.web.site import Site

MOST_OPEN = 20  # contributions of one account that wait for its signature
_DAYS_TO_RELAY = 7
_FIELDS = 8  # of the form, at most
_LINES = 500
_PIECE = 1 << 20
_NUMBER = re.compile("[0-9]{1,18}")


class TooMuch(NeedsPerson):
    """The file is too big, or too many wait already."""


class Signature(Asked):
    signature: Hex
    deadline: Annotated[int, Field(ge=0, lt=2**40)]


class Sender(Asked):
    sender: Account


def router(site: Site) -> APIRouter:
    routes = APIRouter(dependencies=OWN)

    @routes.post("/contribute/file")
    async def hand_in(request: Request, token: Token = None) -> StreamingResponse:
        """Lines of JSON while it is checked: how far, then what is wrong with which line, then its name here."""
        # Before a byte of the file is read: a framework that parses the form by itself would take it from anybody.
        who = await run_sync(site.sessions.require, token)
        await run_sync(_require_room, site, who)
        async with request.form(max_files=1, max_fields=_FIELDS) as form:
            return await run_sync(_taken, site, who, form.get("file"), form.get("datanet"), form.get("kind"))

    @routes.get("/wallet/contributions/{name}/message")
    def message(name: str) -> dict[str, Any]:
        """What its contributor signs; it holds for a week by the chain's clock."""
        with site.reading() as connection:
            given = find(connection, name)
        _require_published(given)
        now = heads(site.ground.rpc, site.ground.settings.finality).head.timestamp
        deadline = now + _DAYS_TO_RELAY * 86_400
        asked = publishing.terms_of(given).to_sign(deadline, site.chain, site.book[calls.CONTRACT])
        return {"account": given.contributor, "deadline": deadline, "typed": plain(asked)}

    @routes.post("/wallet/contributions/{name}/signature")
    def signed(name: str, asked: Signature) -> dict[str, Any]:
        raw = bytes.fromhex(asked.signature.removeprefix("0x"))
        with site.ground.database.transaction() as connection:
            given = find(connection, name)
            _require_published(given)
            announcing.sign(connection, given.key, asked.deadline, raw, site.chain, site.book[calls.CONTRACT])
        relayed = site.ground.signer is not None
        return {"says": _SIGNED if relayed else _SIGNED_ONLY}

    @routes.post("/wallet/contributions/{name}/call")
    def own_call(name: str, asked: Sender) -> dict[str, Any]:
        """For those who rather pay the gas than wait for the relay."""
        with site.reading() as connection:
            given = find(connection, name)
        if given.state not in BEFORE_CHAIN or given.rows_root is None:
            raise NeedsPerson(f"This contribution is {given.state.replace('_', ' ')}: there is nothing to send.")
        if given.contributor != asked.sender:
            raise NeedsPerson(f"It belongs to {given.contributor}; that account has to send it.")
        data = calls.contribute(publishing.terms_of(given))
        says = f"contribute {given.count} rows to datanet {given.datanet}"
        return tried(site, Call(site.book[calls.CONTRACT], data, says), account(asked.sender))

    return routes


_SIGNED = "Signed. The oracle sends it to the chain with the next ones and pays the gas."
_SIGNED_ONLY = "Signed. This oracle has no key of its own and sends nothing: send it yourself, or let a relayer do it."


def _require_published(given: Contribution) -> None:
    if given.state != "published":
        raise NeedsPerson(f"This contribution is {given.state.replace('_', ' ')}: there is nothing to sign.")


def _require_room(site: Site, who: Address) -> None:
    with site.reading() as connection:
        waiting = [
            each
            for each in browsing.newest_contributions(connection, MOST_OPEN * 4, contributor=who)
            if each.state in BEFORE_CHAIN and each.signature is None
        ]
    if len(waiting) >= MOST_OPEN:
        raise TooMuch(f"{len(waiting)} contributions of yours wait for your signature. Sign them first.")


def _taken(site: Site, who: Address, file: object, datanet: object, kind: object) -> StreamingResponse:
    """Keeps a copy of the file, asks for its intake, and tells how its check goes on."""
    what = KIND_BY_WORD.get(str(kind))
    if what is None:
        raise NeedsPerson(f"{kind}: rows are of one of the kinds {', '.join(KIND_BY_WORD)}.")
    if not isinstance(file, UploadFile) or not _NUMBER.fullmatch(str(datanet)):
        raise NeedsPerson("A file is handed in for a datanet: both have to be there.")
    most, size = site.ground.settings.upload_limit_mb * 1_000_000, file.size or 0
    if size > most:
        raise TooMuch(f"The file has {size:,} bytes; at most {most:,} are taken at once. Split it.")
    number, name = DatanetId(int(str(datanet))), (file.filename or "file")[:200]
    policy = site.ground.pipeline.policy(number)
    with site.reading() as connection:
        licence = datanets.get_datanet(connection, number).licence
    key = publishing.receive(
        site.ground.database, site.ground.stores, iter(lambda: file.file.read(_PIECE), b""), contributor=who,
        datanet=number, kind=what, private=policy.private, file=name, licence=licence,
    )  # fmt: skip
    with site.ground.database.transaction() as connection:
        work.renew(connection, "ingest.intake", key.hex(), Timestamp(int(site.clock())))
    # The upload is closed when this has returned; what is looked at meanwhile is the copy that was kept.
    with site.reading() as connection:
        source = find(connection, key.hex()).source
    assert source is not None
    opened = site.ground.stores.spool.open(source)
    stream = opened.__enter__()

    def told() -> Iterator[bytes]:
        try:
            yield from _checked(stream, size, name, policy, what)
            yield _line({"done": True, "contribution": key.hex()})
        finally:
            opened.__exit__(None, None, None)

    return StreamingResponse(told(), media_type="application/x-ndjson", headers={"cache-control": "no-store"})


def _checked(stream: BinaryIO, size: int, name: str, policy: Policy, kind: Any) -> Iterator[bytes]:
    """The same checks as the daemon's, on the same bytes; told as they go."""
    reached: queue.Queue[int | Tally | OpenLedgerError] = queue.Queue()

    def check() -> None:
        try:
            reached.put(publishing.preview(read(stream, name, kind, progress=reached.put), policy, kind))
        except OpenLedgerError as error:
            reached.put(error)

    threading.Thread(target=check, name="check of an upload", daemon=True).start()
    while True:
        found = reached.get()
        if isinstance(found, int):
            yield _line({"read": found, "of": size})
        elif isinstance(found, Tally):
            yield _line(_told(found))
            return
        else:
            yield _line({"problem": str(found)})
            return


def _told(tally: Tally) -> dict[str, Any]:
    codes = Counter(line.code for line in tally.lines)
    return {
        "taken": tally.taken,
        "held": tally.held,
        "leftOut": tally.left_out,
        "codes": codes.most_common(),
        "lines": [asdict(line) for line in sorted(tally.lines, key=lambda line: line.number)[:_LINES]],
        "more": max(0, len(tally.lines) - _LINES),
    }


def _line(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content) + b"\n"

"""When a block that was final is replaced, everything about money stands still until a person has looked."""

from __future__ import annotations

from sqlalchemy import Connection

from oracle.errors import Stop
from oracle.store import blocks, intents
from oracle.store.blocks import Progress, StopMark
from oracle.store.event_table import remove_events_above
from oracle.types import BlockNumber, ChainId, Timestamp


class DeepReorg(Stop):
    """The chain took back what it had declared final."""


def require_none(connection: Connection, chain: ChainId) -> None:
    """Raises DeepReorg while there is a mark that nobody cleared, also after a restart."""
    mark = blocks.open_stop(connection, chain)
    if mark is not None:
        raise DeepReorg(said(mark))


def said(mark: StopMark) -> str:
    return (
        f"reorg deeper than finality: block {mark.block} of chain {mark.chain} was 0x{mark.was.hex()},"
        f" now 0x{mark.now.hex()}. Settlement stops: nothing is read, nothing is sent. Compare with an explorer or with"
        " a node that is not in OPENLEDGER_RPC_URLS. If the nodes were wrong, replace them; if the chain was, compare"
        " what was paid for blocks from there on. Then clear the mark: openledger index clear --because TEXT"
    )


def clear(connection: Connection, mark: StopMark, because: str, at: Timestamp) -> int:
    """Everything from the replaced block on is forgotten, to be read anew; returns how many events that were.

    Intents that had ended there are followed again: what was signed for them is sent once more, as it is. Cursors of
    consumers stay where they are: what they have counted is counted, and only a person can take it back.
    """
    if not blocks.clear_stop(connection, mark, because, at):
        return 0
    before = blocks.progress(connection, mark.chain)
    kept = [block for block in blocks.blocks_from(connection, mark.chain, 0) if block.number < mark.block]
    removed = remove_events_above(connection, mark.chain, mark.block - 1)
    # Blocks without events are not kept: the first replaced one may lie anywhere behind the last known to stand.
    intents.reopen_above(connection, mark.chain, kept[-1].number if kept else -1)
    if before is None or not kept:
        blocks.forget_chain(connection, mark.chain)
        return removed
    last = kept[-1]
    blocks.remove_blocks_above(connection, mark.chain, last.number)
    final = BlockNumber(min(last.number, before.final if before.final is not None else last.number))
    blocks.move(connection, before, Progress(mark.chain, before.first, last.number, last.hash, final))
    return removed

"""A duty that is done again and again until the process is told to end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from oracle.errors import NeedsPerson, Retry

log = logging.getLogger(__name__)


def repeat(
    name: str,
    duty: Callable[[], bool],
    every_s: float,
    ended: Event,
    done: Callable[[str], None] = lambda name: None,
) -> None:
    """`duty` says whether there is more to do at once. A Stop ends the loop, as does every error that nobody foresaw.

    `done` hears of every round that went well: that is what makes a daemon healthy, not that it is running.
    """
    while not ended.is_set():
        try:
            more = duty()
            done(name)
        except Retry as error:
            log.warning("%s: %s", name, error)
            more = False
        except NeedsPerson as error:
            log.error("%s: %s", name, error)
            more = False
        if not more:
            ended.wait(every_s)

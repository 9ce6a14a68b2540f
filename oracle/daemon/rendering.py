"""Chat templates come with the weights, from strangers. Each is rendered in a process of its own, in Jinja's sandbox,
under limits of processor time, memory and length: whatever a template does, nobody else waits for it, and a machine
that is busy is not held against it."""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import orjson
from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from oracle.apart import Child, Gone, Overdue, serve
from oracle.errors import NeedsPerson, Retry

SECONDS = 2.0  # of the processor, for one prompt
PATIENCE = 30.0  # seconds by the clock
_REST = 10.0  # seconds that a template which took too long is not tried again
_MEMORY = 512 << 20
_LONGEST = 4_000_000  # characters of a prompt
_TOO_LONG = signal.SIGPROF  # what the timer of processor time ends a process with
_SAID = 300  # characters of what a template may say of itself


class BadTemplate(NeedsPerson):
    """The template makes no prompt of these messages."""


class NotRendered(Retry):
    """The machine did not come to it."""


class Renderer:
    """Of one template."""

    def __init__(
        self,
        template: str,
        seconds: float = SECONDS,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._template, self._seconds, self._patience, self._clock = template, seconds, patience, clock
        self._resting = -math.inf
        self._child = Child("oracle.daemon.rendering", str(seconds))

    def render(self, messages: Sequence[Mapping[str, Any]], specials: Mapping[str, str]) -> str:
        """The prompt of these messages, up to where the answer begins. Raises BadTemplate and NotRendered."""
        if self._clock() < self._resting:
            raise BadTemplate("the model's chat template took too long a moment ago; ask again, or for another model")
        values = {"messages": list(messages), "add_generation_prompt": True, "tools": None, "documents": None}
        try:
            told = self._child.ask(orjson.dumps([self._template, {**values, **specials}]), self._patience)
        except Overdue:
            raise NotRendered(f"this machine did not come to the prompt in {self._patience:g} s; ask again") from None
        except Gone as gone:
            if gone.signal == _TOO_LONG:
                self._resting = self._clock() + _REST
                raise BadTemplate(
                    f"the model's chat template needs more than {self._seconds:g} s of the processor"
                ) from None
            raise BadTemplate("the model's chat template ended the process that rendered it") from None
        text, fault = orjson.loads(told)
        if fault is not None:
            raise BadTemplate(f"the model's chat template refuses these messages: {fault}")
        return str(text)

    def close(self) -> None:
        self._child.close()


# What follows runs in the process apart.

_JINJA = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
_JINJA.filters["tojson"] = partial(json.dumps, ensure_ascii=False)  # Jinja's own is for pages


@lru_cache(maxsize=4)
def _compiled(template: str) -> Template:
    return _JINJA.from_string(template)


def _no(message: str) -> None:
    raise TemplateError(message)


def _answer(message: bytes) -> bytes:
    template, values = orjson.loads(message)
    try:
        text = _compiled(template).render(raise_exception=_no, **values)
    except MemoryError:
        return orjson.dumps([None, f"it needs more than {_MEMORY >> 20} MB"])
    except Exception as error:  # a stranger's program: it may end in any way that there is
        return orjson.dumps([None, f"{type(error).__name__}: {error}"[:_SAID]])
    if len(text) > _LONGEST:
        return orjson.dumps([None, f"it makes {len(text)} characters of them"])
    return orjson.dumps([text, None])


def _limited(seconds: float) -> Callable[[bytes], bytes]:
    """The system ends this process once one answer has had so much of the processor."""

    def answer(message: bytes) -> bytes:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            return _answer(message)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    return answer


def main() -> None:
    signal.signal(_TOO_LONG, signal.SIG_DFL)
    with suppress(ValueError, OSError):  # not every system has such a limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    serve(_limited(float(sys.argv[1])))


if __name__ == "__main__":
    main()

"""What a wallet is asked to do: the server writes the call or the message, the wallet signs, nobody else can."""

from __future__ import annotations

from types import ModuleType

ALL: tuple[ModuleType, ...] = ()

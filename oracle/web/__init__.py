"""Pages for people: what is alive, who made it, what it earned; and the wallet's part of it."""

from __future__ import annotations

from oracle.web.site import mount

__all__ = ["mount"]

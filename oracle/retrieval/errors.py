"""What can be wrong with looking something up."""

from __future__ import annotations

from oracle.errors import NeedsPerson, Retry


class NotIndexed(Retry):
    """A datanet's documents wait for the daemon."""


class DamagedIndex(NeedsPerson):
    """What is stored of an index is not what was written."""


class BadEncoder(NeedsPerson):
    """The configured sentence model cannot be used."""


class EncoderGone(Retry):
    """The process that encodes has ended; the next question starts it anew."""

"""One tree of errors with three fates: try again, wait for a person, stop the process.

A message says what was wrong, where, and what to do.
"""

from __future__ import annotations


class OpenLedgerError(Exception):
    """Whatever OpenLedger itself refuses or fails at."""


class Retry(OpenLedgerError):
    """It may go well the next time: a node that timed out, a broker that restarted."""


class NeedsPerson(OpenLedgerError):
    """Somebody has to decide or mend something; the rest goes on."""


class Stop(OpenLedgerError):
    """Going on could cost money or truth. The process ends."""


class NotDeployed(NeedsPerson):
    """The address book of a chain is missing or incomplete, or nothing stands at one of its addresses."""


class WrongChain(Stop):
    """A node answers for another chain than the one that was asked for."""

"""What can be read, without a wallet and without a script."""

from __future__ import annotations

from oracle.web.pages import (
    accounts,
    attestors,
    batches,
    contributions,
    datanets,
    governance,
    home,
    models,
    playground,
    receipts,
    review,
    runs,
    search,
    system,
    transactions,
)

ALL = (
    home,
    datanets,
    contributions,
    review,
    models,
    runs,
    playground,
    receipts,
    batches,
    accounts,
    attestors,
    governance,
    search,
    system,
    transactions,
)

"""What a wallet is asked to do: the server writes the call or the message, the wallet signs, nobody else can.

That the browser gets its calldata ready-made keeps an ABI coder out of it; a wallet shows what it is asked to sign.
"""

from __future__ import annotations

from oracle.web.actions import claiming, contributing, proposing, reviewing, signin, spending, transactions, voting

ALL = (signin, transactions, claiming, contributing, reviewing, voting, proposing, spending)

"""The words of the domain, with their units in their names."""

from __future__ import annotations

from typing import NewType

Wei = NewType("Wei", int)
BasisPoints = NewType("BasisPoints", int)
Epoch = NewType("Epoch", int)
ChainId = NewType("ChainId", int)
Address = NewType("Address", str)
Hash32 = NewType("Hash32", bytes)
Digest = NewType("Digest", bytes)

OPEN = Wei(10**18)
EVERYTHING = BasisPoints(10_000)

"""The words of the domain, with their units in their names."""

from __future__ import annotations

from typing import NewType

Wei = NewType("Wei", int)
BasisPoints = NewType("BasisPoints", int)
Epoch = NewType("Epoch", int)
ChainId = NewType("ChainId", int)
BlockNumber = NewType("BlockNumber", int)
DatanetId = NewType("DatanetId", int)
Timestamp = NewType("Timestamp", int)  # seconds since 1970, UTC

# With the capitals of its checksum, everywhere: in the database, in JSON, on the page.
Address = NewType("Address", str)

# 32 bytes each.
Hash32 = NewType("Hash32", bytes)
Digest = NewType("Digest", bytes)
BlockHash = NewType("BlockHash", bytes)
TxHash = NewType("TxHash", bytes)
RowHash = NewType("RowHash", bytes)
ContributionId = NewType("ContributionId", bytes)  # the name that the registry computes: an EIP-712 struct hash

# The name of a blob: a CIDv1 in base32.
Cid = NewType("Cid", str)

OPEN = Wei(10**18)
EVERYTHING = BasisPoints(10_000)

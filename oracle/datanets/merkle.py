"""The tree over the rows of a contribution: OpenZeppelin's StandardMerkleTree over ["address", "bytes32"].

Leaves are double hashes of (contributor, row hash), sorted, so that the root does not depend on the order of the rows;
pairs are sorted too. One keccak costs less than a microsecond; a million rows take three million of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import sha3  # type: ignore[import-untyped]

from oracle.errors import NeedsPerson
from oracle.types import Address, Hash32, RowHash

_keccak = sha3.keccak_256


class NotInTree(NeedsPerson):
    """A proof was asked of a row that the contribution does not hold."""


def row_leaf(contributor: Address, row: RowHash) -> Hash32:
    return Hash32(_keccak(_keccak(_word(contributor) + row).digest()).digest())


class RowTree:
    """All of it, for proofs; 64 bytes a row."""

    def __init__(self, contributor: Address, rows: Iterable[RowHash]) -> None:
        self._contributor = contributor
        word = _word(contributor)
        self._leaves = sorted([_keccak(_keccak(word + row).digest()).digest() for row in rows])
        self._nodes = _tree(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)

    @property
    def root(self) -> Hash32:
        return Hash32(self._nodes[0] if self._nodes else bytes(32))

    def proof(self, row: RowHash) -> list[Hash32]:
        """The siblings from the leaf up, as the contracts take them."""
        leaf = row_leaf(self._contributor, row)
        place = bisect_left(self._leaves, leaf)
        if place == len(self._leaves) or self._leaves[place] != leaf:
            raise NotInTree(f"row {row.hex()}: is not in this contribution of {self._contributor}")
        at = len(self._nodes) - 1 - place
        path = []
        while at > 0:
            path.append(Hash32(self._nodes[at + 1 if at % 2 else at - 1]))
            at = (at - 1) // 2
        return path


def rows_root(contributor: Address, rows: Iterable[RowHash]) -> Hash32:
    """Zero where there is no row at all: the accepted root of a contribution of which nothing was accepted."""
    return RowTree(contributor, rows).root


def tree_root(leaves: Iterable[bytes]) -> Hash32:
    """Of leaves that are double hashes already."""
    nodes = _tree(sorted(leaves))
    return Hash32(nodes[0] if nodes else bytes(32))


def proves(root: Hash32, leaf: Hash32, proof: Sequence[bytes]) -> bool:
    node: bytes = leaf
    for sibling in proof:
        node = _keccak(node + sibling if node < sibling else sibling + node).digest()
    return node == root


def _tree(leaves: Sequence[bytes]) -> list[bytes]:
    """A complete binary tree in one list: the root first, the leaves last and backwards."""
    count = len(leaves)
    if not count:
        return []
    nodes = [b""] * (count - 1) + list(reversed(leaves))
    for at in range(count - 2, -1, -1):
        left, right = nodes[2 * at + 1], nodes[2 * at + 2]
        nodes[at] = _keccak(left + right if left < right else right + left).digest()
    return nodes


def _word(account: str) -> bytes:
    return bytes(12) + bytes.fromhex(account[2:])

"""Merkle trees of a million leaves: OpenZeppelin's StandardMerkleTree, layer by layer.

Nodes lie in one array of 32 bytes each, as in OpenZeppelin's own: node 0 is the root, the children of i are 2i + 1 and
2i + 2, and leaf i lies at 2n − 2 − i. Each pair is sorted before it is hashed. Whether leaves are sorted first is the
caller's choice (`sorted_leaves`): the distributor's tree is in the order of its index and padded to a power of two, so
that aligned runs of accounts are subtrees and an account keeps its place from one epoch to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import sha3  # type: ignore[import-untyped]

from oracle.settlement.hashing import address_word, reward_leaf
from oracle.types import Address, Hash32, Wei

Nodes = npt.NDArray[np.uint8]

PADDING = reward_leaf(Address("0x" + "00" * 20), Wei(0))
_BLOCK = 1 << 14  # rows at a time: their bytes stay in the cache, their digests in one list
_SIZE = 32


class EmptyTree(ValueError):
    """There is no root over nothing."""


def keccak_rows(rows: Nodes) -> Nodes:
    """The hash of every row: a call into C for each, which lanes of NumPy did not beat (docs/settlement.md)."""
    out = np.empty((len(rows), _SIZE), dtype=np.uint8)
    width, hashed = rows.shape[1], sha3.keccak_256
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].tobytes()
        digests = [hashed(block[at : at + width]).digest() for at in range(0, len(block), width)]
        out[start : start + _BLOCK] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, _SIZE)
    return out


def double_rows(rows: Nodes) -> Nodes:
    """Leaves: hashed twice."""
    out = np.empty((len(rows), _SIZE), dtype=np.uint8)
    width, hashed = rows.shape[1], sha3.keccak_256
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].tobytes()
        digests = [hashed(hashed(block[at : at + width]).digest()).digest() for at in range(0, len(block), width)]
        out[start : start + _BLOCK] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, _SIZE)
    return out


def sorted_pairs(left: Nodes, right: Nodes) -> Nodes:
    """Rows of 64 bytes, the smaller node first."""
    pairs = np.empty((len(left), 2 * _SIZE), dtype=np.uint8)
    pairs[:, :_SIZE], pairs[:, _SIZE:] = left, right
    first, second = _words(left), _words(right)
    swap = second[:, 0] < first[:, 0]
    # Two different nodes hardly ever share their first eight bytes; where they do, look on.
    for row in np.flatnonzero(second[:, 0] == first[:, 0]):
        swap[row] = right[row].tobytes() < left[row].tobytes()
    pairs[swap, :_SIZE], pairs[swap, _SIZE:] = right[swap], left[swap]
    return pairs


def reward_rows(balances: Iterable[tuple[Address, Wei]]) -> Nodes:
    """abi.encode(account, cumulative) of each, one row of 64 bytes."""
    content = b"".join([address_word(account) + amount.to_bytes(32, "big") for account, amount in balances])
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, 2 * _SIZE)


class Tree:
    """Over leaves that are already hashed."""

    def __init__(self, leaves: Nodes, sorted_leaves: bool = False) -> None:
        count = len(leaves)
        if count == 0:
            raise EmptyTree("a tree needs a leaf")
        self.count = count
        self._place: npt.NDArray[np.int64] | None = None
        if sorted_leaves:
            keys = np.ascontiguousarray(leaves).view(f"S{_SIZE}").ravel()  # compares bytes, ties keep their order
            order = np.argsort(keys, kind="stable")
            self._place = np.empty(count, dtype=np.int64)
            self._place[order] = np.arange(count)
            leaves = leaves[order]
        self._nodes = np.empty((2 * count - 1, _SIZE), dtype=np.uint8)
        self._nodes[count - 1 :] = leaves[::-1]
        self._build()

    @classmethod
    def of(cls, leaves: Sequence[bytes], sorted_leaves: bool = False) -> Tree:
        return cls(np.frombuffer(b"".join(leaves), dtype=np.uint8).reshape(-1, _SIZE), sorted_leaves)

    @property
    def root(self) -> Hash32:
        return Hash32(self._nodes[0].tobytes())

    def leaf(self, index: int) -> Hash32:
        return Hash32(self._nodes[self._at(index)].tobytes())

    def proof(self, index: int, height: int = 0) -> list[Hash32]:
        """The siblings from leaf `index` (or from the node `height` above it) up to the root."""
        at = self._at(index)
        for _ in range(height):
            at = (at - 1) >> 1
        found = []
        while at > 0:
            found.append(Hash32(self._nodes[at + 1 if at & 1 else at - 1].tobytes()))
            at = (at - 1) >> 1
        return found

    def put(self, changed: Mapping[int, bytes]) -> None:
        """Replaces leaves and what stands above them, and nothing else."""
        if not changed:
            return
        indices = np.fromiter(changed.keys(), dtype=np.int64, count=len(changed))
        if indices.min() < 0 or indices.max() >= self.count:
            raise IndexError(f"a leaf beyond {self.count}")
        if self._place is not None:
            raise ValueError("sorted leaves have no lasting place: build the tree anew")
        at = 2 * self.count - 2 - indices
        self._nodes[at] = np.frombuffer(b"".join(changed.values()), dtype=np.uint8).reshape(-1, _SIZE)
        dirty = np.unique(at)
        while dirty[-1] > 0:
            # The deepest layer first: in a tree that is no power of two, leaves lie in two of them.
            edge = (1 << int(dirty[-1] + 1).bit_length() - 1) - 1
            deep = dirty[dirty >= edge]
            parents = np.unique((deep - 1) >> 1)
            self._hash(parents)
            dirty = np.union1d(dirty[dirty < edge], parents)

    def _build(self) -> None:
        inner = self.count - 1
        bottom = max(0, inner.bit_length() - 1)
        for depth in range(bottom, -1, -1):
            first, last = (1 << depth) - 1, min((1 << depth + 1) - 1, inner)
            if first >= last:
                continue
            children = self._nodes[2 * first + 1 : 2 * last + 1]
            self._nodes[first:last] = keccak_rows(sorted_pairs(children[0::2], children[1::2]))

    def _hash(self, nodes: npt.NDArray[np.int64]) -> None:
        self._nodes[nodes] = keccak_rows(sorted_pairs(self._nodes[2 * nodes + 1], self._nodes[2 * nodes + 2]))

    def _at(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise IndexError(f"leaf {index} of {self.count}")
        place = index if self._place is None else int(self._place[index])
        return 2 * self.count - 2 - place


class RewardTree:
    """The distributor's tree: (account, cumulative) in the order of the index, padded to a power of two."""

    def __init__(self, balances: Sequence[tuple[Address, Wei]]) -> None:
        self.accounts = len(balances)
        self._tree = Tree(_padded(double_rows(reward_rows(balances)))) if balances else None

    @property
    def root(self) -> Hash32:
        return Hash32(bytes(32)) if self._tree is None else self._tree.root

    def proof(self, index: int, height: int = 0) -> list[Hash32]:
        if self._tree is None or not 0 <= index < self.accounts:
            raise IndexError(f"account {index} of {self.accounts}")
        return self._tree.proof(index, height)

    def update(self, changed: Mapping[int, tuple[Address, Wei]]) -> None:
        """New balances of some accounts, and accounts that come after the last one."""
        if not changed:
            return
        accounts = max(self.accounts, max(changed) + 1)
        if set(range(self.accounts, accounts)) - changed.keys():
            raise IndexError("new accounts leave a gap in the index")
        places = list(changed)
        leaves = double_rows(reward_rows(changed[place] for place in places))
        if self._tree is None:
            self._tree = Tree.of([PADDING])
        while self._tree.count < accounts:
            self._tree = _doubled(self._tree)
        self._tree.put({place: leaf.tobytes() for place, leaf in zip(places, leaves)})
        self.accounts = accounts


def _padded(leaves: Nodes) -> Nodes:
    size = 1 << max(0, len(leaves) - 1).bit_length()
    padding = np.broadcast_to(np.frombuffer(PADDING, dtype=np.uint8), (size - len(leaves), _SIZE))
    return np.concatenate([leaves, padding])


def _doubled(tree: Tree) -> Tree:
    """The same tree as the one half of a tree whose other half is padding; only one new node is hashed per layer."""
    grown = Tree.__new__(Tree)
    grown.count, grown._place = 2 * tree.count, None
    grown._nodes = np.empty((2 * grown.count - 1, _SIZE), dtype=np.uint8)
    padding = np.frombuffer(PADDING, dtype=np.uint8).reshape(1, _SIZE)
    for depth in range(tree.count.bit_length() - 1, -1, -1):
        width, first = 1 << depth, (1 << depth) - 1
        below = grown._nodes[2 * width - 1 : 4 * width - 1]
        below[:width] = padding
        below[width:] = tree._nodes[first : first + width]
        padding = keccak_rows(np.concatenate([padding, padding], axis=1))
    grown._hash(np.zeros(1, dtype=np.int64))
    return grown


def _words(nodes: Nodes) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(nodes).view(">u8")

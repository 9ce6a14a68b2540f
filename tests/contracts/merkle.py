"""Merkle trees of the tests: OpenZeppelin's StandardMerkleTree, written a second time so that it can disagree."""

from __future__ import annotations

from eth_abi import encode
from eth_utils import keccak

PADDING = ("0x" + "00" * 20, 0)


def leaf(types: list[str], values: tuple) -> bytes:
    return keccak(keccak(encode(types, values)))


def reward_leaf(account: str, cumulative: int) -> bytes:
    return leaf(["address", "uint256"], (account, cumulative))


def node(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)


class Tree:
    """Index-ordered, padded to a power of two, so that aligned runs of leaves are subtrees."""

    def __init__(self, leaves: list[bytes], padding: bytes = b"\0" * 32):
        size = 1
        while size < len(leaves):
            size *= 2
        self.layers = [leaves + [padding] * (size - len(leaves))]
        while len(self.layers[-1]) > 1:
            below = self.layers[-1]
            self.layers.append([node(below[i], below[i + 1]) for i in range(0, len(below), 2)])

    @property
    def root(self) -> bytes:
        return self.layers[-1][0]

    def proof(self, index: int, height: int = 0) -> list[bytes]:
        """The siblings from the node at `height` above leaf `index` up to the root."""
        path = []
        index >>= height
        for layer in self.layers[height:-1]:
            path.append(layer[index ^ 1])
            index >>= 1
        return path


def rewards(balances: list[tuple[str, int]]) -> Tree:
    return Tree([reward_leaf(*entry) for entry in balances], reward_leaf(*PADDING))

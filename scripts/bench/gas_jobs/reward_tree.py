"""The reward tree of a million accounts, fast enough to build for a benchmark.

The same tree as OpenZeppelin's StandardMerkleTree over ["address", "uint256"], index-ordered and padded to a power of
two. Each layer is one run of bytes: three million nodes as separate objects would take four times the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sha3

Account = bytes
WORD = 32
DEPTH = 20
LEAST = 10**15
RANGE = 300 * 10**18
EPOCHS = 2


def keccak(data: bytes) -> bytes:
    return sha3.keccak_256(data).digest()


def leaf(account: Account, cumulative: int) -> bytes:
    return keccak(keccak(b"\0" * 12 + account + cumulative.to_bytes(WORD, "big")))


def node(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)


@dataclass(frozen=True)
class Population:
    """Accounts by index, and what each has earned by the end of each epoch."""

    accounts: Sequence[Account]
    cumulative: Sequence[Sequence[int]]

    def total(self, epoch: int) -> int:
        return sum(self.cumulative[epoch])


def population(seed: int, count: int, keyed: dict[int, Account]) -> Population:
    """Pseudo-random accounts and amounts.

    :param keyed: accounts at given places whose keys the benchmark holds, because they have to sign.
    """
    accounts: list[Account] = []
    earned: list[list[int]] = [[] for _ in range(EPOCHS)]
    prefix = b"account" + seed.to_bytes(8, "big")
    for index in range(count):
        digest = keccak(prefix + index.to_bytes(8, "big"))
        accounts.append(digest[:20])
        first = LEAST + int.from_bytes(digest[20:], "big") % RANGE
        earned[0].append(first)
        earned[1].append(first + LEAST + int.from_bytes(digest[8:20], "big") % RANGE)
    for index, account in keyed.items():
        accounts[index] = account
    return Population(accounts, earned)


class RewardTree:
    """The layers from the leaves up. Below DEPTH the missing upper levels get one pseudo-random sibling each."""

    def __init__(self, accounts: Sequence[Account], cumulative: Sequence[int], seed: int):
        size = 1
        while size < len(accounts):
            size *= 2
        leaves = b"".join(leaf(account, amount) for account, amount in zip(accounts, cumulative))
        self.layers = [leaves + leaf(b"\0" * 20, 0) * (size - len(accounts))]
        while len(self.layers[-1]) > WORD:
            self.layers.append(_above(self.layers[-1]))
        self.root = self.layers[-1]
        self.upper: list[bytes] = []
        while len(self.layers) - 1 + len(self.upper) < DEPTH:
            sibling = keccak(b"sibling" + seed.to_bytes(8, "big") + bytes([len(self.upper)]) + leaves[:WORD])
            self.upper.append(sibling)
            self.root = node(self.root, sibling)

    def proof(self, index: int, height: int = 0) -> list[bytes]:
        """The siblings from the node at `height` above leaf `index` up to the root."""
        path = []
        index >>= height
        for layer in self.layers[height:-1]:
            at = (index ^ 1) * WORD
            path.append(layer[at : at + WORD])
            index >>= 1
        return path + self.upper


def _above(layer: bytes) -> bytes:
    hashed = sha3.keccak_256
    above = []
    for at in range(0, len(layer), 2 * WORD):
        pair = layer[at : at + 2 * WORD]
        if pair[:WORD] > pair[WORD:]:
            pair = pair[WORD:] + pair[:WORD]
        above.append(hashed(pair).digest())
    return b"".join(above)

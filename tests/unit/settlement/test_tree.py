"""Trees against OpenZeppelin's own package, against the contracts' padded tree, and against themselves rebuilt."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.needed import missing
from oracle.settlement.hashing import keccak, reward_leaf
from oracle.settlement.tree import PADDING, EmptyTree, RewardTree, Tree, double_rows, reward_rows
from oracle.types import Address, Wei

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "node_modules" / "@openzeppelin" / "merkle-tree"
Balances = list[tuple[Address, Wei]]

PEER = """
const { StandardMerkleTree } = require(process.argv[1]);
const cases = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(cases.map(({ values, sortLeaves }) => {
  const tree = StandardMerkleTree.of(values, ['address', 'uint256'], { sortLeaves });
  return { root: tree.root, proofs: values.map((_, i) => tree.getProof(i)) };
})));
"""


def balances(count: int, seed: int = 1) -> Balances:
    chance = random.Random(seed)
    return [
        (Address("0x" + chance.randbytes(20).hex()), Wei(chance.randrange(2 ** chance.choice([8, 64, 96]))))
        for _ in range(count)
    ]


def ascending(root: bytes, node: bytes, proof: list[bytes]) -> bool:
    for sibling in proof:
        node = keccak(min(node, sibling) + max(node, sibling))
    return node == root


def test_tree__of_many_sizes__then_it_is_openzeppelins_to_the_last_proof() -> None:
    node = shutil.which("node")
    if node is None or not PACKAGE.exists():
        missing("node or @openzeppelin/merkle-tree is missing", "make setup-contracts")
    cases = [(balances(count, count), sort) for count in (1, 2, 3, 5, 8, 13, 64, 100) for sort in (True, False)]
    asked = [{"values": [[a, str(v)] for a, v in rows], "sortLeaves": sort} for rows, sort in cases]
    done = subprocess.run(
        [node, "-e", PEER, str(PACKAGE)], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    for (rows, sort), theirs in zip(cases, json.loads(done.stdout)):
        tree = Tree(double_rows(reward_rows(rows)), sorted_leaves=sort)
        assert "0x" + tree.root.hex() == theirs["root"]
        assert [["0x" + part.hex() for part in tree.proof(at)] for at in range(len(rows))] == theirs["proofs"]


def padded_root(rows: Balances) -> bytes:
    """The contracts' tree, written in the plainest way."""
    layer: list[bytes] = [reward_leaf(*row) for row in rows]
    while len(layer) & (len(layer) - 1):
        layer.append(PADDING)
    while len(layer) > 1:
        layer = [keccak(min(pair) + max(pair)) for pair in zip(layer[::2], layer[1::2])]
    return layer[0]


@given(st.integers(1, 70), st.integers(0, 9))
@settings(max_examples=40)
def test_reward_tree__of_any_size__then_it_is_the_contracts_padded_tree(count: int, seed: int) -> None:
    rows = balances(count, seed)
    tree = RewardTree(rows)
    assert tree.root == padded_root(rows)
    assert all(ascending(tree.root, reward_leaf(*row), tree.proof(at)) for at, row in enumerate(rows))


def test_reward_tree__when_a_run_of_accounts_is_aligned__then_one_proof_leads_from_its_subtree() -> None:
    rows = balances(21)
    subtree, tree = RewardTree(rows[8:12]), RewardTree(rows)
    assert ascending(tree.root, subtree.root, tree.proof(8, height=2))


@given(st.integers(0, 40), st.integers(0, 60), st.data())
@settings(max_examples=60)
def test_update__of_some_accounts_and_new_ones__then_it_is_the_tree_built_anew(
    count: int, added: int, data: st.DataObject
) -> None:
    before, after = balances(count), balances(count + added, 2)
    touched = data.draw(st.sets(st.integers(0, count - 1))) if count else set()
    rows = [after[at] if at in touched or at >= count else before[at] for at in range(count + added)]
    tree = RewardTree(before)
    tree.update({at: rows[at] for at in (*touched, *range(count, count + added))})
    assert tree.root == RewardTree(rows).root
    for at in range(0, len(rows), 7):
        assert tree.proof(at) == RewardTree(rows).proof(at)


@given(st.integers(1, 50), st.data())
@settings(max_examples=40)
def test_put__in_a_tree_that_is_no_power_of_two__then_it_is_the_tree_built_anew(
    count: int, data: st.DataObject
) -> None:
    leaves = [keccak(bytes([at])) for at in range(count)]
    changed = {at: keccak(b"new" + bytes([at])) for at in data.draw(st.sets(st.integers(0, count - 1)))}
    tree = Tree.of(leaves)
    tree.put(changed)
    assert tree.root == Tree.of([changed.get(at, leaf) for at, leaf in enumerate(leaves)]).root


def test_tree__when_two_nodes_share_their_first_bytes__then_the_rest_decides() -> None:
    low, high = b"\1" * 8 + b"\0" * 24, b"\1" * 8 + b"\2" * 24
    assert Tree.of([high, low]).root == Tree.of([low, high]).root == keccak(low + high)


def test_tree__of_nothing_or_beyond_its_end__then_refused() -> None:
    with pytest.raises(EmptyTree):
        Tree.of([])
    with pytest.raises(IndexError):
        RewardTree(balances(3)).proof(3)  # the padding is nobody's
    with pytest.raises(IndexError, match="gap"):
        RewardTree(balances(3)).update({4: balances(1)[0]})
    assert RewardTree([]).root == bytes(32)

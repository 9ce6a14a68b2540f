// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev A complete binary tree over any number of leaves, as a heap with its root at 1. With a power of two it is the
///      padded tree whose aligned runs are subtrees; with any other number it is the shape of StandardMerkleTree.
library PlainTree {
    struct Tree {
        uint256 size;
        bytes32[] nodes;
    }

    function build(bytes32[] memory leaves) internal pure returns (Tree memory tree) {
        tree.size = leaves.length;
        tree.nodes = new bytes32[](2 * tree.size);
        for (uint256 i = 0; i < tree.size; ++i) {
            tree.nodes[tree.size + i] = leaves[i];
        }
        for (uint256 i = tree.size - 1; i > 0; --i) {
            tree.nodes[i] = pair(tree.nodes[2 * i], tree.nodes[2 * i + 1]);
        }
    }

    function root(Tree memory tree) internal pure returns (bytes32) {
        return tree.nodes[1];
    }

    /// @dev The siblings from the node `height` levels above leaf `index` up to the root.
    function proof(Tree memory tree, uint256 index, uint256 height) internal pure returns (bytes32[] memory path) {
        uint256 node = (tree.size + index) >> height;
        uint256 length;
        for (uint256 at = node; at > 1; at >>= 1) {
            ++length;
        }
        path = new bytes32[](length);
        for (uint256 i = 0; i < length; ++i) {
            path[i] = tree.nodes[node ^ 1];
            node >>= 1;
        }
    }

    function leaf(address account, uint256 cumulative) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
    }

    function pair(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        return left < right ? keccak256(bytes.concat(left, right)) : keccak256(bytes.concat(right, left));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The tree of rewards: OpenZeppelin's StandardMerkleTree over ["address", "uint256"]
/// @dev Written out in scratch space because every claim pays for it: a proof of 20 nodes costs 2.0k gas here and 4.4k through
///      OpenZeppelin's MerkleProof, with which the tests compare it. Pairs are sorted by a branch, not by an offset
///      computed from the data, so that symbolic execution can follow.
library RewardTree {
    error SubtreeSize(uint256 leaves);

    /// @dev keccak256(bytes.concat(keccak256(abi.encode(account, cumulative)))); inner nodes are hashed once, leaves twice,
    ///      so that neither passes for the other.
    function leafOf(address account, uint256 cumulative) internal pure returns (bytes32 leaf) {
        uint256 word = uint160(account);
        assembly ("memory-safe") {
            mstore(0x00, word)
            mstore(0x20, cumulative)
            mstore(0x00, keccak256(0x00, 0x40))
            leaf := keccak256(0x00, 0x20)
        }
    }

    /// @dev The root that `proof` leads to from `node`.
    function rootOf(bytes32[] calldata proof, bytes32 node) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            root := node
            if proof.length {
                let at := proof.offset
                let end := add(at, shl(5, proof.length))
                // The test stands at the end of the loop: at the top it would cost 240 gas more for 20 nodes.
                for { } 1 { } {
                    let sibling := calldataload(at)
                    mstore(0x00, root)
                    mstore(0x20, sibling)
                    if lt(sibling, root) {
                        mstore(0x00, sibling)
                        mstore(0x20, root)
                    }
                    root := keccak256(0x00, 0x40)
                    at := add(at, 0x20)
                    if iszero(lt(at, end)) { break }
                }
            }
        }
    }

    /// @dev The node above 2^k packed leaves, each (account << 96 | cumulative), hashed up in place.
    function subtreeOf(uint256[] calldata leaves) internal pure returns (bytes32 node) {
        uint256 size = leaves.length;
        if (size < 2 || size & (size - 1) != 0) revert SubtreeSize(size);
        bytes32[] memory nodes = new bytes32[](size);
        assembly ("memory-safe") {
            let base := add(nodes, 0x20)
            let end := shl(5, size)
            for { let at := 0 } lt(at, end) { at := add(at, 0x20) } {
                let packed := calldataload(add(leaves.offset, at))
                mstore(0x00, shr(96, packed))
                mstore(0x20, and(packed, 0xffffffffffffffffffffffff))
                mstore(0x00, keccak256(0x00, 0x40))
                mstore(add(base, at), keccak256(0x00, 0x20))
            }
            for { } gt(end, 0x20) { } {
                end := shr(1, end)
                for { let at := 0 } lt(at, end) { at := add(at, 0x20) } {
                    let pair := add(base, shl(1, at))
                    let left := mload(pair)
                    let right := mload(add(pair, 0x20))
                    if lt(right, left) {
                        mstore(pair, right)
                        mstore(add(pair, 0x20), left)
                    }
                    mstore(add(base, at), keccak256(pair, 0x40))
                }
            }
            node := mload(base)
        }
    }
}

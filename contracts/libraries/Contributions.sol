// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IDatanetRegistry } from "../interfaces/IDatanetRegistry.sol";

/// @title How contributions are named, signed and logged
library Contributions {
    bytes32 internal constant CONTRIBUTION_TYPEHASH = keccak256(
        "Contribution(address contributor,uint256 datanet,uint8 kind,bytes32 rowsRoot,uint256 count,bytes32 manifestHash)"
    );
    bytes32 internal constant SIGNED_CONTRIBUTION_TYPEHASH = keccak256(
        "SignedContribution(Contribution contribution,uint256 deadline)Contribution(address contributor,uint256 datanet,uint8 kind,bytes32 rowsRoot,uint256 count,bytes32 manifestHash)"
    );
    bytes32 internal constant ERASURE_TYPEHASH =
        keccak256("Erasure(bytes32 contribution,bytes32 rowsHash,uint256 deadline)");
    bytes32 internal constant OUTCOME_TYPEHASH =
        keccak256("Outcome(bytes32 contribution,bytes32 acceptedRoot,uint256 acceptedCount,bytes32 reasonsHash)");
    bytes32 internal constant OUTCOMES_TYPEHASH = keccak256(
        "Outcomes(uint256 datanet,Outcome[] outcomes)Outcome(bytes32 contribution,bytes32 acceptedRoot,uint256 acceptedCount,bytes32 reasonsHash)"
    );

    function nameOf(IDatanetRegistry.Contribution memory contribution) internal pure returns (bytes32) {
        return keccak256(abi.encode(CONTRIBUTION_TYPEHASH, contribution));
    }

    function signedHash(bytes32 contribution, uint256 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(SIGNED_CONTRIBUTION_TYPEHASH, contribution, deadline));
    }

    function erasureHash(bytes32 contribution, bytes32 rowsHash, uint256 deadline) internal pure returns (bytes32) {
        return keccak256(abi.encode(ERASURE_TYPEHASH, contribution, rowsHash, deadline));
    }

    function outcomesHash(uint256 datanet, IDatanetRegistry.Outcome[] calldata outcomes)
        internal
        pure
        returns (bytes32)
    {
        bytes32[] memory hashes = new bytes32[](outcomes.length);
        for (uint256 i = 0; i < outcomes.length; ++i) {
            hashes[i] = keccak256(abi.encode(OUTCOME_TYPEHASH, outcomes[i]));
        }
        return keccak256(abi.encode(OUTCOMES_TYPEHASH, datanet, keccak256(abi.encodePacked(hashes))));
    }

    /// @dev With the author in the leaf, a root copied out of the mempool says nothing about its copier.
    function rowLeaf(address contributor, bytes32 rowHash) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(contributor, rowHash))));
    }

    /// @dev An accumulator: 208 bits of a hash chain over names, and in the low 48 bits how many names are in it. Because the
    ///      count is hashed along, a value that leads to a known one tells its place in the log by itself.
    function extend(bytes32 accumulator, bytes32 name) internal pure returns (bytes32 extended) {
        assembly ("memory-safe") {
            mstore(0x00, accumulator)
            mstore(0x20, name)
            let count := and(add(accumulator, 1), 0xffffffffffff)
            extended := or(shl(48, shr(48, keccak256(0x00, 0x40))), count)
        }
    }

    function fold(bytes32 accumulator, bytes32[] calldata names) internal pure returns (bytes32) {
        for (uint256 i = 0; i < names.length; ++i) {
            accumulator = extend(accumulator, names[i]);
        }
        return accumulator;
    }

    /// @dev How many names are in an accumulator.
    function lengthOf(bytes32 accumulator) internal pure returns (uint256) {
        return uint48(uint256(accumulator));
    }

    /// @dev Memory in which the items of one call are hashed; what is the same for all of them is written once.
    function desk(bytes32 domainSeparator, uint256 datanet) internal pure returns (uint256 at) {
        bytes32 contributionType = CONTRIBUTION_TYPEHASH;
        bytes32 signedType = SIGNED_CONTRIBUTION_TYPEHASH;
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, 0x1a0))
            mstore(at, contributionType)
            mstore(add(at, 0x40), datanet)
            mstore(add(at, 0xe0), signedType)
            mstore(add(at, 0x140), shl(240, 0x1901))
            mstore(add(at, 0x142), domainSeparator)
        }
    }

    /// @dev `nameOf` and the EIP-712 digest of one relayed item.
    function nameAndDigest(uint256 at, IDatanetRegistry.SignedRows calldata item)
        internal
        pure
        returns (bytes32 name, bytes32 digest)
    {
        assembly ("memory-safe") {
            let head := calldataload(item)
            mstore(add(at, 0x20), shr(96, head))
            mstore(add(at, 0x60), and(shr(88, head), 0xff))
            mstore(add(at, 0x80), calldataload(add(item, 0x20)))
            mstore(add(at, 0xa0), and(shr(40, head), 0xffffffffffff))
            mstore(add(at, 0xc0), calldataload(add(item, 0x40)))
            name := keccak256(at, 0xe0)
            mstore(add(at, 0x100), name)
            mstore(add(at, 0x120), and(head, 0xffffffffff))
            mstore(add(at, 0x162), keccak256(add(at, 0xe0), 0x60))
            digest := keccak256(add(at, 0x140), 0x42)
        }
    }

    // A log entry in the making: the ABI form of (bytes32 accumulator, RelayedRows[] contributions), written once, so that
    // relaying a hundred signatures neither builds nor copies a hundred structs (900 gas each).

    /// @dev Memory for an entry of at most `most` contributions.
    function open(uint256 most) internal pure returns (uint256 entry) {
        assembly ("memory-safe") {
            entry := mload(0x40)
            mstore(0x40, add(entry, add(0x60, mul(most, 0x60))))
        }
    }

    /// @param nth counts from 1: three words stand before the first contribution, as many as one takes.
    function put(uint256 entry, uint256 nth, IDatanetRegistry.SignedRows calldata item) internal pure {
        assembly ("memory-safe") {
            calldatacopy(add(entry, mul(nth, 0x60)), item, 0x60)
        }
    }

    function emitEntry(uint256 entry, uint256 count, uint256 datanet, bytes32 accumulator) internal {
        bytes32 selector = IDatanetRegistry.ContributionsRelayed.selector;
        assembly ("memory-safe") {
            mstore(entry, accumulator)
            mstore(add(entry, 0x20), 0x40)
            mstore(add(entry, 0x40), count)
            log3(entry, add(0x60, mul(count, 0x60)), selector, datanet, caller())
        }
    }
}

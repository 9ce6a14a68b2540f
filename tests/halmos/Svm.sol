// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev The cheatcodes of Halmos that the proofs need.
interface Svm {
    /// @dev What was not written in `target` yet holds any value from now on.
    function enableSymbolicStorage(address target) external;
    /// @dev Any word.
    function createUint256(string calldata name) external returns (uint256);
    /// @dev Calldata for any function of the contract `name`, with any arguments.
    function createCalldata(string calldata name) external pure returns (bytes memory data);
}

/// @dev Logic without jumps: every `||`, `&&` or `?` of a proof would double the paths that are followed.
abstract contract Proofs {
    Svm internal constant svm = Svm(address(uint160(uint256(keccak256("svm cheat code")))));

    function either(bool left, bool right) internal pure returns (bool result) {
        assembly ("memory-safe") {
            result := or(left, right)
        }
    }

    function both(bool left, bool right) internal pure returns (bool result) {
        assembly ("memory-safe") {
            result := and(left, right)
        }
    }

    /// @dev `value` where `condition` holds, else zero.
    function when(bool condition, uint256 value) internal pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := mul(condition, value)
        }
    }
}

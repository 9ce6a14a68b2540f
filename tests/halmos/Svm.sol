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

    /// @dev Two accounts that stand for any two: the contracts know accounts only as the same or different, so that what
    ///      holds for these holds under any other names.
    address internal constant ALICE = address(0xA11CE);
    address internal constant BOB = address(0xB0B);

    /// @dev One of the three. Each is followed on a path of its own, on which it is known who is who; an address that could
    ///      be any would have to be told apart from every other at each read of a balance.
    function oneOf(uint256 which, address first, address second, address third) internal pure returns (address) {
        if (which == 0) return first;
        return which == 1 ? second : third;
    }

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

    /// @dev `value` where `condition` holds, else zero. By a mask: products of unknown words take solvers for ever.
    function when(bool condition, uint256 value) internal pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := and(sub(0, condition), value)
        }
    }
}

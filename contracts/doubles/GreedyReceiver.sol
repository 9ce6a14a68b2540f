// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev Receives tokens, for tests: repeats its last call whenever it is called back, and in one transaction as often
///      as it is told.
contract GreedyReceiver {
    address private _target;
    bytes private _data;
    uint256 public callbacks;

    /// @return failures how many of the calls failed.
    function take(address target, bytes calldata data, uint256 times) external returns (uint256 failures) {
        _target = target;
        _data = data;
        for (uint256 i = 0; i < times; ++i) {
            (bool success,) = target.call(data);
            if (!success) ++failures;
        }
    }

    function execute(address target, bytes calldata data) external {
        (bool success, bytes memory result) = target.call(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    /// @dev Any hook that a token might call on its receiver ends here.
    fallback() external {
        ++callbacks;
        (bool ignored,) = _target.call(_data);
        ignored;
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { CREATE3 } from "solady/utils/CREATE3.sol";

/// @title Launcher
/// @notice Deploys the suite at addresses that follow from this contract and a name alone, so that contracts can name each
///         other for ever in their constructors, and a deployment that was cut in the middle goes on where it stopped.
/// @dev It keeps no right over what it deployed.
contract Launcher {
    address public immutable DEPLOYER;

    event Launched(bytes32 indexed name, address indexed deployed);

    error OnlyDeployer(address caller);

    constructor() {
        DEPLOYER = msg.sender;
    }

    function launch(bytes32 name, bytes calldata initCode) external returns (address deployed) {
        // Anybody else could squat on the names that the suite counts on.
        if (msg.sender != DEPLOYER) revert OnlyDeployer(msg.sender);
        deployed = CREATE3.deployDeterministic(initCode, name);
        emit Launched(name, deployed);
    }

    function addressOf(bytes32 name) external view returns (address) {
        return CREATE3.predictDeterministicAddress(name);
    }
}

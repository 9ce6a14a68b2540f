// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title OpenTimelock
/// @notice Holds every right over the suite and the treasury. The governor alone proposes and cancels; anybody executes what
///         has waited long enough; nobody administers it but itself.
contract OpenTimelock is TimelockController {
    constructor(uint256 minDelay, address governor)
        TimelockController(minDelay, _only(governor), _only(address(0)), address(0))
    { }

    function _only(address account) private pure returns (address[] memory accounts) {
        accounts = new address[](1);
        accounts[0] = account;
    }
}

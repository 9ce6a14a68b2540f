// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { ERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import { ERC20Votes } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import { Nonces } from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title A token with permits and votes, put together from OpenZeppelin's parts
/// @notice Mirrors the job of OpenToken: what a transfer costs. Not deployed with the suite.
contract BaselineToken is ERC20, ERC20Permit, ERC20Votes {
    constructor(address holder) ERC20("Baseline", "BASE") ERC20Permit("Baseline") {
        _mint(holder, 1_000_000_000e18);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }
}

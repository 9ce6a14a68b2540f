// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IERC20Metadata } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

/// @title OPEN, the token in which models are paid and their makers rewarded
/// @notice Fixed supply of 1,000,000,000. ERC-20, ERC-2612 permits, ERC-3009 authorisations and ERC-5805 votes.
/// @dev The balance of the token contract itself is the reward pool. It is the only balance that a credit can lower.
interface IOpenToken is IERC20Metadata, IERC20Permit {
    /// @notice An authorisation to transfer was used.
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    /// @notice An authorisation to transfer was cancelled by its author.
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);

    /// @notice `caller` is not the reward distributor.
    error OnlyDistributor(address caller);
    /// @notice No more than the fixed supply fits into an account; `amount` cannot be credited.
    error CreditTooLarge(uint256 amount);
    /// @notice The signed permission ended at `deadline`.
    error PermitExpired(uint256 deadline);
    /// @notice The signature does not belong to `expected`.
    error InvalidSigner(address expected);
    /// @notice The authorisation is good only after `validAfter`.
    error AuthorizationNotYetValid(uint256 validAfter);
    /// @notice The authorisation was good only before `validBefore`.
    error AuthorizationExpired(uint256 validBefore);
    /// @notice The nonce of this authorisation was used or cancelled before.
    error AuthorizationUsedOrCanceled(address authorizer, bytes32 nonce);
    /// @notice `receiveWithAuthorization` may be called by the payee `to` alone, not by `caller`.
    error CallerMustBePayee(address caller, address to);

    /// @notice The one contract that may credit rewards. Set for ever at deployment.
    function DISTRIBUTOR() external view returns (address);

    /// @notice What is left in the reward pool.
    function rewardPool() external view returns (uint256);

    /// @notice All that `account` was ever credited out of the reward pool.
    function credited(address account) external view returns (uint256);

    /// @notice Moves `amount` of the distributor's own balance into the reward pool.
    function fundRewardPool(uint256 amount) external;

    /// @notice Raises what `account` was credited to `cumulative`, as far as the pool reaches, and pays the difference to
    ///         `recipient`.
    /// @dev Distributor only. Pays nothing where `cumulative` was reached before.
    /// @return paid what moved from the pool to `recipient`.
    function credit(address account, address recipient, uint256 cumulative) external returns (uint256 paid);

    /// @notice `credit` for many accounts at once, each packed as (address << 96 | cumulative), each paid to itself.
    /// @dev Distributor only. Accounts that have nothing to receive, or that cannot hold OPEN, are passed over.
    function creditMany(uint256[] calldata credits) external returns (uint256 paid);

    /// @notice Whether the ERC-3009 `nonce` of `authorizer` was used or cancelled.
    function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);

    /// @notice ERC-3009: moves tokens by the signed authorisation of `from`; anybody may send it.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice ERC-3009 with a signature of any length: also contracts (ERC-1271) can authorise.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice ERC-3009: as `transferWithAuthorization`, but only the payee may send it, so that nobody can run ahead of a
    ///         contract that acts on the payment.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice `receiveWithAuthorization` with a signature of any length.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice ERC-3009: makes an authorisation that was not used yet worthless.
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice `cancelAuthorization` with a signature of any length.
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external;
}

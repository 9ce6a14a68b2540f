// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { Votes } from "@openzeppelin/contracts/governance/utils/Votes.sol";
import { IERC20Errors } from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { Nonces } from "@openzeppelin/contracts/utils/Nonces.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IOpenToken } from "./interfaces/IOpenToken.sol";
import { Signatures } from "./libraries/Signatures.sol";

/// @title OpenToken
/// @dev One slot an account: balance in bits 0–95, lifetime credit in bits 96–191, bit 192 set once it ever delegated.
///      A reward claim therefore writes one slot of its account, and a transfer between accounts that never delegated
///      pays one bit test for voting's existence.
///
///      Invariant 1: the balances, with the pool at address(this), sum to TOTAL_SUPPLY.
///      Invariant 2: `credited` of an account never falls, and rises only by what left the pool at the same moment.
///      Invariant 3: a call of the distributor lowers no balance but its own and the pool's.
contract OpenToken is IOpenToken, IERC20Errors, Votes {
    string public constant override name = "OpenLedger";
    string public constant override symbol = "OPEN";
    uint8 public constant override decimals = 18;
    uint256 public constant TOTAL_SUPPLY = 1_000_000_000e18;

    bytes32 public constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant CANCEL_AUTHORIZATION_TYPEHASH =
        keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");

    uint256 private constant BALANCE = type(uint96).max;
    uint256 private constant CREDITED_SHIFT = 96;
    uint256 private constant DELEGATED = 1 << 192;

    /// @dev A struct of one word, so that a reference to it keeps the slot that the mapping's hash was paid for.
    struct Account {
        uint256 packed;
    }

    address public immutable override DISTRIBUTOR;

    mapping(address account => Account) private _accounts;
    mapping(address owner => mapping(address spender => uint256)) private _allowances;
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public override authorizationState;

    modifier onlyDistributor() {
        if (msg.sender != DISTRIBUTOR) revert OnlyDistributor(msg.sender);
        _;
    }

    /// @param holder receives the whole supply.
    /// @param distributor is the only contract that can ever credit rewards.
    constructor(address holder, address distributor) EIP712("OpenLedger", "1") {
        if (holder == address(0) || holder == address(this)) revert ERC20InvalidReceiver(holder);
        if (distributor == address(0)) revert OnlyDistributor(distributor);
        DISTRIBUTOR = distributor;
        _accounts[holder].packed = TOTAL_SUPPLY;
        _transferVotingUnits(address(0), holder, TOTAL_SUPPLY);
        emit Transfer(address(0), holder, TOTAL_SUPPLY);
    }

    // ERC-20

    function totalSupply() external pure override returns (uint256) {
        return TOTAL_SUPPLY;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return _accounts[account].packed & BALANCE;
    }

    function allowance(address owner, address spender) external view override returns (uint256) {
        return _allowances[owner][spender];
    }

    function transfer(address to, uint256 value) external override returns (bool) {
        _transfer(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external override returns (bool) {
        _approve(msg.sender, spender, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external override returns (bool) {
        uint256 allowed = _allowances[from][msg.sender];
        if (allowed != type(uint256).max) {
            if (allowed < value) revert ERC20InsufficientAllowance(msg.sender, allowed, value);
            unchecked {
                _allowances[from][msg.sender] = allowed - value;
            }
        }
        _transfer(from, to, value);
        return true;
    }

    // ERC-2612

    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        override
    {
        if (block.timestamp > deadline) revert PermitExpired(deadline);
        bytes32 structHash = keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, _useNonce(owner), deadline));
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecover(_hashTypedDataV4(structHash), v, r, s);
        if (fault != ECDSA.RecoverError.NoError || signer != owner) revert InvalidSigner(owner);
        _approve(owner, spender, value);
    }

    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view override returns (bytes32) {
        return _domainSeparatorV4();
    }

    // ERC-3009

    /// @inheritdoc IOpenToken
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
    ) external override {
        transferWithAuthorization(from, to, value, validAfter, validBefore, nonce, abi.encodePacked(r, s, v));
    }

    /// @inheritdoc IOpenToken
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) public override {
        bytes32 typeHash = TRANSFER_WITH_AUTHORIZATION_TYPEHASH;
        _useAuthorization(
            from,
            nonce,
            validAfter,
            validBefore,
            keccak256(abi.encode(typeHash, from, to, value, validAfter, validBefore, nonce)),
            signature
        );
        _transfer(from, to, value);
    }

    /// @inheritdoc IOpenToken
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
    ) external override {
        receiveWithAuthorization(from, to, value, validAfter, validBefore, nonce, abi.encodePacked(r, s, v));
    }

    /// @inheritdoc IOpenToken
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes memory signature
    ) public override {
        if (msg.sender != to) revert CallerMustBePayee(msg.sender, to);
        bytes32 typeHash = RECEIVE_WITH_AUTHORIZATION_TYPEHASH;
        _useAuthorization(
            from,
            nonce,
            validAfter,
            validBefore,
            keccak256(abi.encode(typeHash, from, to, value, validAfter, validBefore, nonce)),
            signature
        );
        _transfer(from, to, value);
    }

    /// @inheritdoc IOpenToken
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external override {
        cancelAuthorization(authorizer, nonce, abi.encodePacked(r, s, v));
    }

    /// @inheritdoc IOpenToken
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes memory signature) public override {
        bytes32 structHash = keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce));
        _spendAuthorization(authorizer, nonce, structHash, signature);
        emit AuthorizationCanceled(authorizer, nonce);
    }

    // Rewards

    /// @inheritdoc IOpenToken
    function rewardPool() external view override returns (uint256) {
        return balanceOf(address(this));
    }

    /// @inheritdoc IOpenToken
    function credited(address account) external view override returns (uint256) {
        return uint96(_accounts[account].packed >> CREDITED_SHIFT);
    }

    /// @inheritdoc IOpenToken
    function fundRewardPool(uint256 amount) external override onlyDistributor {
        _move(msg.sender, address(this), amount);
    }

    /// @inheritdoc IOpenToken
    function credit(address account, address recipient, uint256 cumulative)
        external
        override
        onlyDistributor
        returns (uint256 paid)
    {
        if (recipient == address(0) || recipient == address(this)) {
            revert ERC20InvalidReceiver(recipient);
        }
        Account storage source = _accounts[address(this)];
        Account storage target = _accounts[account];
        uint256 pool = source.packed;
        uint256 packed = target.packed;
        paid = _payable(packed, cumulative, pool & BALANCE);
        if (paid == 0) return 0;
        unchecked {
            // paid ≤ pool ≤ TOTAL_SUPPLY < 2^96, and _payable refused a lifetime credit that would not fit.
            source.packed = pool - paid;
            packed += paid << CREDITED_SHIFT;
            if (account != recipient) {
                // The pool has no rewards of its own: its slot must not be written twice.
                if (account == address(this)) revert ERC20InvalidSender(account);
                target.packed = packed;
                target = _accounts[recipient];
                packed = target.packed;
            }
            target.packed = packed + paid;
        }
        if (packed & DELEGATED != 0) _transferVotingUnits(address(this), recipient, paid);
        emit Transfer(address(this), recipient, paid);
    }

    /// @inheritdoc IOpenToken
    function creditMany(uint256[] calldata credits) external override onlyDistributor returns (uint256 paid) {
        Account storage source = _accounts[address(this)];
        uint256 pool = source.packed & BALANCE;
        uint256 length = credits.length;
        for (uint256 i = 0; i < length; ++i) {
            uint256 entry = credits[i];
            address account = address(uint160(entry >> 96));
            if (account == address(0) || account == address(this)) continue;
            Account storage target = _accounts[account];
            uint256 packed = target.packed;
            uint256 amount = _payable(packed, uint96(entry), pool);
            if (amount == 0) continue;
            unchecked {
                pool -= amount;
                paid += amount;
                target.packed = packed + (amount << CREDITED_SHIFT) + amount;
            }
            if (packed & DELEGATED != 0) _transferVotingUnits(address(this), account, amount);
            emit Transfer(address(this), account, amount);
        }
        unchecked {
            source.packed -= paid;
        }
    }

    // Votes: time in seconds, since block numbers mean different things on different chains

    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function nonces(address owner) public view override(IERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _delegate(address account, address delegatee) internal override {
        _accounts[account].packed |= DELEGATED;
        super._delegate(account, delegatee);
    }

    function _getVotingUnits(address account) internal view override returns (uint256) {
        return balanceOf(account);
    }

    // Internal

    /// @dev What may be paid now: up to `cumulative` in all, up to what the pool holds.
    function _payable(uint256 packed, uint256 cumulative, uint256 pool) private pure returns (uint256 amount) {
        if (cumulative > type(uint96).max) revert CreditTooLarge(cumulative);
        uint256 before = uint96(packed >> CREDITED_SHIFT);
        if (cumulative <= before) return 0;
        unchecked {
            amount = cumulative - before;
        }
        if (amount > pool) amount = pool;
    }

    /// @dev The pool takes tokens from the distributor alone: what a user sends to the token by mistake is refused.
    function _transfer(address from, address to, uint256 value) private {
        if (to == address(0) || to == address(this)) revert ERC20InvalidReceiver(to);
        _move(from, to, value);
    }

    function _move(address from, address to, uint256 value) private {
        Account storage source = _accounts[from];
        uint256 packed = source.packed;
        if (packed & BALANCE < value) revert ERC20InsufficientBalance(from, packed & BALANCE, value);
        unchecked {
            source.packed = packed - value;
            // Read only now: the two accounts may be one.
            Account storage target = _accounts[to];
            uint256 before = target.packed;
            target.packed = before + value;
            if ((packed | before) & DELEGATED != 0) _transferVotingUnits(from, to, value);
        }
        emit Transfer(from, to, value);
    }

    function _approve(address owner, address spender, uint256 value) private {
        if (spender == address(0)) revert ERC20InvalidSpender(spender);
        _allowances[owner][spender] = value;
        emit Approval(owner, spender, value);
    }

    function _useAuthorization(
        address from,
        bytes32 nonce,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 structHash,
        bytes memory signature
    ) private {
        if (block.timestamp <= validAfter) revert AuthorizationNotYetValid(validAfter);
        if (block.timestamp >= validBefore) revert AuthorizationExpired(validBefore);
        _spendAuthorization(from, nonce, structHash, signature);
        emit AuthorizationUsed(from, nonce);
    }

    function _spendAuthorization(address from, bytes32 nonce, bytes32 structHash, bytes memory signature) private {
        if (authorizationState[from][nonce]) revert AuthorizationUsedOrCanceled(from, nonce);
        if (!Signatures.isValid(from, _hashTypedDataV4(structHash), signature)) revert InvalidSigner(from);
        authorizationState[from][nonce] = true;
    }
}

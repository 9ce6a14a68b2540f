// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { Nonces } from "@openzeppelin/contracts/utils/Nonces.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IInferenceEscrow } from "./interfaces/IInferenceEscrow.sol";
import { IOpenToken } from "./interfaces/IOpenToken.sol";
import { IRewardDistributor } from "./interfaces/IRewardDistributor.sol";
import { Signatures } from "./libraries/Signatures.sol";

/// @title InferenceEscrow
/// @dev Invariant 1: the tokens held here cover the sum of all balances.
///      Invariant 2: a lane's `spent` never falls and never exceeds the highest voucher its key signed, nor a session's cap.
///      Invariant 3: no function but `withdraw` and `settle` lowers a balance, and no role can stop `withdraw`.
contract InferenceEscrow is IInferenceEscrow, EIP712, Nonces {
    bytes32 public constant VOUCHER_TYPEHASH =
        keccak256("Voucher(address consumer,address key,uint256 cumulative,uint256 deadline)");
    bytes32 public constant OPEN_SESSION_TYPEHASH = keccak256(
        "OpenSession(address consumer,address key,uint256 cap,uint256 expiresAt,uint256 nonce,uint256 deadline)"
    );

    uint256 public constant MIN_NOTICE = 10 minutes;
    uint256 public constant MAX_NOTICE = 14 days;

    IOpenToken public immutable TOKEN;
    IRewardDistributor public immutable DISTRIBUTOR;
    address public immutable GOVERNANCE;

    uint256 public override notice;
    mapping(address consumer => Account) private _accounts;
    mapping(address consumer => mapping(address key => Session)) private _sessions;
    mapping(address consumer => Withdrawal) private _withdrawals;
    mapping(bytes32 batch => uint256) public override collectedOf;
    /// @dev A contract wallet can deny later what it vouched for here; a key cannot, and is not remembered.
    mapping(bytes32 digest => bool) public override foundGood;

    constructor(IOpenToken token, IRewardDistributor distributor, address governance, uint256 notice_)
        EIP712("OpenLedger InferenceEscrow", "1")
    {
        TOKEN = token;
        DISTRIBUTOR = distributor;
        GOVERNANCE = governance;
        _setNotice(notice_);
    }

    // Deposits

    /// @inheritdoc IInferenceEscrow
    function deposit(uint256 amount) external override {
        _deposit(msg.sender, amount);
    }

    /// @inheritdoc IInferenceEscrow
    function depositFor(address consumer, uint256 amount) external override {
        _deposit(consumer, amount);
    }

    /// @inheritdoc IInferenceEscrow
    function depositWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external override {
        // Whoever runs ahead with the permit has set the same allowance: go on and let the transfer decide.
        try TOKEN.permit(msg.sender, address(this), amount, deadline, v, r, s) { } catch { }
        _deposit(msg.sender, amount);
    }

    /// @inheritdoc IInferenceEscrow
    function depositWithAuthorization(
        address consumer,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external override {
        _book(consumer, consumer, amount);
        TOKEN.receiveWithAuthorization(consumer, address(this), amount, validAfter, validBefore, nonce, signature);
    }

    // Settlement

    /// @inheritdoc IInferenceEscrow
    function settle(bytes32 batch, Voucher[] calldata vouchers) external override returns (uint256 taken) {
        for (uint256 i = 0; i < vouchers.length; ++i) {
            taken += _take(batch, vouchers[i]);
        }
        if (taken == 0) return 0;
        uint256 collected = collectedOf[batch] + taken;
        collectedOf[batch] = collected;
        emit BatchSettled(batch, taken, collected);
        TOKEN.transfer(address(DISTRIBUTOR), taken);
        DISTRIBUTOR.collect(taken);
    }

    // Withdrawal

    /// @inheritdoc IInferenceEscrow
    function requestWithdrawal(uint256 amount) external override {
        if (amount == 0) revert ZeroAmount();
        uint256 balance = _accounts[msg.sender].balance;
        if (amount > balance) revert InsufficientBalance(amount, balance);
        uint256 readyAt = block.timestamp + notice;
        _withdrawals[msg.sender] = Withdrawal({ amount: uint96(amount), readyAt: uint40(readyAt) });
        emit WithdrawalRequested(msg.sender, amount, readyAt);
    }

    /// @inheritdoc IInferenceEscrow
    function cancelWithdrawal() external override {
        if (_withdrawals[msg.sender].amount == 0) revert NoWithdrawal(msg.sender);
        delete _withdrawals[msg.sender];
        emit WithdrawalCanceled(msg.sender);
    }

    /// @inheritdoc IInferenceEscrow
    function withdraw(address recipient) external override returns (uint256 amount) {
        Withdrawal memory request = _withdrawals[msg.sender];
        if (request.amount == 0) revert NoWithdrawal(msg.sender);
        if (block.timestamp < request.readyAt) revert WithdrawalNotReady(request.readyAt);
        // What is sent to the escrow itself would be nobody's.
        if (recipient == address(this)) revert InvalidRecipient(recipient);
        delete _withdrawals[msg.sender];

        Account storage account = _accounts[msg.sender];
        amount = request.amount < account.balance ? request.amount : account.balance;
        account.balance -= uint96(amount);
        emit Withdrawn(msg.sender, recipient, amount);
        TOKEN.transfer(recipient, amount);
    }

    // Sessions

    /// @inheritdoc IInferenceEscrow
    function openSession(address key, uint256 cap, uint256 expiresAt) external override {
        _openSession(msg.sender, key, cap, expiresAt);
    }

    /// @inheritdoc IInferenceEscrow
    function openSessionBySig(
        address consumer,
        address key,
        uint256 cap,
        uint256 expiresAt,
        uint256 deadline,
        bytes calldata signature
    ) external override {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        bytes32 digest = sessionDigest(consumer, key, cap, expiresAt, _useNonce(consumer), deadline);
        if (!Signatures.isValid(consumer, digest, signature)) revert InvalidSessionSignature(consumer);
        _openSession(consumer, key, cap, expiresAt);
    }

    /// @inheritdoc IInferenceEscrow
    function revokeSession(address key) external override {
        Session storage session = _sessions[msg.sender][key];
        if (session.expiresAt <= block.timestamp) revert NoSession(msg.sender, key);
        uint256 endsAt = block.timestamp + notice;
        if (endsAt > session.expiresAt) endsAt = session.expiresAt;
        session.expiresAt = uint40(endsAt);
        // An opening that was signed and held back must not undo this.
        _useNonce(msg.sender);
        emit SessionRevoked(msg.sender, key, endsAt);
    }

    // Governance

    /// @inheritdoc IInferenceEscrow
    function setNotice(uint256 notice_) external override {
        if (msg.sender != GOVERNANCE) revert OnlyGovernance(msg.sender);
        _setNotice(notice_);
    }

    // Views

    /// @inheritdoc IInferenceEscrow
    function accountOf(address consumer) external view override returns (Account memory) {
        return _accounts[consumer];
    }

    /// @inheritdoc IInferenceEscrow
    function sessionOf(address consumer, address key) external view override returns (Session memory) {
        return _sessions[consumer][key];
    }

    /// @inheritdoc IInferenceEscrow
    function withdrawalOf(address consumer) external view override returns (Withdrawal memory) {
        return _withdrawals[consumer];
    }

    /// @inheritdoc IInferenceEscrow
    function voucherDigest(address consumer, address key, uint256 cumulative, uint256 deadline)
        public
        view
        override
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(VOUCHER_TYPEHASH, consumer, key, cumulative, deadline)));
    }

    /// @inheritdoc IInferenceEscrow
    function sessionDigest(
        address consumer,
        address key,
        uint256 cap,
        uint256 expiresAt,
        uint256 nonce,
        uint256 deadline
    ) public view override returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(abi.encode(OPEN_SESSION_TYPEHASH, consumer, key, cap, expiresAt, nonce, deadline))
        );
    }

    // Internal

    function _deposit(address consumer, uint256 amount) private {
        _book(consumer, msg.sender, amount);
        TOKEN.transferFrom(msg.sender, address(this), amount);
    }

    function _book(address consumer, address payer, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        if (amount > type(uint96).max) revert DepositTooLarge(amount);
        _accounts[consumer].balance += uint96(amount);
        emit Deposited(consumer, payer, amount);
    }

    function _take(bytes32 batch, Voucher calldata voucher) private returns (uint256 amount) {
        address consumer = voucher.consumer;
        address key = voucher.key;
        Account memory account = _accounts[consumer];
        Session memory session;
        // Sums are kept in 96 bits, 79 times the supply; a voucher for more is good for that much.
        uint256 limit = voucher.cumulative > type(uint96).max ? type(uint96).max : voucher.cumulative;
        uint256 spent = account.spent;

        if (block.timestamp > voucher.deadline) return _refuse(batch, consumer, key, Refusal.Expired);
        if (key != consumer) {
            session = _sessions[consumer][key];
            if (block.timestamp > session.expiresAt) return _refuse(batch, consumer, key, Refusal.SessionClosed);
            if (limit > session.cap) limit = session.cap;
            spent = session.spent;
        }
        if (limit <= spent) return _refuse(batch, consumer, key, Refusal.NothingDue);
        unchecked {
            amount = limit - spent;
        }
        if (amount > account.balance) amount = account.balance;
        if (amount == 0) return _refuse(batch, consumer, key, Refusal.NoBalance);
        bytes32 digest = voucherDigest(consumer, key, voucher.cumulative, voucher.deadline);
        if (!Signatures.isByKey(key, digest, voucher.signature)) {
            if (!Signatures.isByContract(key, digest, voucher.signature)) {
                return _refuse(batch, consumer, key, Refusal.BadSignature);
            }
            foundGood[digest] = true;
        }

        account.balance -= uint96(amount);
        if (key == consumer) {
            account.spent = uint96(spent + amount);
        } else {
            _sessions[consumer][key].spent = uint96(spent + amount);
        }
        _accounts[consumer] = account;
        emit VoucherSettled(consumer, key, batch, amount);
    }

    function _refuse(bytes32 batch, address consumer, address key, Refusal reason) private returns (uint256) {
        emit VoucherRefused(consumer, key, batch, reason);
        return 0;
    }

    function _openSession(address consumer, address key, uint256 cap, uint256 expiresAt) private {
        if (key == address(0) || key == consumer) revert InvalidSessionKey(key);
        Session storage session = _sessions[consumer][key];
        if (cap > type(uint96).max) revert OutOfBounds(cap, 0, type(uint96).max);
        if (expiresAt > type(uint40).max) revert OutOfBounds(expiresAt, 0, type(uint40).max);
        if (cap < session.cap || expiresAt < session.expiresAt || expiresAt <= block.timestamp) {
            revert SessionMayOnlyGrow(session.cap, session.expiresAt);
        }
        session.cap = uint96(cap);
        session.expiresAt = uint40(expiresAt);
        emit SessionOpened(consumer, key, cap, expiresAt);
    }

    function _setNotice(uint256 notice_) private {
        if (notice_ < MIN_NOTICE || notice_ > MAX_NOTICE) revert OutOfBounds(notice_, MIN_NOTICE, MAX_NOTICE);
        notice = notice_;
        emit NoticeSet(notice_);
    }
}

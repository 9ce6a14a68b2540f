// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The consumers' deposits
/// @notice A consumer deposits OPEN and signs cumulative vouchers: "up to X of mine may be taken, in total". Settlement takes
///         at most what was signed and at most what is there, and moves it to the reward reserve. A withdrawal completes
///         after its notice without anybody's help.
interface IInferenceEscrow {
    /// @param key the lane: the consumer itself, or one of its session keys. Sums are cumulative per lane.
    struct Voucher {
        address consumer;
        address key;
        uint256 cumulative;
        uint256 deadline;
        bytes signature;
    }

    struct Account {
        uint96 balance;
        uint96 spent;
    }

    struct Session {
        uint96 cap;
        uint96 spent;
        uint40 expiresAt;
    }

    struct Withdrawal {
        uint96 amount;
        uint40 readyAt;
    }

    enum Refusal {
        Expired,
        SessionClosed,
        NothingDue,
        NoBalance,
        BadSignature
    }

    event Deposited(address indexed consumer, address indexed payer, uint256 amount);
    event VoucherSettled(address indexed consumer, address indexed key, bytes32 indexed batch, uint256 amount);
    event VoucherRefused(address indexed consumer, address indexed key, bytes32 indexed batch, Refusal reason);
    event BatchSettled(bytes32 indexed batch, uint256 amount, uint256 collectedOfBatch);
    event WithdrawalRequested(address indexed consumer, uint256 amount, uint256 readyAt);
    event WithdrawalCanceled(address indexed consumer);
    event Withdrawn(address indexed consumer, address indexed recipient, uint256 amount);
    event SessionOpened(address indexed consumer, address indexed key, uint256 cap, uint256 expiresAt);
    event SessionRevoked(address indexed consumer, address indexed key, uint256 endsAt);
    event NoticeSet(uint256 notice);

    error OnlyGovernance(address caller);
    error ZeroAmount();
    error InvalidRecipient(address recipient);
    error DepositTooLarge(uint256 amount);
    error InsufficientBalance(uint256 requested, uint256 balance);
    error NoWithdrawal(address consumer);
    error WithdrawalNotReady(uint256 readyAt);
    error InvalidSessionKey(address key);
    error SessionMayOnlyGrow(uint256 cap, uint256 expiresAt);
    error NoSession(address consumer, address key);
    error SignatureExpired(uint256 deadline);
    error InvalidSessionSignature(address consumer);
    error OutOfBounds(uint256 value, uint256 least, uint256 most);

    function deposit(uint256 amount) external;

    /// @notice Deposits into somebody's account. It can neither touch nor delay a withdrawal of theirs.
    function depositFor(address consumer, uint256 amount) external;

    /// @notice Deposits for the caller by ERC-2612. A permit that somebody ran ahead with is no obstacle.
    function depositWithPermit(uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Deposits for `consumer` by its ERC-3009 authorisation (receiveWithAuthorization); anybody may send it.
    function depositWithAuthorization(
        address consumer,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;

    /// @notice Takes what the vouchers allow and moves it to the reward reserve, for the account of one batch.
    /// @dev Anybody may send it. A voucher that cannot be taken is passed over with the reason in an event, so that one
    ///      consumer cannot sink the settlement of the others.
    /// @param batch the content hash of the batch (its header records how the fees are split). It is the sender's word, for
    ///        looking things up: nothing may be decided by it or by `collectedOf`. What counts is `spent` per lane.
    function settle(bytes32 batch, Voucher[] calldata vouchers) external returns (uint256 taken);

    function requestWithdrawal(uint256 amount) external;
    function cancelWithdrawal() external;

    /// @notice Pays out the announced amount, or what vouchers have left of it.
    function withdraw(address recipient) external returns (uint256 amount);

    /// @notice Lets `key` sign vouchers in a lane of its own up to `cap` in total. A session can only grow; to end it, revoke.
    function openSession(address key, uint256 cap, uint256 expiresAt) external;
    function openSessionBySig(
        address consumer,
        address key,
        uint256 cap,
        uint256 expiresAt,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Ends a session after the notice period, so that what was honestly used can still be settled.
    function revokeSession(address key) external;

    function setNotice(uint256 notice_) external;

    function accountOf(address consumer) external view returns (Account memory);
    function sessionOf(address consumer, address key) external view returns (Session memory);
    function withdrawalOf(address consumer) external view returns (Withdrawal memory);
    function collectedOf(bytes32 batch) external view returns (uint256);

    /// @notice Whether a contract wallet (ERC-1271) vouched for this voucher when it was settled.
    function foundGood(bytes32 digest) external view returns (bool);
    function notice() external view returns (uint256);
    function voucherDigest(address consumer, address key, uint256 cumulative, uint256 deadline)
        external
        view
        returns (bytes32);
    function sessionDigest(
        address consumer,
        address key,
        uint256 cap,
        uint256 expiresAt,
        uint256 nonce,
        uint256 deadline
    ) external view returns (bytes32);
}

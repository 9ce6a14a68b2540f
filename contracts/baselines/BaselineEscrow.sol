// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Deposits and cumulative vouchers in plain mappings, on OpenZeppelin's SafeERC20 and ECDSA
/// @notice Mirrors the job of InferenceEscrow's deposit, settle, requestWithdrawal and withdraw. Not deployed with the
///         suite.
contract BaselineEscrow is EIP712 {
    using SafeERC20 for IERC20;

    struct Voucher {
        address consumer;
        uint256 cumulative;
        uint256 deadline;
        bytes signature;
    }

    struct Withdrawal {
        uint128 amount;
        uint64 readyAt;
    }

    bytes32 public constant VOUCHER_TYPEHASH =
        keccak256("Voucher(address consumer,uint256 cumulative,uint256 deadline)");

    IERC20 public immutable TOKEN;
    address public immutable RECIPIENT;
    uint256 public immutable NOTICE;

    mapping(address consumer => uint256) public balanceOf;
    mapping(address consumer => uint256) public spentOf;
    mapping(address consumer => Withdrawal) public withdrawalOf;

    event Deposited(address indexed consumer, uint256 amount);
    event VoucherSettled(address indexed consumer, uint256 amount);
    event WithdrawalRequested(address indexed consumer, uint256 amount, uint256 readyAt);
    event Withdrawn(address indexed consumer, uint256 amount);

    error Expired(uint256 deadline);
    error InvalidSignature(address consumer);
    error NothingDue(address consumer);
    error InsufficientBalance(address consumer);
    error NotReady(uint256 readyAt);

    constructor(IERC20 token, address recipient, uint256 notice) EIP712("BaselineEscrow", "1") {
        TOKEN = token;
        RECIPIENT = recipient;
        NOTICE = notice;
    }

    function deposit(uint256 amount) external {
        depositFor(msg.sender, amount);
    }

    function depositFor(address consumer, uint256 amount) public {
        balanceOf[consumer] += amount;
        emit Deposited(consumer, amount);
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    function settle(Voucher calldata voucher) external {
        TOKEN.safeTransfer(RECIPIENT, _take(voucher));
    }

    function settleMany(Voucher[] calldata vouchers) external {
        uint256 taken;
        for (uint256 i = 0; i < vouchers.length; ++i) {
            taken += _take(vouchers[i]);
        }
        TOKEN.safeTransfer(RECIPIENT, taken);
    }

    function requestWithdrawal(uint256 amount) external {
        if (amount == 0 || amount > balanceOf[msg.sender]) revert InsufficientBalance(msg.sender);
        uint256 readyAt = block.timestamp + NOTICE;
        withdrawalOf[msg.sender] = Withdrawal(uint128(amount), uint64(readyAt));
        emit WithdrawalRequested(msg.sender, amount, readyAt);
    }

    function withdraw() external {
        Withdrawal memory request = withdrawalOf[msg.sender];
        if (request.amount == 0 || block.timestamp < request.readyAt) revert NotReady(request.readyAt);
        delete withdrawalOf[msg.sender];
        uint256 balance = balanceOf[msg.sender];
        uint256 amount = request.amount < balance ? request.amount : balance;
        balanceOf[msg.sender] = balance - amount;
        emit Withdrawn(msg.sender, amount);
        TOKEN.safeTransfer(msg.sender, amount);
    }

    function _take(Voucher calldata voucher) private returns (uint256 amount) {
        if (block.timestamp > voucher.deadline) revert Expired(voucher.deadline);
        bytes32 structHash =
            keccak256(abi.encode(VOUCHER_TYPEHASH, voucher.consumer, voucher.cumulative, voucher.deadline));
        if (ECDSA.recoverCalldata(_hashTypedDataV4(structHash), voucher.signature) != voucher.consumer) {
            revert InvalidSignature(voucher.consumer);
        }
        uint256 spent = spentOf[voucher.consumer];
        if (voucher.cumulative <= spent) revert NothingDue(voucher.consumer);
        amount = voucher.cumulative - spent;
        uint256 balance = balanceOf[voucher.consumer];
        if (amount > balance) revert InsufficientBalance(voucher.consumer);
        balanceOf[voucher.consumer] = balance - amount;
        spentOf[voucher.consumer] = voucher.cumulative;
        emit VoucherSettled(voucher.consumer, amount);
    }
}

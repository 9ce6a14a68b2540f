// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IERC20Errors } from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import { IInferenceEscrow } from "../../contracts/interfaces/IInferenceEscrow.sol";
import { Suite } from "./Suite.sol";

/// @dev Each refusal, event and boundary of the escrow by itself.
contract EscrowTest is Suite {
    bytes32 private constant BATCH = keccak256("batch");
    uint256 private constant SESSION_KEY = 0x5E5510;

    address private session;
    address private thief = address(0x7417F);

    function setUp() public {
        deploySuite();
        session = vm.addr(SESSION_KEY);
        fund(consumer, 1000);
        vm.prank(consumer);
        token.approve(address(escrow), 700);
    }

    function test_Facts_WhenDeployed_ThenAreTheParameters() external view {
        vm.assertEq(address(escrow.TOKEN()), address(token), "token");
        vm.assertEq(address(escrow.DISTRIBUTOR()), address(distributor), "distributor");
        vm.assertEq(escrow.GOVERNANCE(), address(timelock), "governance");
        vm.assertEq(escrow.notice(), NOTICE, "notice");
    }

    function test_Deposit_WhenNothingOrTooMuch_ThenRefused() external {
        vm.expectRevert(IInferenceEscrow.ZeroAmount.selector);
        escrow.deposit(0);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.DepositTooLarge.selector, uint256(1) << 96));
        escrow.deposit(1 << 96);
        // As much as fits is a matter between the payer and the token.
        uint256 most = type(uint96).max;
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, escrow, 0, most));
        escrow.deposit(most);
    }

    function test_Deposit_WhenForAnother_ThenBookedThereAndPaidHere() external {
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.Deposited(thief, consumer, 300);
        vm.prank(consumer);
        escrow.depositFor(thief, 300);
        vm.assertEq(escrow.accountOf(thief).balance, 300, "booked");
        vm.assertEq(token.balanceOf(consumer), 700, "paid");
        vm.prank(consumer);
        escrow.deposit(400);
        vm.assertEq(escrow.accountOf(consumer).balance, 400, "its own");
        vm.assertEq(token.balanceOf(address(escrow)), 700, "held");
    }

    function test_DepositWithPermit_WhenSomebodyRanAhead_ThenGoesOn() external {
        bytes32 structHash = keccak256(
            abi.encode(token.PERMIT_TYPEHASH(), consumer, escrow, uint256(900), uint256(0), block.timestamp)
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CONSUMER_KEY, _tokenDigest(structHash));
        vm.prank(consumer);
        escrow.depositWithPermit(900, block.timestamp, v, r, s);
        vm.assertEq(escrow.accountOf(consumer).balance, 900, "by permit");
        vm.startPrank(consumer);
        token.approve(address(escrow), 50);
        escrow.depositWithPermit(50, block.timestamp, v, r, s);
        vm.assertEq(escrow.accountOf(consumer).balance, 950, "by the allowance that stands");
    }

    function test_DepositWithAuthorization_WhenSentByAnybody_ThenBookedForItsAuthor() external {
        bytes32 typeHash = token.RECEIVE_WITH_AUTHORIZATION_TYPEHASH();
        bytes32 structHash =
            keccak256(abi.encode(typeHash, consumer, escrow, uint256(80), uint256(0), type(uint256).max, BATCH));
        bytes memory signed = signature(CONSUMER_KEY, _tokenDigest(structHash));
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.Deposited(consumer, consumer, 80);
        vm.prank(thief);
        escrow.depositWithAuthorization(consumer, 80, 0, type(uint256).max, BATCH, signed);
        vm.assertEq(escrow.accountOf(consumer).balance, 80, "booked");
        vm.assertEq(token.balanceOf(address(escrow)), 80, "received");
    }

    function test_Settle_WhenTaken_ThenEventsAndSumsOfTheBatch() external {
        _deposit(500);
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.VoucherSettled(consumer, consumer, BATCH, 200);
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.BatchSettled(BATCH, 200, 200);
        vm.assertEq(_settle(voucher(CONSUMER_KEY, consumer, 200)), 200, "taken");
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.BatchSettled(BATCH, 50, 250);
        _settle(voucher(CONSUMER_KEY, consumer, 250));
        vm.assertEq(escrow.collectedOf(BATCH), 250, "sum of the batch");
        vm.assertEq(escrow.accountOf(consumer).spent, 250, "spent");
        vm.assertEq(_settle(voucher(CONSUMER_KEY, consumer, 251)), 1, "a single wei");
        vm.assertEq(escrow.collectedOf(BATCH), 251, "counts like any other");
        vm.recordLogs();
        vm.assertEq(escrow.settle(BATCH, new IInferenceEscrow.Voucher[](0)), 0, "no vouchers");
        vm.assertEq(vm.getRecordedLogs().length, 0, "and nothing to tell");
    }

    function test_Settle_WhenAVoucherCannotBeTaken_ThenTheReasonIsTold() external {
        IInferenceEscrow.Voucher memory late = voucher(CONSUMER_KEY, consumer, 1);
        late.deadline = block.timestamp - 1;
        _expectRefusal(late, IInferenceEscrow.Refusal.Expired);
        _expectRefusal(voucher(SESSION_KEY, consumer, 1), IInferenceEscrow.Refusal.SessionClosed);
        _expectRefusal(voucher(CONSUMER_KEY, consumer, 0), IInferenceEscrow.Refusal.NothingDue);
        _expectRefusal(voucher(CONSUMER_KEY, consumer, 1), IInferenceEscrow.Refusal.NoBalance);
        _deposit(10);
        IInferenceEscrow.Voucher memory forged = voucher(CONSUMER_KEY, consumer, 1);
        forged.cumulative = 2;
        _expectRefusal(forged, IInferenceEscrow.Refusal.BadSignature);
        vm.assertEq(escrow.accountOf(consumer).balance, 10, "nothing was taken");
    }

    function test_Settle_WhenAtTheDeadline_ThenStillTaken() external {
        _deposit(10);
        bytes32 digest = escrow.voucherDigest(consumer, consumer, 3, block.timestamp);
        IInferenceEscrow.Voucher memory last =
            IInferenceEscrow.Voucher(consumer, consumer, 3, block.timestamp, signature(CONSUMER_KEY, digest));
        vm.assertEq(_settle(last), 3, "taken");
    }

    function test_Session_WhenOpened_ThenSpendsUpToItsCapInALaneOfItsOwn() external {
        _deposit(500);
        uint256 end = block.timestamp + 1 days;
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.SessionOpened(consumer, session, 100, end);
        vm.prank(consumer);
        escrow.openSession(session, 100, end);
        vm.assertEq(_settle(voucher(CONSUMER_KEY, consumer, 30)), 30, "the consumer's lane");
        vm.assertEq(_settle(voucher(SESSION_KEY, consumer, 60)), 60, "the session's lane");
        vm.warp(end);
        vm.assertEq(_settle(voucher(SESSION_KEY, consumer, 900)), 40, "up to the cap, in the last second");
        vm.assertEq(escrow.sessionOf(consumer, session).spent, 100, "spent");
        vm.assertEq(escrow.sessionOf(consumer, session).spent, 100, "spent in the lane");
        vm.assertEq(escrow.accountOf(consumer).spent, 30, "spent in the other");
        vm.assertEq(escrow.accountOf(consumer).balance, 370, "balance");
        vm.warp(end + 1);
        vm.startPrank(consumer);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.NoSession.selector, consumer, session));
        escrow.revokeSession(session);
        vm.stopPrank();
        _expectRefusal(voucher(SESSION_KEY, consumer, 900), IInferenceEscrow.Refusal.SessionClosed);
    }

    function test_Session_WhenItShrinksOrNamesAWrongKey_ThenRefused() external {
        uint256 end = block.timestamp + 1 days;
        vm.startPrank(consumer);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.InvalidSessionKey.selector, consumer));
        escrow.openSession(consumer, 1, end);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.InvalidSessionKey.selector, address(0)));
        escrow.openSession(address(0), 1, end);
        vm.expectRevert(_outOfBounds(1 << 96, 0, type(uint96).max));
        escrow.openSession(session, 1 << 96, end);
        vm.expectRevert(_outOfBounds(1 << 40, 0, type(uint40).max));
        escrow.openSession(session, 1, 1 << 40);
        for (uint256 ago = 0; ago < 2; ++ago) {
            vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.SessionMayOnlyGrow.selector, 0, 0));
            escrow.openSession(session, 1, block.timestamp - ago);
        }
        escrow.openSession(session, 100, end);
        bytes memory refusal = abi.encodeWithSelector(IInferenceEscrow.SessionMayOnlyGrow.selector, 100, end);
        vm.expectRevert(refusal);
        escrow.openSession(session, 99, end);
        vm.expectRevert(refusal);
        escrow.openSession(session, 100, end - 1);
        escrow.openSession(session, 100, end);
        escrow.openSession(session, type(uint96).max, type(uint40).max);
        vm.assertEq(escrow.sessionOf(consumer, session).cap, type(uint96).max, "the largest cap");
    }

    function test_Session_WhenRevoked_ThenEndsWithTheNoticeAndNeverLater() external {
        vm.startPrank(consumer);
        escrow.openSession(session, 100, block.timestamp + 2 * NOTICE);
        uint256 end = block.timestamp + NOTICE;
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.SessionRevoked(consumer, session, end);
        escrow.revokeSession(session);
        vm.assertEq(escrow.sessionOf(consumer, session).expiresAt, end, "after the notice");
        vm.warp(block.timestamp + 1);
        escrow.revokeSession(session);
        vm.assertEq(escrow.sessionOf(consumer, session).expiresAt, end, "not later");
        vm.warp(end);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.NoSession.selector, consumer, session));
        escrow.revokeSession(session);
    }

    function test_SessionBySig_WhenSigned_ThenOpenedOnce() external {
        uint256 end = block.timestamp + 1 days;
        bytes memory signed =
            signature(CONSUMER_KEY, escrow.sessionDigest(consumer, session, 100, end, 0, block.timestamp));
        vm.startPrank(thief);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.SignatureExpired.selector, block.timestamp - 1));
        escrow.openSessionBySig(consumer, session, 100, end, block.timestamp - 1, signed);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.InvalidSessionSignature.selector, consumer));
        escrow.openSessionBySig(consumer, session, 101, end, block.timestamp, signed);
        escrow.openSessionBySig(consumer, session, 100, end, block.timestamp, signed);
        vm.assertEq(escrow.sessionOf(consumer, session).cap, 100, "opened");
        vm.assertEq(escrow.nonces(consumer), 1, "nonce");
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.InvalidSessionSignature.selector, consumer));
        escrow.openSessionBySig(consumer, session, 100, end, block.timestamp, signed);
    }

    function test_Withdrawal_WhenAskedFor_ThenPaidAfterTheNoticeAndNotBefore() external {
        _deposit(500);
        vm.startPrank(consumer);
        vm.expectRevert(IInferenceEscrow.ZeroAmount.selector);
        escrow.requestWithdrawal(0);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.InsufficientBalance.selector, 501, 500));
        escrow.requestWithdrawal(501);
        uint256 readyAt = block.timestamp + NOTICE;
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.WithdrawalRequested(consumer, 500, readyAt);
        escrow.requestWithdrawal(500);
        vm.assertEq(escrow.withdrawalOf(consumer).readyAt, readyAt, "ready at");
        vm.warp(readyAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.WithdrawalNotReady.selector, readyAt));
        escrow.withdraw(thief);
        vm.warp(readyAt);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.InvalidRecipient.selector, address(escrow)));
        escrow.withdraw(address(escrow));
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.Withdrawn(consumer, thief, 500);
        vm.assertEq(escrow.withdraw(thief), 500, "paid");
        vm.assertEq(token.balanceOf(thief), 500, "received");
        vm.assertEq(escrow.accountOf(consumer).balance, 0, "nothing left");
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.NoWithdrawal.selector, consumer));
        escrow.withdraw(thief);
    }

    function test_Withdrawal_WhenCancelled_ThenGone() external {
        _deposit(500);
        vm.startPrank(consumer);
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.NoWithdrawal.selector, consumer));
        escrow.cancelWithdrawal();
        escrow.requestWithdrawal(500);
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.WithdrawalCanceled(consumer);
        escrow.cancelWithdrawal();
        vm.assertEq(escrow.withdrawalOf(consumer).amount, 0, "gone");
    }

    function test_Notice_WhenSet_ThenByGovernanceWithinItsBounds() external {
        vm.expectRevert(abi.encodeWithSelector(IInferenceEscrow.OnlyGovernance.selector, address(this)));
        escrow.setNotice(1 days);
        vm.startPrank(address(timelock));
        vm.expectRevert(_outOfBounds(10 minutes - 1, 10 minutes, 14 days));
        escrow.setNotice(10 minutes - 1);
        vm.expectRevert(_outOfBounds(14 days + 1, 10 minutes, 14 days));
        escrow.setNotice(14 days + 1);
        escrow.setNotice(10 minutes);
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.NoticeSet(14 days);
        escrow.setNotice(14 days);
        vm.assertEq(escrow.notice(), 14 days, "notice");
    }

    function _deposit(uint256 amount) private {
        vm.prank(consumer);
        escrow.deposit(amount);
    }

    function _settle(IInferenceEscrow.Voucher memory one) private returns (uint256) {
        IInferenceEscrow.Voucher[] memory vouchers = new IInferenceEscrow.Voucher[](1);
        vouchers[0] = one;
        return escrow.settle(BATCH, vouchers);
    }

    function _expectRefusal(IInferenceEscrow.Voucher memory one, IInferenceEscrow.Refusal reason) private {
        vm.expectEmit(address(escrow));
        emit IInferenceEscrow.VoucherRefused(consumer, one.key, BATCH, reason);
        vm.assertEq(_settle(one), 0, "nothing taken");
    }

    function _tokenDigest(bytes32 structHash) private view returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
    }

    function _outOfBounds(uint256 value, uint256 least, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IInferenceEscrow.OutOfBounds.selector, value, least, most);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IERC20Errors } from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import { OpenToken } from "../../contracts/OpenToken.sol";
import { IOpenToken } from "../../contracts/interfaces/IOpenToken.sol";
import { Suite } from "./Suite.sol";
import { Wallet } from "./Wallets.sol";

/// @dev Each refusal, event and boundary of the token by itself.
contract TokenTest is Suite {
    uint256 private constant KEY = 0xA11CE;
    address private payer = address(0xD157);
    address private thief = address(0x7417F);
    address private owner;

    function setUp() public {
        vm.warp(1_800_000_000);
        owner = vm.addr(KEY);
        token = new OpenToken(holder, payer);
        fund(owner, 100);
        fund(payer, 50);
        vm.prank(payer);
        token.fundRewardPool(50);
    }

    function test_Facts_WhenRead_ThenAreThoseOfOpen() external view {
        vm.assertEq(keccak256(bytes(token.name())), keccak256("OpenLedger"), "name");
        vm.assertEq(keccak256(bytes(token.symbol())), keccak256("OPEN"), "symbol");
        vm.assertEq(token.decimals(), 18, "decimals");
        vm.assertEq(token.totalSupply(), 1_000_000_000e18, "supply");
        vm.assertEq(token.DISTRIBUTOR(), payer, "distributor");
        vm.assertEq(token.clock(), block.timestamp, "clock");
        vm.assertEq(keccak256(bytes(token.CLOCK_MODE())), keccak256("mode=timestamp"), "clock mode");
        vm.assertEq(token.getPastTotalSupply(block.timestamp - 1), 0, "no votes before the start");
    }

    function test_Deploy_WhenSupplyIsIssued_ThenHolderHasItAllAndVotesCountIt() external {
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.expectEmit(next);
        emit IERC20.Transfer(address(0), holder, 1_000_000_000e18);
        token = new OpenToken(holder, payer);
        vm.warp(block.timestamp + 1);
        vm.assertEq(token.getPastTotalSupply(block.timestamp - 1), 1_000_000_000e18, "votes in all");
    }

    function test_Deploy_WhenHolderOrDistributorIsNobody_ThenRefused() external {
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0)));
        this.issue(address(0), payer);
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, next));
        this.issue(next, payer);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.OnlyDistributor.selector, address(0)));
        this.issue(holder, address(0));
    }

    /// @dev In a call of its own: where tests are linked dynamically, a creation that reverts ends the test that expected it.
    function issue(address to, address distributor) external {
        new OpenToken(to, distributor);
    }

    function test_Transfer_WhenToNobodyThePoolOrBeyondTheBalance_ThenRefused() external {
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0)));
        token.transfer(address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(token)));
        token.transfer(address(token), 1);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, owner, 100, 101));
        token.transfer(thief, 101);
    }

    function test_Transfer_WhenAllIsSent_ThenEventsAndReturnSaySo() external {
        vm.expectEmit(address(token));
        emit IERC20.Transfer(owner, thief, 100);
        vm.prank(owner);
        vm.assertTrue(token.transfer(thief, 100), "returns true");
    }

    function test_Allowance_WhenSpent_ThenFallsUnlessUnlimited() external {
        vm.expectEmit(address(token));
        emit IERC20.Approval(owner, thief, 60);
        vm.prank(owner);
        vm.assertTrue(token.approve(thief, 60), "returns true");
        vm.prank(thief);
        vm.assertTrue(token.transferFrom(owner, thief, 60), "returns true");
        vm.assertEq(token.allowance(owner, thief), 0, "all spent");
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, thief, 0, 1));
        vm.prank(thief);
        token.transferFrom(owner, thief, 1);
        vm.prank(owner);
        token.approve(thief, type(uint256).max);
        vm.prank(thief);
        token.transferFrom(owner, thief, 40);
        vm.assertEq(token.allowance(owner, thief), type(uint256).max, "unlimited stays unlimited");
    }

    function test_Approve_WhenSpenderIsNobody_ThenRefused() external {
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidSpender.selector, address(0)));
        token.approve(address(0), 1);
    }

    function test_Permit_WhenAtItsDeadline_ThenGoodAndASecondLaterExpired() external {
        (uint8 v, bytes32 r, bytes32 s) = _permit(block.timestamp);
        token.permit(owner, thief, 7, block.timestamp, v, r, s);
        vm.assertEq(token.allowance(owner, thief), 7, "allowance");
        vm.assertEq(token.nonces(owner), 1, "nonce");
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.PermitExpired.selector, block.timestamp - 1));
        token.permit(owner, thief, 7, block.timestamp - 1, v, r, s);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.InvalidSigner.selector, owner));
        token.permit(owner, thief, 7, block.timestamp, v, r, s);
        // A broken signature recovers nobody: nobody's allowance is not to be had either.
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.InvalidSigner.selector, address(0)));
        token.permit(address(0), thief, 7, block.timestamp, 1, r, s);
    }

    function test_Authorisation_WhenUsedInEitherForm_ThenMovesOnceAndSaysSo() external {
        (bytes32 r, bytes32 s, uint8 v) = _authorised(token.TRANSFER_WITH_AUTHORIZATION_TYPEHASH(), thief, 1);
        vm.expectEmit(address(token));
        emit IOpenToken.AuthorizationUsed(owner, bytes32(uint256(1)));
        token.transferWithAuthorization(owner, thief, 9, 0, type(uint256).max, bytes32(uint256(1)), v, r, s);
        vm.assertEq(token.balanceOf(thief), 9, "moved");
        vm.assertTrue(token.authorizationState(owner, bytes32(uint256(1))), "used");
        vm.expectRevert(
            abi.encodeWithSelector(IOpenToken.AuthorizationUsedOrCanceled.selector, owner, bytes32(uint256(1)))
        );
        token.transferWithAuthorization(owner, thief, 9, 0, type(uint256).max, bytes32(uint256(1)), v, r, s);

        (r, s, v) = _authorised(token.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(), thief, 2);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.CallerMustBePayee.selector, address(this), thief));
        token.receiveWithAuthorization(owner, thief, 9, 0, type(uint256).max, bytes32(uint256(2)), v, r, s);
        vm.prank(thief);
        token.receiveWithAuthorization(owner, thief, 9, 0, type(uint256).max, bytes32(uint256(2)), v, r, s);
        vm.assertEq(token.balanceOf(thief), 18, "received");
    }

    function test_Receive_WhenUnsignedOrUsedBefore_ThenRefused() external {
        bytes32 nonce = bytes32(uint256(4));
        vm.startPrank(thief);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.InvalidSigner.selector, owner));
        token.receiveWithAuthorization(owner, thief, 9, 0, type(uint256).max, nonce, "");
        // What was signed for a plain transfer is good for that alone.
        (bytes32 r, bytes32 s, uint8 v) = _authorised(token.TRANSFER_WITH_AUTHORIZATION_TYPEHASH(), thief, 4);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.InvalidSigner.selector, owner));
        token.receiveWithAuthorization(owner, thief, 9, 0, type(uint256).max, nonce, v, r, s);
        (r, s, v) = _authorised(token.RECEIVE_WITH_AUTHORIZATION_TYPEHASH(), thief, 4);
        token.receiveWithAuthorization(owner, thief, 9, 0, type(uint256).max, nonce, v, r, s);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.AuthorizationUsedOrCanceled.selector, owner, nonce));
        token.receiveWithAuthorization(owner, thief, 9, 0, type(uint256).max, nonce, v, r, s);
        vm.assertEq(token.balanceOf(thief), 9, "received once");
    }

    function test_Authorisation_WhenNotYetOrNoLongerGood_ThenRefused() external {
        for (uint256 seconds_ = 0; seconds_ < 2; ++seconds_) {
            uint256 later = block.timestamp + seconds_;
            vm.expectRevert(abi.encodeWithSelector(IOpenToken.AuthorizationNotYetValid.selector, later));
            token.transferWithAuthorization(owner, thief, 9, later, type(uint256).max, 0, "");
            uint256 earlier = block.timestamp - seconds_;
            vm.expectRevert(abi.encodeWithSelector(IOpenToken.AuthorizationExpired.selector, earlier));
            token.transferWithAuthorization(owner, thief, 9, 0, earlier, 0, "");
        }
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.InvalidSigner.selector, owner));
        token.transferWithAuthorization(owner, thief, 9, block.timestamp - 1, block.timestamp + 1, 0, "");
    }

    function test_Cancel_WhenSigned_ThenTheAuthorisationIsWorthless() external {
        bytes32 nonce = bytes32(uint256(3));
        bytes32 structHash = keccak256(abi.encode(token.CANCEL_AUTHORIZATION_TYPEHASH(), owner, nonce));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, _digest(structHash));
        vm.expectEmit(address(token));
        emit IOpenToken.AuthorizationCanceled(owner, nonce);
        token.cancelAuthorization(owner, nonce, v, r, s);
        (r, s, v) = _authorised(token.TRANSFER_WITH_AUTHORIZATION_TYPEHASH(), thief, 3);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.AuthorizationUsedOrCanceled.selector, owner, nonce));
        token.transferWithAuthorization(owner, thief, 9, 0, type(uint256).max, nonce, v, r, s);
    }

    function test_Cancel_WhenAWalletVouchesForIt_ThenTheAuthorisationIsWorthless() external {
        address wallet = address(new Wallet(Wallet.Answer.Magic));
        token.cancelAuthorization(wallet, 0, "");
        vm.assertTrue(token.authorizationState(wallet, 0), "used up");
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.InvalidSigner.selector, owner));
        token.cancelAuthorization(owner, 0, "");
    }

    function test_Credit_WhenSentByAnybodyElse_ThenRefused() external {
        vm.startPrank(thief);
        bytes memory refusal = abi.encodeWithSelector(IOpenToken.OnlyDistributor.selector, thief);
        vm.expectRevert(refusal);
        token.credit(thief, thief, 1);
        vm.expectRevert(refusal);
        token.creditMany(new uint256[](0));
        vm.expectRevert(refusal);
        token.fundRewardPool(0);
    }

    function test_Credit_WhenToNobodyThePoolOrTooLarge_ThenRefused() external {
        vm.startPrank(payer);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(0)));
        token.credit(owner, address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(token)));
        token.credit(owner, address(token), 1);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidSender.selector, address(token)));
        token.credit(address(token), owner, 1);
        vm.expectRevert(abi.encodeWithSelector(IOpenToken.CreditTooLarge.selector, uint256(1) << 96));
        token.credit(owner, owner, 1 << 96);
    }

    function test_Credit_WhenPaid_ThenEventsOfTheTransferAndNothingWithoutIt() external {
        vm.startPrank(payer);
        vm.expectEmit(address(token));
        emit IERC20.Transfer(address(token), thief, 20);
        vm.assertEq(token.credit(owner, thief, 20), 20, "paid");
        uint256[] memory credits = new uint256[](1);
        credits[0] = uint256(uint160(owner)) << 96 | 20;
        vm.recordLogs();
        vm.assertEq(token.credit(owner, thief, 20), 0, "nothing twice");
        vm.assertEq(token.creditMany(credits), 0, "nor in a push");
        vm.assertEq(vm.getRecordedLogs().length, 0, "nothing moved and nothing says so");
        vm.assertEq(token.credit(owner, owner, 1000), 30, "what the pool holds");
        vm.assertEq(token.rewardPool(), 0, "an empty pool");
        vm.assertEq(token.credited(owner), 50, "credited what was paid and no more");
        vm.assertEq(token.balanceOf(owner), 130, "balance");
    }

    function test_CreditMany_WhenSomeCannotHoldOpen_ThenTheyArePassedOver() external {
        uint256[] memory credits = new uint256[](4);
        credits[1] = uint256(uint160(address(token))) << 96 | 7;
        credits[2] = uint256(uint160(thief)) << 96 | 7;
        credits[3] = 7;
        vm.expectEmit(address(token));
        emit IERC20.Transfer(address(token), thief, 7);
        vm.prank(payer);
        vm.assertEq(token.creditMany(credits), 7, "paid to the one");
        vm.assertEq(token.credited(address(0)), 0, "nobody is credited nothing");
        vm.assertEq(token.credited(address(token)), 0, "nor is the pool");
        vm.assertEq(token.rewardPool(), 43, "pool");
    }

    function test_Votes_WhenAccountsDelegated_ThenEveryMoveIsCounted() external {
        vm.prank(owner);
        token.delegate(owner);
        vm.startPrank(payer);
        token.credit(owner, owner, 5);
        vm.assertEq(token.getVotes(owner), 105, "a credit to itself");
        token.credit(thief, owner, 5);
        vm.assertEq(token.getVotes(owner), 110, "another's credit");
        token.credit(owner, thief, 10);
        vm.assertEq(token.getVotes(owner), 110, "its own credit to another");
        uint256[] memory credits = new uint256[](1);
        credits[0] = uint256(uint160(owner)) << 96 | 30;
        token.creditMany(credits);
        vm.assertEq(token.getVotes(owner), 130, "a pushed credit");
        vm.stopPrank();
        vm.prank(owner);
        token.transfer(thief, 30);
        vm.assertEq(token.getVotes(owner), 100, "sent away");
        vm.prank(thief);
        token.transfer(owner, 1);
        vm.assertEq(token.getVotes(owner), 101, "received from one who never delegated");
    }

    function _permit(uint256 deadline) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 permit = keccak256(abi.encode(token.PERMIT_TYPEHASH(), owner, thief, 7, uint256(0), deadline));
        return vm.sign(KEY, _digest(permit));
    }

    function _authorised(bytes32 typeHash, address to, uint256 nonce)
        private
        view
        returns (bytes32 r, bytes32 s, uint8 v)
    {
        (v, r, s) = vm.sign(
            KEY, _digest(keccak256(abi.encode(typeHash, owner, to, uint256(9), uint256(0), type(uint256).max, nonce)))
        );
    }

    function _digest(bytes32 structHash) private view returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { Suite } from "./Suite.sol";

/// @dev What a challenge leaves behind when it is over, and that a root whose window has closed is beyond every stop.
contract StopsTest is Suite {
    bytes32 private constant ROOT = keccak256("root");
    address private challenger = address(0xC4A11);

    function setUp() external {
        deploySuite();
        collectFees(100 * OPEN);
        fund(challenger, 10 * CHALLENGE_BOND);
        vm.prank(challenger);
        token.approve(address(distributor), type(uint256).max);
        post(0, ROOT, 1, 10);
    }

    function test_Reject_WhenItIsOver_ThenTheBondIsGoneForGood() external {
        _challenge();
        vm.prank(address(timelock));
        distributor.rejectChallenge(1);
        vm.assertEq(distributor.challengeOf(1).challenger, address(0), "nobody's challenge");
        vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.ChallengeNotOpen.selector, 1, 0));
        vm.prank(address(timelock));
        distributor.rejectChallenge(1);
        vm.warp(block.timestamp + RESOLUTION + 1);
        vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.ChallengeNotOpen.selector, 1, 0));
        distributor.returnChallengeBond(1);
        vm.assertEq(token.balanceOf(challenger), 9 * CHALLENGE_BOND, "the bond stays lost");
    }

    function test_Reject_WhenTheRootIsChallengedOnceMore_ThenItComesBackOnceMore() external {
        for (uint256 id = 1; id < 4; ++id) {
            _challenge();
            vm.prank(address(timelock));
            distributor.rejectChallenge(id);
            vm.assertEq(distributor.recordOf(ROOT).activatesAt, block.timestamp + DELAY, "waits anew");
        }
    }

    function test_ReturnBond_WhenLongBeforeTheDeadline_ThenRefused() external {
        _challenge();
        uint256 deadline = block.timestamp + RESOLUTION;
        vm.expectRevert(abi.encodeWithSelector(IRewardDistributor.ChallengeStillOpen.selector, 1, deadline));
        distributor.returnChallengeBond(1);
    }

    function test_Stop_WhenTheRootIsActiveOrCondemned_ThenRefusedAtAnyTime() external {
        activate(ROOT);
        uint256 activatesAt = block.timestamp;
        for (uint256 day = 0; day < 3; ++day) {
            vm.assertTrue(distributor.isActive(ROOT), "active from then on");
            _refusesStops(activatesAt);
            vm.warp(block.timestamp + 1 days);
        }
        vm.prank(address(timelock));
        distributor.condemn(ROOT);
        _refusesStops(type(uint40).max - 1);
    }

    function _challenge() private {
        vm.prank(challenger);
        distributor.challenge(ROOT, 0);
    }

    function _refusesStops(uint256 activatesAt) private {
        bytes memory refusal = abi.encodeWithSelector(IRewardDistributor.WindowClosed.selector, ROOT, activatesAt);
        vm.expectRevert(refusal);
        vm.prank(guardian);
        distributor.veto(ROOT);
        vm.expectRevert(refusal);
        vm.prank(challenger);
        distributor.challenge(ROOT, 0);
    }
}

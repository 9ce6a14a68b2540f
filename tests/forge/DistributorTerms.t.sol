// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { Suite } from "./Suite.sol";

/// @dev What governance may set, within which bounds, and that each setting leaves the others alone.
contract DistributorTermsTest is Suite {
    function setUp() public {
        deploySuite();
    }

    function test_Terms_WhenSetByAnybodyElse_ThenRefused() external {
        bytes memory refusal = abi.encodeWithSelector(IRewardDistributor.OnlyGovernance.selector, address(this));
        vm.expectRevert(refusal);
        distributor.setGuardian(address(1));
        vm.expectRevert(refusal);
        distributor.setDelay(1 days);
        vm.expectRevert(refusal);
        distributor.setPoolLimit(1, 1 days);
        vm.expectRevert(refusal);
        distributor.setChallengeTerms(1, 1 days);
    }

    function test_Guardian_WhenSet_ThenReplacedAndNothingElse() external {
        (, uint32 delay,,) = distributor.state();
        vm.expectEmit(address(distributor));
        emit IRewardDistributor.GuardianSet(address(0xBEEF));
        vm.prank(address(timelock));
        distributor.setGuardian(address(0xBEEF));
        (address guardian_, uint32 delayAfter,,) = distributor.state();
        vm.assertEq(guardian_, address(0xBEEF), "guardian");
        vm.assertEq(delayAfter, delay, "delay");
    }

    function test_State_WhenEveryPartIsFull_ThenNoneRunsIntoAnother() external {
        collectFees(10 * OPEN);
        vm.startPrank(address(timelock));
        distributor.setGuardian(address(type(uint160).max));
        distributor.setDelay(1 days + 1);
        distributor.skipRound();
        vm.stopPrank();
        post(0, keccak256("root"), 1, 1);
        (address guardian_, uint32 delay, uint32 headEpoch, uint32 round) = distributor.state();
        vm.assertEq(guardian_, address(type(uint160).max), "guardian");
        vm.assertEq(delay, 1 days + 1, "delay");
        vm.assertEq(headEpoch, 1, "epoch");
        vm.assertEq(round, 1, "round");
        vm.prank(address(timelock));
        distributor.setGuardian(address(0));
        (guardian_, delay, headEpoch, round) = distributor.state();
        vm.assertEq(guardian_, address(0), "no guardian");
        vm.assertEq(delay, 1 days + 1, "delay afterwards");
        vm.assertEq(headEpoch, 1, "epoch afterwards");
        vm.assertEq(round, 1, "round afterwards");
    }

    function test_Delay_WhenSet_ThenWithinItsBoundsAndNothingElse() external {
        collectFees(10 * OPEN);
        post(0, keccak256("root"), 1, 1);
        vm.prank(guardian);
        distributor.veto(keccak256("root"));
        post(0, keccak256("root"), 1, 1);
        vm.startPrank(address(timelock));
        vm.expectRevert(_outOfBounds(10 minutes - 1, 10 minutes, 30 days));
        distributor.setDelay(10 minutes - 1);
        vm.expectRevert(_outOfBounds(30 days + 1, 10 minutes, 30 days));
        distributor.setDelay(30 days + 1);
        distributor.setDelay(10 minutes);
        vm.expectEmit(address(distributor));
        emit IRewardDistributor.DelaySet(30 days);
        distributor.setDelay(30 days);
        (address guardian_, uint32 delay, uint32 headEpoch, uint32 round) = distributor.state();
        vm.assertEq(guardian_, guardian, "guardian");
        vm.assertEq(delay, 30 days, "delay");
        vm.assertEq(headEpoch, 1, "epoch");
        vm.assertEq(round, 1, "round");
    }

    function test_PoolLimit_WhenSet_ThenWithinItsBounds() external {
        vm.startPrank(address(timelock));
        vm.expectRevert(_outOfBounds(1 << 96, 0, type(uint96).max));
        distributor.setPoolLimit(1 << 96, 1 days);
        vm.expectRevert(_outOfBounds(10 minutes - 1, 10 minutes, 90 days));
        distributor.setPoolLimit(1, 10 minutes - 1);
        vm.expectRevert(_outOfBounds(90 days + 1, 10 minutes, 90 days));
        distributor.setPoolLimit(1, 90 days + 1);
        distributor.setPoolLimit(0, 10 minutes);
        vm.expectEmit(address(distributor));
        emit IRewardDistributor.PoolLimitSet(type(uint96).max, 90 days);
        distributor.setPoolLimit(type(uint96).max, 90 days);
        (uint96 cap, uint40 length, uint40 refilledAt) = distributor.poolLimit();
        vm.assertEq(cap, type(uint96).max, "cap");
        vm.assertEq(length, 90 days, "epoch");
        vm.assertEq(refilledAt, 0, "no refill yet");
    }

    function test_ChallengeTerms_WhenSet_ThenWithinTheirBounds() external {
        vm.startPrank(address(timelock));
        vm.expectRevert(_outOfBounds(1 << 96, 0, type(uint96).max));
        distributor.setChallengeTerms(1 << 96, 1 days);
        vm.expectRevert(_outOfBounds(1 days - 1, 1 days, 90 days));
        distributor.setChallengeTerms(1, 1 days - 1);
        vm.expectRevert(_outOfBounds(90 days + 1, 1 days, 90 days));
        distributor.setChallengeTerms(1, 90 days + 1);
        distributor.setChallengeTerms(0, 1 days);
        vm.expectEmit(address(distributor));
        emit IRewardDistributor.ChallengeTermsSet(type(uint96).max, 90 days);
        distributor.setChallengeTerms(type(uint96).max, 90 days);
        (uint96 bond, uint40 window,) = distributor.challengeTerms();
        vm.assertEq(bond, type(uint96).max, "bond");
        vm.assertEq(window, 90 days, "window");
    }

    /// @dev In figures, since the code would read the constant that it is tested by.
    function test_CondemnWindow_WhenRead_ThenIsThirtyDays() external view {
        vm.assertEq(distributor.CONDEMN_WINDOW(), 30 days, "the time to condemn");
    }

    function _outOfBounds(uint256 value, uint256 least, uint256 most) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IRewardDistributor.OutOfBounds.selector, value, least, most);
    }
}

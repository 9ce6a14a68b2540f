// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { InferenceEscrow } from "../../contracts/InferenceEscrow.sol";
import { OpenToken } from "../../contracts/OpenToken.sol";
import { RewardDistributor } from "../../contracts/RewardDistributor.sol";
import { IInferenceEscrow } from "../../contracts/interfaces/IInferenceEscrow.sol";
import { MoneyHandler } from "./MoneyHandler.sol";
import { Suite } from "./Suite.sol";

/// @dev What holds whatever consumers, contributors, attestors, the guardian and governance do, in any order.
contract MoneyInvariants is Suite {
    MoneyHandler private _handler;

    function setUp() public {
        _handler = new MoneyHandler();
        (
            address token_,
            address escrow_,
            address distributor_,
            address attestors_,
            address timelock_,
            address holder_
        ) = _handler.suite();
        (token, escrow, distributor) = (OpenToken(token_), InferenceEscrow(escrow_), RewardDistributor(distributor_));
        _others = [attestors_, timelock_, holder_, escrow_, distributor_, token_];
    }

    address[6] private _others;

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev One function: Forge would play the very same calls again for each. What moves the clock and money comes last.
    function invariant_Money_IsWhereItBelongs() external {
        _supply_AllBalancesWithThePoolSumToTheSupply();
        _credit_NeverFallsAndNeverExceedsTheHighestLeafEverActive();
        _payouts_OfAnyTimeAsLongAsAnEpochStayWithinTheCap();
        _distributor_CoversItsReserveAndTheBondsOfOpenChallenges();
        _escrow_CoversAllBalances();
        _lanes_NeverSpendMoreThanWasSignedNorThanTheSessionsCap();
        _roots_FormOneChainWithOnePendingAtMostAndTotalsThatNeverFall();
        _withdrawals_CanAlwaysBeCompletedAfterTheNotice();
    }

    function _supply_AllBalancesWithThePoolSumToTheSupply() private view {
        uint256 sum;
        for (uint256 i = 0; i < _others.length; ++i) {
            sum += token.balanceOf(_others[i]);
        }
        for (uint256 i = 0; i < _handler.ACTORS(); ++i) {
            sum += token.balanceOf(_handler.actors(i));
        }
        vm.assertEq(sum, token.TOTAL_SUPPLY(), "balances with the pool");
    }

    function _credit_NeverFallsAndNeverExceedsTheHighestLeafEverActive() private {
        vm.warp(_handler.clock());
        vm.assertFalse(_handler.creditFell(), "lifetime credit fell");
        uint256 credited;
        for (uint256 i = 0; i < _handler.ACTORS(); ++i) {
            vm.assertLe(token.credited(_handler.actors(i)), _handler.highestLeaf(i), "credited beyond every leaf");
            credited += token.credited(_handler.actors(i));
        }
        vm.assertEq(credited, _handler.paidInAll(), "credited is what was paid");
        (, uint96 funded) = distributor.ledger();
        vm.assertEq(credited + token.rewardPool(), funded, "and it came out of what was funded");
    }

    function _payouts_OfAnyTimeAsLongAsAnEpochStayWithinTheCap() private view {
        vm.assertLe(_handler.paidInLastEpoch(), EPOCH_CAP, "paid within one epoch");
        vm.assertLe(token.rewardPool(), EPOCH_CAP / 2, "half a cap stands in the pool");
    }

    function _distributor_CoversItsReserveAndTheBondsOfOpenChallenges() private view {
        (uint96 collected, uint96 funded) = distributor.ledger();
        vm.assertGe(
            token.balanceOf(address(distributor)), collected - funded + _handler.openBonds(), "reserve and bonds"
        );
    }

    function _escrow_CoversAllBalances() private view {
        uint256 owed;
        for (uint256 i = 0; i < _handler.ACTORS(); ++i) {
            owed += escrow.accountOf(_handler.actors(i)).balance;
        }
        vm.assertGe(token.balanceOf(address(escrow)), owed, "the balances of consumers");
    }

    function _lanes_NeverSpendMoreThanWasSignedNorThanTheSessionsCap() private view {
        for (uint256 i = 0; i < _handler.ACTORS(); ++i) {
            (address owner, address key) = (_handler.actors(i), _handler.sessionKey(i));
            IInferenceEscrow.Session memory session = escrow.sessionOf(owner, key);
            vm.assertLe(escrow.accountOf(owner).spent, _handler.highestSigned(owner, owner), "the consumer's lane");
            vm.assertLe(session.spent, _handler.highestSigned(owner, key), "the session's lane");
            vm.assertLe(session.spent, session.cap, "the session's cap");
        }
    }

    function _withdrawals_CanAlwaysBeCompletedAfterTheNotice() private {
        vm.warp(_handler.clock() + NOTICE);
        for (uint256 i = 0; i < _handler.ACTORS(); ++i) {
            address owner = _handler.actors(i);
            IInferenceEscrow.Withdrawal memory request = escrow.withdrawalOf(owner);
            if (request.amount == 0) continue;
            uint256 balance = escrow.accountOf(owner).balance;
            uint256 before = token.balanceOf(owner);
            vm.prank(owner);
            escrow.withdraw(owner);
            uint256 due = request.amount < balance ? request.amount : balance;
            vm.assertEq(token.balanceOf(owner), before + due, "all that vouchers left of it");
        }
    }

    function _roots_FormOneChainWithOnePendingAtMostAndTotalsThatNeverFall() private view {
        vm.assertLe(_handler.pendingRoots(), 1, "pending roots");
        (,, uint32 headEpoch,) = distributor.state();
        uint256 length = _handler.chainLength();
        vm.assertEq(headEpoch, length, "the chain's length");
        (uint96 collected, uint96 funded) = distributor.ledger();
        uint256 total;
        uint256 settled;
        for (uint256 i = 0; i < length; ++i) {
            bytes32 root = _handler.chain(i);
            vm.assertEq(distributor.recordOf(root).epoch, i + 1, "epochs without gaps");
            vm.assertGe(distributor.recordOf(root).total, total, "a total fell");
            total = distributor.recordOf(root).total;
            bool past = distributor.recordOf(root).activatesAt <= _handler.clock() || _handler.isCondemned(root);
            if (past) settled = total;
            else vm.assertEq(i, length - 1, "only the last one can be pending");
        }
        vm.assertLe(total, collected, "a total beyond what was collected");
        vm.assertLe(funded, settled, "funded beyond the active roots");
    }
}

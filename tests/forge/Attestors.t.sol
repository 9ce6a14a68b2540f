// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { AttestorSet } from "../../contracts/AttestorSet.sol";
import { OpenToken } from "../../contracts/OpenToken.sol";
import { IAttestorSet } from "../../contracts/interfaces/IAttestorSet.sol";
import { AttestorHandler } from "./AttestorHandler.sol";
import { Suite } from "./Suite.sol";

/// @dev The weights that a quorum is counted with, whoever joins, leaves or is slashed.
contract AttestorInvariants is Suite {
    AttestorHandler private _handler;

    function setUp() public {
        _handler = new AttestorHandler();
        (address token_, address attestors_) = _handler.suite();
        (token, attestors) = (OpenToken(token_), AttestorSet(attestors_));
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev One function: Forge would play the very same calls again for each.
    function invariant_Attestors_AreCountedAndBonded() external view {
        _weights_TotalIsTheSumOfTheSeatsAndSeatsAreCounted();
        _seats_OnlyThePresentKeyOfASeatedOperatorHasWeightAndItIsTheBond();
        _bonds_AreAllCovered();
        _slashed_HaveNoBondNoSeatAndNoWayBack();
    }

    function _weights_TotalIsTheSumOfTheSeatsAndSeatsAreCounted() private view {
        (uint256 weight, uint256 seats) = (5 * BOND, 5);
        for (uint256 i = 0; i < _handler.OPERATORS(); ++i) {
            for (uint256 j = 0; j < 3; ++j) {
                uint256 seat = attestors.seatOf(_handler.keyOf(i, j)).weight;
                weight += seat;
                if (seat != 0) ++seats;
            }
        }
        vm.assertEq(attestors.totals().weight, weight, "the total weight");
        vm.assertEq(attestors.totals().seats, seats, "the number of seats");
    }

    function _seats_OnlyThePresentKeyOfASeatedOperatorHasWeightAndItIsTheBond() private view {
        for (uint256 i = 0; i < _handler.OPERATORS(); ++i) {
            IAttestorSet.Bond memory bond = attestors.bondOf(_handler.operators(i));
            bool seated = bond.amount != 0 && bond.leavesAt == 0;
            for (uint256 j = 0; j < 3; ++j) {
                uint256 expected = seated && j == _handler.currentKey(i) ? bond.amount : 0;
                vm.assertEq(attestors.seatOf(_handler.keyOf(i, j)).weight, expected, "weight of a key");
            }
            if (seated) vm.assertTrue(bond.admitted, "nobody sits who is not admitted");
        }
    }

    function _bonds_AreAllCovered() private view {
        uint256 bonds = 5 * BOND;
        for (uint256 i = 0; i < _handler.OPERATORS(); ++i) {
            bonds += attestors.bondOf(_handler.operators(i)).amount;
        }
        vm.assertEq(token.balanceOf(address(attestors)), bonds, "the bonds held");
    }

    function _slashed_HaveNoBondNoSeatAndNoWayBack() private view {
        address[] memory slashed = _handler.slashed();
        for (uint256 i = 0; i < slashed.length; ++i) {
            IAttestorSet.Bond memory bond = attestors.bondOf(slashed[i]);
            vm.assertEq(bond.amount, 0, "the whole bond is gone");
            vm.assertTrue(bond.slashed && !bond.admitted, "marked and not admitted");
            vm.assertEq(attestors.seatOf(bond.signer).weight, 0, "no seat");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { Batches } from "../../contracts/libraries/Batches.sol";
import { Suite } from "./Suite.sol";

/// @dev What attestors may be slashed for: an honest batch never is a fault, and each lie is one.
contract BatchesTest is Suite {
    using Batches for Batches.Header;
    using Batches for Batches.Receipt;

    function testFuzz_Split_WhenByLargestRemainder_ThenNeverAFault(uint96 fee, uint256 seed) external pure {
        uint16[6] memory split = _split(seed);
        uint256[6] memory parts = _largestRemainder(fee, split);
        Batches.Share[] memory shares = _shares(parts, seed);
        Batches.Receipt memory receipt = _receipt(fee);
        vm.assertFalse(receipt.breaksReceiptSplit(shares, split), "an honest split is no fault");
        vm.assertFalse(receipt.breaksReceiptSum(shares), "and sums to the fee");
    }

    function testFuzz_Split_WhenARoleIsOffByAWeiOrMore_ThenAFault(uint96 fee, uint256 seed, uint256 off, bool more)
        external
        pure
    {
        vm.assume(fee < type(uint96).max / 2);
        uint16[6] memory split = _split(seed);
        uint256[6] memory parts;
        for (uint256 i = 0; i < 6; ++i) {
            parts[i] = uint256(fee) * split[i] / 10_000;
        }
        uint256 role = (seed >> 128) % 6;
        bool exact = uint256(fee) * split[role] % 10_000 == 0;
        // Above a fraction, one more than the ceiling is off by a wei; below it, one less than the floor.
        uint256 least = more && !exact ? 2 : 1;
        if (more) parts[role] += bound(off, least, type(uint96).max / 2);
        else if (parts[role] == 0) return;
        else parts[role] -= bound(off, 1, parts[role]);
        vm.assertTrue(_receipt(fee).breaksReceiptSplit(_shares(parts, seed), split), "off by a wei is a fault");
    }

    function testFuzz_ReceiptSum_WhenSharesMissOrExceedTheFee_ThenAFault(uint96 fee, uint256 seed, uint96 off)
        external
        pure
    {
        vm.assume(off != 0 && off <= type(uint96).max - fee);
        Batches.Share[] memory shares = _shares(_largestRemainder(fee, _split(seed)), seed);
        vm.assertTrue(_receipt(fee + off).breaksReceiptSum(shares), "less than the fee");
        shares[seed % shares.length].amount += off;
        vm.assertTrue(_receipt(fee).breaksReceiptSum(shares), "more than the fee");
        vm.assertFalse(_receipt(fee + off).breaksReceiptSum(shares), "exactly the fee");
    }

    function testFuzz_HeaderSum_WhenAmountsMissTheFees_ThenAFault(uint88[7] calldata amounts, uint256 role, uint96 off)
        external
        pure
    {
        Batches.Header memory header;
        for (uint256 i = 0; i < 7; ++i) {
            header.amounts[i] = amounts[i];
            header.fees += amounts[i];
        }
        vm.assertFalse(header.breaksHeaderSum(), "amounts that sum to the fees");
        header.amounts[role % 7] += uint96(bound(off, 1, type(uint88).max));
        vm.assertTrue(header.breaksHeaderSum(), "amounts that do not");
    }

    function testFuzz_Order_WhenReceiptsFollowEachOther_ThenNeverAFault(uint80[8] calldata fees, uint256 i, uint256 j)
        external
        pure
    {
        (Batches.Header memory header, Batches.Receipt[] memory receipts) = _sequence(fees);
        vm.assertFalse(header.breaksReceiptOrder(receipts[i % 8], receipts[j % 8]), "honest receipts");
    }

    function testFuzz_Order_WhenARunningSumIsWrong_ThenItsNeighbourRefutesIt(
        uint80[8] calldata fees,
        uint256 at,
        uint256 off
    ) external pure {
        (Batches.Header memory header, Batches.Receipt[] memory receipts) = _sequence(fees);
        at = bound(at, 1, 7);
        receipts[at].feesBefore += uint96(bound(off, 1, type(uint80).max));
        vm.assertTrue(header.breaksReceiptOrder(receipts[at - 1], receipts[at]), "refuted by the one before");
        receipts[0].feesBefore = 1;
        vm.assertTrue(header.breaksReceiptOrder(receipts[0], receipts[0]), "the first has nothing before it");
    }

    function testFuzz_Order_WhenTheLastSumIsNotTheHeaders_ThenAFault(uint80[8] calldata fees, uint256 off)
        external
        pure
    {
        (Batches.Header memory header, Batches.Receipt[] memory receipts) = _sequence(fees);
        header.fees += uint96(bound(off, 1, type(uint80).max));
        vm.assertTrue(header.breaksReceiptOrder(receipts[7], receipts[7]), "the header claims more");
    }

    function testFuzz_Order_WhenAnIndexIsTakenTwiceOrBeyondTheCount_ThenAFault(
        uint80[8] calldata fees,
        uint256 at,
        uint256 beyond
    ) external pure {
        (Batches.Header memory header, Batches.Receipt[] memory receipts) = _sequence(fees);
        at %= 8;
        Batches.Receipt memory twin = _receipt(receipts[at].fee);
        (twin.index, twin.feesBefore, twin.sharesHash) = (at, receipts[at].feesBefore, keccak256("other"));
        vm.assertTrue(header.breaksReceiptOrder(receipts[at], twin), "two receipts of one index");
        twin.index = bound(beyond, 8, type(uint256).max);
        vm.assertTrue(header.breaksReceiptOrder(twin, twin), "an index beyond the count");
    }

    function _receipt(uint96 fee) private pure returns (Batches.Receipt memory receipt) {
        receipt.fee = fee;
    }

    function _sequence(uint80[8] calldata fees)
        private
        pure
        returns (Batches.Header memory header, Batches.Receipt[] memory receipts)
    {
        receipts = new Batches.Receipt[](8);
        for (uint256 i = 0; i < 8; ++i) {
            receipts[i] = _receipt(fees[i]);
            (receipts[i].index, receipts[i].feesBefore) = (i, header.fees);
            header.fees += fees[i];
        }
        header.receiptCount = 8;
    }

    /// @dev Six parts of 10,000, some of them zero now and then.
    function _split(uint256 seed) private pure returns (uint16[6] memory split) {
        uint256 left = 10_000;
        for (uint256 i = 0; i < 5; ++i) {
            uint256 part = (seed >> (16 * i)) % (left + 1);
            split[i] = uint16(part);
            left -= part;
        }
        split[5] = uint16(left);
    }

    function _largestRemainder(uint256 fee, uint16[6] memory split) private pure returns (uint256[6] memory parts) {
        uint256 left = fee;
        uint256[6] memory rests;
        for (uint256 i = 0; i < 6; ++i) {
            parts[i] = fee * split[i] / 10_000;
            rests[i] = fee * split[i] % 10_000;
            left -= parts[i];
        }
        for (; left != 0; --left) {
            uint256 best;
            for (uint256 i = 1; i < 6; ++i) {
                if (rests[i] > rests[best]) best = i;
            }
            parts[best] += 1;
            rests[best] = 0;
        }
    }

    /// @dev Two shares for each role; the second of the contributors goes to the commons.
    function _shares(uint256[6] memory parts, uint256 seed) private pure returns (Batches.Share[] memory shares) {
        shares = new Batches.Share[](12);
        for (uint256 i = 0; i < 6; ++i) {
            uint256 first = seed % (parts[i] + 1);
            shares[2 * i] = Batches.Share(Batches.Role(i), address(1), uint96(first));
            Batches.Role other = i == 0 ? Batches.Role.Commons : Batches.Role(i);
            shares[2 * i + 1] = Batches.Share(other, address(2), uint96(parts[i] - first));
        }
    }
}

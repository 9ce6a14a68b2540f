// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IInferenceEscrow } from "../../contracts/interfaces/IInferenceEscrow.sol";
import { Suite } from "./Suite.sol";

/// @dev The escrow against plain bookkeeping: deposits, lanes, sessions and withdrawals of three consumers in any
///      order.
contract EscrowModelTest is Suite {
    uint256 private constant CONSUMERS = 3;
    uint256 private constant LANES = 3;

    struct Lane {
        uint256 cap;
        uint256 spent;
        uint256 expiresAt;
    }

    uint256[CONSUMERS] private _keys;
    address[CONSUMERS] private _consumers;
    uint256 private _collected;
    mapping(address => uint256) private _balance;
    mapping(address => uint256) private _asked;
    mapping(address => uint256) private _readyAt;
    mapping(address => mapping(address => Lane)) private _lanes;

    function setUp() public {
        deploySuite();
        for (uint256 i = 0; i < CONSUMERS; ++i) {
            _keys[i] = uint256(keccak256(abi.encode("consumer", i)));
            _consumers[i] = vm.addr(_keys[i]);
            fund(_consumers[i], 1000e18);
            vm.prank(_consumers[i]);
            token.approve(address(escrow), type(uint256).max);
        }
    }

    function testFuzz_Escrow_WhenUsedInAnyOrder_ThenAgreesWithPlainBookkeeping(uint256[16] calldata draws) external {
        for (uint256 i = 0; i < draws.length; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(draws[i], i)));
            uint256 action = draw % 8;
            if (action == 0) _deposit(draw);
            if (action == 1 || action == 2) _settle(draw);
            if (action == 3) _request(draw);
            if (action == 4) _withdraw(draw);
            if (action == 5) _open(draw);
            if (action == 6) _revoke(draw);
            if (action == 7) vm.warp(block.timestamp + (draw >> 8) % (2 * NOTICE));
        }
        _compare();
    }

    function testFuzz_Settle_WhenVouchersComeInAnyOrder_ThenTakesTheHighestOnce(uint256[6] calldata sums) external {
        deposit(consumer, 1000e18);
        uint256 highest;
        uint256 taken;
        for (uint256 i = 0; i < sums.length; ++i) {
            uint256 sum = bound(sums[i], 0, 1500e18);
            if (sum > highest) highest = sum;
            IInferenceEscrow.Voucher[] memory vouchers = new IInferenceEscrow.Voucher[](1);
            vouchers[0] = voucher(CONSUMER_KEY, consumer, sum);
            taken += escrow.settle(bytes32(i % 2), vouchers);
            vm.assertEq(taken, highest < 1000e18 ? highest : 1000e18, "the highest voucher so far, or all there is");
        }
        vm.assertEq(escrow.collectedOf(0) + escrow.collectedOf(bytes32(uint256(1))), taken, "each batch has its part");
    }

    function _deposit(uint256 draw) private {
        address payer = _consumers[(draw >> 8) % CONSUMERS];
        address to = _consumers[(draw >> 16) % CONSUMERS];
        uint256 amount = (draw >> 24) % 400e18;
        bool expected = amount != 0 && token.balanceOf(payer) >= amount;
        vm.prank(payer);
        bool ok = _call(
            payer == to ? abi.encodeCall(escrow.deposit, (amount)) : abi.encodeCall(escrow.depositFor, (to, amount))
        );
        vm.assertEq(ok, expected, "deposit");
        if (ok) _balance[to] += amount;
    }

    function _settle(uint256 draw) private {
        uint256 count = 1 + (draw >> 8) % 3;
        IInferenceEscrow.Voucher[] memory vouchers = new IInferenceEscrow.Voucher[](count);
        uint256 expected;
        for (uint256 i = 0; i < count; ++i) {
            uint256 drawn = uint256(keccak256(abi.encode(draw, i)));
            bool honest = drawn % 8 != 0;
            vouchers[i] = _signed(drawn, honest);
            if (honest) expected += _due(vouchers[i]);
        }
        vm.assertEq(escrow.settle(bytes32(draw % 2), vouchers), expected, "settle takes what the model takes");
        _collected += expected;
    }

    function _signed(uint256 draw, bool honest) private view returns (IInferenceEscrow.Voucher memory drawn) {
        uint256 who = (draw >> 8) % CONSUMERS;
        uint256 lane = (draw >> 16) % LANES;
        drawn.consumer = _consumers[who];
        drawn.key = vm.addr(_laneKey(who, lane));
        drawn.cumulative = (draw >> 24) % 900e18;
        if (draw >> 200 & 15 == 0) drawn.cumulative = type(uint256).max;
        drawn.deadline = draw >> 210 & 7 == 0 ? block.timestamp - 1 : block.timestamp + (draw >> 220 & 1);
        bytes32 digest = escrow.voucherDigest(drawn.consumer, drawn.key, drawn.cumulative, drawn.deadline);
        drawn.signature = signature(honest ? _laneKey(who, lane) : _laneKey(who, (lane + 1) % LANES), digest);
    }

    function _due(IInferenceEscrow.Voucher memory drawn) private returns (uint256 due) {
        if (drawn.deadline < block.timestamp) return 0;
        Lane storage lane = _lanes[drawn.consumer][drawn.key];
        uint256 limit = drawn.cumulative;
        if (drawn.key != drawn.consumer) {
            if (lane.expiresAt < block.timestamp) return 0;
            if (limit > lane.cap) limit = lane.cap;
        }
        due = limit > lane.spent ? limit - lane.spent : 0;
        if (due > _balance[drawn.consumer]) due = _balance[drawn.consumer];
        lane.spent += due;
        _balance[drawn.consumer] -= due;
    }

    function _request(uint256 draw) private {
        address who = _consumers[(draw >> 8) % CONSUMERS];
        uint256 amount = (draw >> 24) % 300e18;
        vm.prank(who);
        bool ok = _call(abi.encodeCall(escrow.requestWithdrawal, (amount)));
        vm.assertEq(ok, amount != 0 && amount <= _balance[who], "requestWithdrawal");
        if (!ok) return;
        _asked[who] = amount;
        _readyAt[who] = block.timestamp + NOTICE;
    }

    function _withdraw(uint256 draw) private {
        address who = _consumers[(draw >> 8) % CONSUMERS];
        if (draw >> 16 & 7 == 0) {
            vm.prank(who);
            vm.assertEq(_call(abi.encodeCall(escrow.cancelWithdrawal, ())), _asked[who] != 0, "cancelWithdrawal");
            _asked[who] = 0;
            return;
        }
        uint256 before = token.balanceOf(who);
        bool expected = _asked[who] != 0 && block.timestamp >= _readyAt[who];
        vm.prank(who);
        vm.assertEq(_call(abi.encodeCall(escrow.withdraw, (who))), expected, "withdraw");
        if (!expected) return;
        uint256 amount = _asked[who] < _balance[who] ? _asked[who] : _balance[who];
        vm.assertEq(token.balanceOf(who), before + amount, "withdraw pays what is left of what was asked");
        _asked[who] = 0;
        _balance[who] -= amount;
    }

    function _open(uint256 draw) private {
        uint256 who = (draw >> 8) % CONSUMERS;
        address key = vm.addr(_laneKey(who, (draw >> 16) % LANES));
        uint256 cap = (draw >> 24) % 600e18;
        uint256 expiresAt = block.timestamp + (draw >> 160) % (3 * NOTICE);
        Lane storage lane = _lanes[_consumers[who]][key];
        bool grows = cap >= lane.cap && expiresAt >= lane.expiresAt && expiresAt > block.timestamp;
        vm.prank(_consumers[who]);
        bool ok = _call(abi.encodeCall(escrow.openSession, (key, cap, expiresAt)));
        vm.assertEq(ok, key != _consumers[who] && grows, "openSession");
        if (ok) (lane.cap, lane.expiresAt) = (cap, expiresAt);
    }

    function _revoke(uint256 draw) private {
        uint256 who = (draw >> 8) % CONSUMERS;
        address key = vm.addr(_laneKey(who, (draw >> 16) % LANES));
        Lane storage lane = _lanes[_consumers[who]][key];
        vm.prank(_consumers[who]);
        bool ok = _call(abi.encodeCall(escrow.revokeSession, (key)));
        vm.assertEq(ok, lane.expiresAt > block.timestamp, "revokeSession");
        if (ok && lane.expiresAt > block.timestamp + NOTICE) lane.expiresAt = block.timestamp + NOTICE;
    }

    /// @dev Lane 0 is the consumer's own key.
    function _laneKey(uint256 who, uint256 lane) private view returns (uint256) {
        return lane == 0 ? _keys[who] : uint256(keccak256(abi.encode("session key", who, lane)));
    }

    function _call(bytes memory data) private returns (bool ok) {
        (ok,) = address(escrow).call(data);
    }

    function _compare() private view {
        uint256 held;
        for (uint256 i = 0; i < CONSUMERS; ++i) {
            address who = _consumers[i];
            held += _balance[who];
            vm.assertEq(escrow.accountOf(who).balance, _balance[who], "balance");
            vm.assertEq(escrow.accountOf(who).spent, _lanes[who][who].spent, "spent in the consumer's own lane");
            vm.assertEq(escrow.withdrawalOf(who).amount, _asked[who], "withdrawal asked for");
            for (uint256 j = 1; j < LANES; ++j) {
                address key = vm.addr(_laneKey(i, j));
                IInferenceEscrow.Session memory session = escrow.sessionOf(who, key);
                vm.assertEq(session.spent, _lanes[who][key].spent, "spent by a session key");
                vm.assertEq(session.cap, _lanes[who][key].cap, "cap of a session");
                vm.assertEq(session.expiresAt, _lanes[who][key].expiresAt, "end of a session");
            }
        }
        (uint96 collected,) = distributor.ledger();
        vm.assertEq(token.balanceOf(address(escrow)), held, "the escrow holds the balances and nothing else");
        vm.assertEq(collected, _collected, "the distributor knows what was collected");
        vm.assertEq(token.balanceOf(address(distributor)), _collected, "and has received it");
    }
}

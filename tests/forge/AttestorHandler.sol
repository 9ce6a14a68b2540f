// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { IAttestorSet } from "../../contracts/interfaces/IAttestorSet.sol";
import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { Suite } from "./Suite.sol";

/// @dev Attestors who join, leave, change keys, are expelled and are slashed, in any order that the contract allows.
contract AttestorHandler is Suite {
    uint256 public constant OPERATORS = 6;
    uint256 private constant KEYS_EACH = 3;

    address[OPERATORS] public operators;
    /// @dev Which of its keys an operator uses.
    uint256[OPERATORS] private _current;
    /// @dev How many addresses an operator has used up: one that was slashed has to come back under another.
    uint256[OPERATORS] private _lives;
    address[] private _slashed;
    uint256 private _clock;
    uint256 private _epoch = 1000;

    modifier timed() {
        vm.warp(_clock);
        _;
    }

    constructor() {
        deploySuite();
        _clock = block.timestamp;
        for (uint256 i = 0; i < OPERATORS; ++i) {
            _appear(i);
        }
    }

    function pass(uint256 draw) external timed {
        _clock += bound(draw, 1, 20 days);
    }

    function admit(uint256 who) external timed {
        who %= OPERATORS;
        IAttestorSet.Bond memory bond = attestors.bondOf(operators[who]);
        if (bond.admitted) return;
        if (bond.slashed) return _appear(who);
        vm.prank(address(timelock));
        attestors.admit(operators[who]);
    }

    /// @dev Whoever was slashed stays out, whatever governance votes.
    function admitSlashed(uint256 which) external timed {
        if (_slashed.length == 0) return;
        address operator = _slashed[which % _slashed.length];
        vm.expectRevert(abi.encodeWithSelector(IAttestorSet.WasSlashed.selector, operator));
        vm.prank(address(timelock));
        attestors.admit(operator);
    }

    function expel(uint256 who) external timed {
        address operator = operators[who % OPERATORS];
        if (!attestors.bondOf(operator).admitted) return;
        vm.prank(address(timelock));
        attestors.expel(operator);
    }

    function join(uint256 who, uint256 key, uint256 amount) external timed {
        who %= OPERATORS;
        IAttestorSet.Bond memory bond = attestors.bondOf(operators[who]);
        amount = bound(amount, BOND, 3 * BOND);
        if (!bond.admitted || bond.amount != 0 || token.balanceOf(operators[who]) < amount) return;
        _current[who] = key % KEYS_EACH;
        vm.prank(operators[who]);
        attestors.join(vm.addr(_key(who, key)), amount);
    }

    function raiseBond(uint256 who, uint256 amount) external timed {
        who %= OPERATORS;
        IAttestorSet.Bond memory bond = attestors.bondOf(operators[who]);
        if (bond.amount == 0 || bond.leavesAt != 0) return;
        uint256 room = 10 * BOND - bond.amount;
        if (room > token.balanceOf(operators[who])) room = token.balanceOf(operators[who]);
        vm.prank(operators[who]);
        attestors.raiseBond(bound(amount, 0, room));
    }

    function rotateKey(uint256 who, uint256 key) external timed {
        who %= OPERATORS;
        IAttestorSet.Bond memory bond = attestors.bondOf(operators[who]);
        if (bond.amount == 0 || bond.leavesAt != 0) return;
        _current[who] = key % KEYS_EACH;
        vm.prank(operators[who]);
        attestors.rotateKey(vm.addr(_key(who, key)));
    }

    function announceExit(uint256 who) external timed {
        IAttestorSet.Bond memory bond = attestors.bondOf(operators[who % OPERATORS]);
        if (bond.amount == 0 || bond.leavesAt != 0) return;
        vm.prank(operators[who % OPERATORS]);
        attestors.announceExit();
    }

    function withdrawBond(uint256 who) external timed {
        IAttestorSet.Bond memory bond = attestors.bondOf(operators[who % OPERATORS]);
        if (bond.amount == 0 || bond.leavesAt == 0 || bond.leavesAt > _clock) return;
        vm.prank(operators[who % OPERATORS]);
        attestors.withdrawBond(operators[who % OPERATORS]);
    }

    /// @dev The finder holds two signatures of the operator, by its present key or an old one.
    function slash(uint256 who, uint256 key) external timed {
        who %= OPERATORS;
        uint256 signer = _key(who, key);
        if (attestors.seatOf(vm.addr(signer)).operator == address(0)) return;
        if (attestors.bondOf(operators[who]).amount == 0) return;
        ++_epoch;
        IRewardDistributor.RewardRoot memory first =
            IRewardDistributor.RewardRoot(0, keccak256("first"), _epoch, 0, 0, 0);
        IRewardDistributor.RewardRoot memory second =
            IRewardDistributor.RewardRoot(0, keccak256("second"), _epoch, 0, 0, 0);
        attestors.proveEquivocation(
            first,
            signature(signer, distributor.rootDigest(first)),
            second,
            signature(signer, distributor.rootDigest(second))
        );
        _slashed.push(operators[who]);
        ++_lives[who];
    }

    function slashed() external view returns (address[] memory) {
        return _slashed;
    }

    function keyOf(uint256 who, uint256 key) external view returns (address) {
        return vm.addr(_key(who, key));
    }

    function currentKey(uint256 who) external view returns (uint256) {
        return _current[who];
    }

    function suite() external view returns (address, address) {
        return (address(token), address(attestors));
    }

    function _appear(uint256 who) private {
        operators[who] = operatorOf(100 + who + OPERATORS * _lives[who]);
        fund(operators[who], 20 * BOND);
        vm.prank(operators[who]);
        token.approve(address(attestors), type(uint256).max);
        vm.prank(address(timelock));
        attestors.admit(operators[who]);
    }

    function _key(uint256 who, uint256 key) private view returns (uint256) {
        return uint256(keccak256(abi.encode("attestor key", who, _lives[who], key % KEYS_EACH)));
    }
}

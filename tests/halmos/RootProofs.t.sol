// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { RewardDistributor } from "../../contracts/RewardDistributor.sol";
import { IAttestorSet } from "../../contracts/interfaces/IAttestorSet.sol";
import { IOpenToken } from "../../contracts/interfaces/IOpenToken.sol";
import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { Vm } from "../forge/Vm.sol";
import { Proofs } from "./Svm.sol";

/// @dev Attestors and token in one. As a quorum it agrees to everything: what is proven holds whatever attestors sign. As
///      a token it has any pool and keeps account of what is asked of it.
contract Agreeable {
    uint256 public rewardPool;
    uint256 public moved;

    constructor(uint256 pool) {
        rewardPool = pool;
    }

    function checkQuorum(bytes32, bytes calldata) external pure { }

    function transferFrom(address, address, uint256 value) external returns (bool) {
        moved += value;
        return true;
    }

    function transfer(address, uint256 value) external returns (bool) {
        moved += value;
        return true;
    }

    function fundRewardPool(uint256 amount) external {
        rewardPool += amount;
    }
}

/// @dev Proofs for every storage of the distributor, every time, caller and argument. Run by scripts/halmos.sh.
contract RootProofs is Proofs {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant GOVERNANCE = address(0x601);
    uint256 private constant CONDEMNED = type(uint40).max - 1;
    uint256 private constant RECORDS_SLOT = 5;

    struct Head {
        address guardian;
        uint256 delay;
        uint256 epoch;
        uint256 round;
    }

    /// A root goes on from the root in force, one epoch later, with a total no lower than its and no higher than what was
    /// collected, and touches no other root.
    function check_SubmitRoot_TotalsNeverFallNorExceedCollected(
        uint256 time,
        IRewardDistributor.RewardRoot memory next,
        bytes32 other
    ) external {
        RewardDistributor distributor = _any(time, 0);
        Head memory head = _head(distributor);
        IRewardDistributor.Record memory previous = distributor.recordOf(next.previousRoot);
        uint256 activatesAt = distributor.recordOf(next.root).activatesAt;
        IRewardDistributor.Record memory otherBefore = distributor.recordOf(other);
        (uint96 collected, uint96 funded) = distributor.ledger();
        bool ok = _submit(distributor, next);
        _requireHead(distributor, head, ok ? int256(1) : int256(0), 0);
        _requireLedger(distributor, collected, funded);
        if (!ok || other != next.root) _requireSame(distributor, other, otherBefore);
        if (!ok) return;
        assert(both(previous.epoch == head.epoch, either(head.epoch != 0, next.previousRoot == 0)));
        assert(either(previous.activatesAt <= block.timestamp, previous.activatesAt == CONDEMNED));
        assert(both(next.total >= previous.total, next.total <= collected));
        // New, or stopped by a challenge; never one that is pending, active or condemned.
        assert(either(activatesAt == 0, activatesAt == type(uint40).max));
        IRewardDistributor.Record memory posted = distributor.recordOf(next.root);
        assert(both(posted.epoch == head.epoch + 1, posted.epoch == next.epoch));
        assert(both(posted.total == next.total, posted.activatesAt == block.timestamp + head.delay));
    }

    /// A veto takes back the one pending epoch, ends the round, and touches no active root.
    function check_Veto_StopsOnlyWhatIsPending(uint256 time, address caller, bytes32 root, bytes32 other) external {
        RewardDistributor distributor = _any(time, 0);
        Head memory head = _head(distributor);
        bool ok = _stop(distributor, caller, root, other, abi.encodeCall(distributor.veto, (root)));
        assert(!ok || caller == head.guardian);
        assert(!ok || distributor.recordOf(root).activatesAt == 0);
    }

    /// So does a challenge, whoever brings it, and it takes the bond in force.
    function check_Challenge_StopsOnlyWhatIsPending(uint256 time, address caller, bytes32 root, bytes32 other)
        external
    {
        RewardDistributor distributor = _any(time, 0);
        (uint96 bond,,) = distributor.challengeTerms();
        bool ok = _stop(distributor, caller, root, other, abi.encodeCall(distributor.challenge, (root, 0)));
        assert(!ok || distributor.recordOf(root).activatesAt == type(uint40).max);
        assert(Agreeable(address(distributor.TOKEN())).moved() == (ok ? bond : 0));
    }

    /// A rejected challenge brings back at most the root that it stopped, as pending, and touches no active root.
    function check_RejectChallenge_TouchesNoActiveRoot(uint256 time, address caller, uint256 id, bytes32 other)
        external
    {
        RewardDistributor distributor = _any(time, 0);
        Head memory head = _head(distributor);
        IRewardDistributor.Record memory otherBefore = distributor.recordOf(other);
        IRewardDistributor.Challenge memory open = distributor.challengeOf(id);
        // Only a stopped root names the challenge that stopped it, and challenges are counted from one.
        bytes32 slot = keccak256(abi.encode(open.root, RECORDS_SLOT));
        bool stopped = distributor.recordOf(open.root).activatesAt == type(uint40).max;
        vm.assume(both(id != 0, either(stopped, uint256(vm.load(address(distributor), slot)) >> 168 != id)));
        vm.prank(caller);
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.rejectChallenge, (id)));
        assert(!ok || (caller == GOVERNANCE && block.timestamp <= open.deadline));
        assert(Agreeable(address(distributor.TOKEN())).moved() == (ok ? open.bond : 0));
        IRewardDistributor.Record memory afterwards = distributor.recordOf(other);
        assert(afterwards.epoch == otherBefore.epoch && afterwards.total == otherBefore.total);
        if (afterwards.activatesAt == otherBefore.activatesAt) return;
        assert(ok && other == open.root && otherBefore.activatesAt == type(uint40).max);
        assert(afterwards.activatesAt == block.timestamp + head.delay);
        _requireHead(distributor, head, 1, 0);
    }

    /// Condemning silences one active root of the last 30 days, and leaves its epoch, its total and every other root.
    function check_Condemn_TouchesOneActiveRoot(uint256 time, address caller, bytes32 root, bytes32 other) external {
        RewardDistributor distributor = _any(time, 0);
        Head memory head = _head(distributor);
        IRewardDistributor.Record memory before = distributor.recordOf(root);
        IRewardDistributor.Record memory otherBefore = distributor.recordOf(other);
        vm.prank(caller);
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.condemn, (root)));
        _requireHead(distributor, head, 0, 0);
        if (!ok || other != root) _requireSame(distributor, other, otherBefore);
        if (!ok) return;
        assert(caller == GOVERNANCE && before.activatesAt != 0 && before.activatesAt <= block.timestamp);
        assert(block.timestamp <= uint256(before.activatesAt) + 30 days);
        IRewardDistributor.Record memory condemned = distributor.recordOf(root);
        assert(condemned.activatesAt == CONDEMNED && !distributor.isActive(root));
        assert(condemned.epoch == before.epoch && condemned.total == before.total);
    }

    /// A refill moves into the pool no more than an active root still owes, and never lifts the pool above half the cap.
    function check_Refill_StaysWithinTotalAndCap(uint256 time, uint256 pool, bytes32 root) external {
        vm.assume(pool <= 1e27);
        RewardDistributor distributor = _any(time, pool);
        Head memory head = _head(distributor);
        IRewardDistributor.Record memory record = distributor.recordOf(root);
        (uint96 collected, uint96 funded) = distributor.ledger();
        (uint96 cap, uint40 length, uint40 last) = distributor.poolLimit();
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.refill, (root)));
        uint256 level = Agreeable(address(distributor.TOKEN())).rewardPool();
        uint256 moved = level - pool;
        _requireHead(distributor, head, 0, 0);
        _requireLedger(distributor, collected, funded + moved);
        assert(ok == (moved != 0));
        if (!ok) return;
        assert(record.activatesAt != 0 && record.activatesAt <= block.timestamp);
        assert(funded + moved <= record.total && level <= cap / 2);
        assert(block.timestamp > uint256(last) + length);
        (,, uint40 refilledAt) = distributor.poolLimit();
        assert(refilledAt == block.timestamp);
    }

    /// Only the escrow reports what was collected, and the report is all that it changes.
    function check_Collect_AddsWhatTheEscrowReports(uint256 time, address caller, uint256 amount) external {
        RewardDistributor distributor = _any(time, 0);
        (uint96 collected, uint96 funded) = distributor.ledger();
        vm.prank(caller);
        (bool ok,) = address(distributor).call(abi.encodeCall(distributor.collect, (amount)));
        assert(!ok || caller == address(this));
        _requireLedger(distributor, ok ? collected + amount : collected, funded);
    }

    function _submit(RewardDistributor distributor, IRewardDistributor.RewardRoot memory next)
        private
        returns (bool ok)
    {
        (ok,) = address(distributor)
            .call(
                abi.encodeCall(
                    distributor.submitRoot,
                    (next.previousRoot, next.root, next.epoch, next.total, next.contentHash, new bytes(65))
                )
            );
    }

    function _stop(RewardDistributor distributor, address caller, bytes32 root, bytes32 other, bytes memory data)
        private
        returns (bool ok)
    {
        Head memory head = _head(distributor);
        IRewardDistributor.Record memory before = distributor.recordOf(root);
        IRewardDistributor.Record memory otherBefore = distributor.recordOf(other);
        (uint96 collected, uint96 funded) = distributor.ledger();
        // What is pending has an epoch: the chain is not empty.
        vm.assume(head.epoch != 0);
        vm.prank(caller);
        (ok,) = address(distributor).call(data);
        _requireHead(distributor, head, ok ? int256(-1) : int256(0), ok ? int256(1) : int256(0));
        _requireLedger(distributor, collected, funded);
        assert(!ok || (before.activatesAt > block.timestamp && before.activatesAt < CONDEMNED));
        if (!ok || other != root) _requireSame(distributor, other, otherBefore);
    }

    /// @dev A distributor with any storage, at any time that its 40 bits can hold with the longest delay added.
    function _any(uint256 time, uint256 pool) private returns (RewardDistributor distributor) {
        address double = address(new Agreeable(pool));
        distributor = new RewardDistributor(
            IOpenToken(double),
            IAttestorSet(double),
            address(this),
            GOVERNANCE,
            GOVERNANCE,
            1 days,
            0,
            7 days,
            0,
            14 days
        );
        svm.enableSymbolicStorage(address(distributor));
        // State, ledger, challenge terms and pool limit: written by the constructor, so that they must be set anew.
        uint256[4] memory slots = [uint256(2), 3, 4, 7];
        for (uint256 i = 0; i < slots.length; ++i) {
            vm.store(address(distributor), bytes32(slots[i]), bytes32(svm.createUint256("word")));
        }
        vm.assume(time != 0 && time < 1 << 39);
        vm.warp(time);
        Head memory head = _head(distributor);
        vm.assume(head.delay >= 10 minutes && head.delay <= 30 days);
        vm.assume(head.epoch < type(uint32).max && head.round < type(uint32).max);
    }

    function _head(RewardDistributor distributor) private view returns (Head memory head) {
        (head.guardian, head.delay, head.epoch, head.round) = _state(distributor);
    }

    function _state(RewardDistributor distributor) private view returns (address, uint256, uint256, uint256) {
        (address guardian, uint32 delay, uint32 epoch, uint32 round) = distributor.state();
        return (guardian, delay, epoch, round);
    }

    function _requireHead(RewardDistributor distributor, Head memory before, int256 epochs, int256 rounds)
        private
        view
    {
        Head memory head = _head(distributor);
        assert(head.guardian == before.guardian && head.delay == before.delay);
        assert(int256(head.epoch) == int256(before.epoch) + epochs);
        assert(int256(head.round) == int256(before.round) + rounds);
    }

    function _requireLedger(RewardDistributor distributor, uint256 collected, uint256 funded) private view {
        (uint96 collectedNow, uint96 fundedNow) = distributor.ledger();
        assert(collectedNow == collected && fundedNow == funded);
    }

    function _requireSame(RewardDistributor distributor, bytes32 root, IRewardDistributor.Record memory before)
        private
        view
    {
        IRewardDistributor.Record memory record = distributor.recordOf(root);
        assert(record.activatesAt == before.activatesAt);
        assert(record.epoch == before.epoch && record.total == before.total);
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { DuplicateBonds } from "./datanets/DuplicateBonds.sol";
import { Stewardship } from "./datanets/Stewardship.sol";
import { IDatanetRegistry } from "./interfaces/IDatanetRegistry.sol";
import { IOpenToken } from "./interfaces/IOpenToken.sol";
import { Contributions } from "./libraries/Contributions.sol";
import { Signatures } from "./libraries/Signatures.sol";

/// @title DatanetRegistry
/// @dev Four responsibilities in four files: who runs a datanet (Stewardship), what was contributed (ContributionLog), bonds
///      against copies (DuplicateBonds), and here what becomes of a contribution: forced inclusion, review, snapshots.
///
///      Invariant 1: the accumulator of a datanet is the fold of the names of all its contributions, in the log's order.
///      Invariant 2: an outcome, a snapshot and a checkpoint are written once and never change.
///      Invariant 3: no snapshot is published while a forced contribution is past its deadline without an outcome.
///      Invariant 4: the tokens held here cover all bonds: of datanets, of contributors, of accusers, of forced contributions.
contract DatanetRegistry is DuplicateBonds {
    mapping(uint256 datanet => mapping(uint256 version => Snapshot)) private _snapshots;
    mapping(uint256 datanet => mapping(bytes32 contribution => Forced)) private _forced;
    /// @dev Forced contributions in the order of their deadlines; all before `_nextForced` have their outcome.
    mapping(uint256 datanet => bytes32[]) private _forcedQueue;
    mapping(uint256 datanet => uint256) private _nextForced;

    constructor(IOpenToken token, address governance, Terms memory terms_)
        EIP712("OpenLedger DatanetRegistry", "1")
        Stewardship(token, governance, terms_)
    { }

    // Forced inclusion

    /// @inheritdoc IDatanetRegistry
    function contributeForced(uint256 datanet, Kind kind, bytes32 rowsRoot, uint256 count, bytes32 manifestHash)
        external
        override
        returns (bytes32 contribution)
    {
        contribution = _contribute(Contribution(msg.sender, datanet, kind, rowsRoot, count, manifestHash));
        if (_forced[datanet][contribution].deadline != 0) revert AlreadyForced(contribution);
        if (outcomeOf[datanet][contribution] != 0) revert OutcomeAlreadyRecorded(contribution);
        uint96 bond = _terms.forcedBond;
        uint40 deadline = _lastDeadline(datanet, uint40(block.timestamp) + _terms.inclusionWindow);
        _forced[datanet][contribution] =
            Forced({ contributor: msg.sender, deadline: deadline, resolved: false, neglected: false, bond: bond });
        _forcedQueue[datanet].push(contribution);
        emit InclusionForced(datanet, contribution, msg.sender, deadline);
        TOKEN.transferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IDatanetRegistry
    function proveNeglect(uint256 datanet, bytes32 contribution) external override {
        Forced storage forced = _forced[datanet][contribution];
        if (forced.deadline == 0 || forced.resolved || forced.neglected || block.timestamp <= forced.deadline) {
            revert NotOverdue(contribution, forced.deadline);
        }
        forced.neglected = true;
        Datanet storage neglecting = _datanets[datanet];
        uint96 penalty = forced.bond < neglecting.bond ? forced.bond : neglecting.bond;
        neglecting.bond -= penalty;
        emit Neglected(datanet, contribution, penalty);
        // Half is lost to both: a steward must not carry its bond home through contributions of its own.
        TOKEN.transfer(forced.contributor, penalty / 2);
        TOKEN.transfer(GOVERNANCE, penalty - penalty / 2);
    }

    /// @inheritdoc IDatanetRegistry
    function skipResolved(uint256 datanet, uint256 most) external override returns (uint256 pending) {
        _advanceForced(datanet, most);
        return _forcedQueue[datanet].length - _nextForced[datanet];
    }

    // Review and snapshots

    /// @inheritdoc IDatanetRegistry
    function recordOutcomes(uint256 datanet, Outcome[] calldata outcomes, bytes calldata signatures) external override {
        _requireReviewers(datanet, outcomesDigest(datanet, outcomes), signatures);
        for (uint256 i = 0; i < outcomes.length; ++i) {
            Outcome calldata outcome = outcomes[i];
            bytes32 contribution = outcome.contribution;
            if (outcomeOf[datanet][contribution] != 0) revert OutcomeAlreadyRecorded(contribution);
            outcomeOf[datanet][contribution] = keccak256(abi.encode(outcome));
            emit OutcomeRecorded(
                datanet, contribution, outcome.acceptedRoot, outcome.acceptedCount, outcome.reasonsHash
            );
            _settleForced(datanet, contribution, outcome.acceptedCount != 0);
        }
    }

    /// @inheritdoc IDatanetRegistry
    function publishSnapshot(uint256 datanet, bytes32 root, uint256 count, bytes32 manifestHash, bytes32 accumulator)
        external
        override
        onlySteward(datanet)
        returns (uint256 version)
    {
        if (root == 0 || manifestHash == 0) revert EmptyHash();
        if (count == 0) revert EmptyRows();
        if (count > type(uint64).max) revert CountTooLarge(count);
        _advanceForced(datanet, type(uint256).max);
        if (_nextForced[datanet] < _forcedQueue[datanet].length) {
            bytes32 waiting = _forcedQueue[datanet][_nextForced[datanet]];
            uint256 deadline = _forced[datanet][waiting].deadline;
            if (block.timestamp > deadline) revert InclusionOverdue(waiting, deadline);
        }
        if (accumulator == accumulatorOf[datanet]) {
            _checkpoint(datanet, accumulator);
        } else if (checkpointedAt[datanet][accumulator] == 0) {
            revert UnknownAccumulator(accumulator);
        }
        version = ++_datanets[datanet].snapshots;
        _snapshots[datanet][version] = Snapshot(root, uint64(count), uint40(block.timestamp), accumulator);
        emit SnapshotPublished(datanet, version, root, count, manifestHash, accumulator);
    }

    /// @inheritdoc IDatanetRegistry
    function withdrawDatanetBond(uint256 datanet) external override onlySteward(datanet) {
        Datanet storage closed = _datanets[datanet];
        if (closed.closesAt == 0 || block.timestamp <= closed.closesAt) {
            revert DatanetNotClosed(datanet, closed.closesAt);
        }
        _advanceForced(datanet, type(uint256).max);
        uint256 pending = _forcedQueue[datanet].length - _nextForced[datanet];
        if (pending != 0) revert InclusionsPending(pending);
        uint256 amount = closed.bond;
        if (amount == 0) revert NoBond(msg.sender);
        closed.bond = 0;
        emit DatanetBondWithdrawn(datanet, msg.sender, amount);
        TOKEN.transfer(msg.sender, amount);
    }

    // Views

    /// @inheritdoc IDatanetRegistry
    function forcedOf(uint256 datanet, bytes32 contribution) external view override returns (Forced memory) {
        return _forced[datanet][contribution];
    }

    /// @inheritdoc IDatanetRegistry
    function snapshotOf(uint256 datanet, uint256 version) external view override returns (Snapshot memory) {
        return _snapshots[datanet][version];
    }

    /// @inheritdoc IDatanetRegistry
    function snapshotRoot(uint256 datanet, uint256 version) external view override returns (bytes32) {
        return _snapshots[datanet][version].root;
    }

    /// @inheritdoc IDatanetRegistry
    function outcomesDigest(uint256 datanet, Outcome[] calldata outcomes) public view override returns (bytes32) {
        return _hashTypedDataV4(Contributions.outcomesHash(datanet, outcomes));
    }

    // Internal

    function _requireReviewers(uint256 datanet, bytes32 digest, bytes calldata signatures) private view {
        if (signatures.length % Signatures.LENGTH != 0) revert SignaturesLength(signatures.length);
        uint256 signers = signatures.length / Signatures.LENGTH;
        uint256 quorum = _datanets[datanet].quorum;
        if (quorum == 0) revert UnknownDatanet(datanet);
        if (signers < quorum) revert QuorumNotReached(signers, quorum);
        address last;
        for (uint256 i = 0; i < signers; ++i) {
            address signer = Signatures.recoverAt(signatures, i, digest);
            if (signer <= last) revert SignersNotAscending(last, signer);
            if (!isReviewer[datanet][signer]) revert NotAReviewer(signer);
            last = signer;
        }
    }

    /// @dev Deadlines never fall along the queue, whatever governance does to the window, so that its head tells all.
    function _lastDeadline(uint256 datanet, uint40 deadline) private view returns (uint40) {
        bytes32[] storage queue = _forcedQueue[datanet];
        if (queue.length == 0) return deadline;
        uint40 last = _forced[datanet][queue[queue.length - 1]].deadline;
        return last > deadline ? last : deadline;
    }

    function _settleForced(uint256 datanet, bytes32 contribution, bool accepted) private {
        Forced storage forced = _forced[datanet][contribution];
        if (forced.deadline == 0 || forced.resolved) return;
        forced.resolved = true;
        address recipient = accepted ? forced.contributor : _datanets[datanet].steward;
        emit ForcedBondPaid(contribution, recipient, forced.bond);
        TOKEN.transfer(recipient, forced.bond);
    }

    function _advanceForced(uint256 datanet, uint256 most) private {
        bytes32[] storage queue = _forcedQueue[datanet];
        uint256 next = _nextForced[datanet];
        uint256 length = queue.length;
        for (; most != 0 && next < length && _forced[datanet][queue[next]].resolved; --most) {
            ++next;
        }
        _nextForced[datanet] = next;
    }
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IAttestorSet } from "../interfaces/IAttestorSet.sol";
import { IOpenToken } from "../interfaces/IOpenToken.sol";
import { IRewardDistributor } from "../interfaces/IRewardDistributor.sol";

/// @title The chain of reward roots: how one is posted, and who may stop it
/// @dev A root is known by itself: the time of its activation is kept under the root, so that a claim computes the root
///      from its proof and reads one slot, and proofs of old roots stay good.
///
///      Invariant 1: the roots in force form one chain, epochs 1..headEpoch without gaps; at most the last one is pending.
///      Invariant 2: totals along the chain never fall, and never exceed what was collected.
abstract contract RootChain is IRewardDistributor, EIP712 {
    /// @dev A struct of one word, so that a reference to it keeps the slot that the mapping's hash was paid for.
    struct PackedRecord {
        uint256 word;
    }

    struct Ledger {
        uint96 collected;
        uint96 funded;
    }

    struct ChallengeTerms {
        uint96 bond;
        uint40 resolutionWindow;
        uint64 count;
    }

    bytes32 public constant REWARD_ROOT_TYPEHASH = keccak256(
        "RewardRoot(bytes32 previousRoot,bytes32 root,uint256 epoch,uint256 round,uint256 total,bytes32 contentHash)"
    );

    uint256 public constant MIN_DELAY = 10 minutes;
    uint256 public constant MAX_DELAY = 30 days;
    uint256 public constant MIN_RESOLUTION = 1 days;
    uint256 public constant MAX_RESOLUTION = 90 days;
    /// @dev Longer than a vote and the timelock; after it an active root is beyond everybody's reach.
    uint256 public constant CONDEMN_WINDOW = 30 days;

    /// @dev Activation time of a root that a challenge has stopped.
    uint256 private constant STOPPED = type(uint40).max;
    /// @dev Activation time of a root that governance has condemned.
    uint256 private constant CONDEMNED = STOPPED - 1;

    // Two words are packed by hand: posting a root reads and writes both, and through structs that costs 2.1k gas more.
    // A record: activatesAt in bits 0–39, epoch in bits 40–71, total in bits 72–167; of a stopped root, from bit 168 on, the
    // challenge that stopped it.
    uint256 private constant EPOCH_SHIFT = 40;
    uint256 private constant TOTAL_SHIFT = 72;
    uint256 private constant CHALLENGE_SHIFT = 168;
    // The state: guardian in bits 0–159, delay in bits 160–191, headEpoch in bits 192–223, round in bits 224–255.
    uint256 private constant DELAY_SHIFT = 160;
    uint256 private constant HEAD_SHIFT = 192;
    uint256 private constant ROUND_SHIFT = 224;

    IOpenToken public immutable TOKEN;
    IAttestorSet public immutable ATTESTORS;
    address public immutable GOVERNANCE;

    uint256 private _state;
    /// @dev Kept by RewardDistributor; it stands here because `collected` bounds every total, and asking for it by a function
    ///      would cost each posted root 28 gas.
    Ledger public override ledger;
    ChallengeTerms public override challengeTerms;
    mapping(bytes32 root => PackedRecord) private _records;
    mapping(uint256 challengeId => Challenge) private _challenges;

    modifier onlyGovernance() {
        if (msg.sender != GOVERNANCE) revert OnlyGovernance(msg.sender);
        _;
    }

    constructor(
        IOpenToken token,
        IAttestorSet attestors,
        address governance,
        address guardian,
        uint256 delay,
        uint256 challengeBond,
        uint256 resolutionWindow
    ) {
        TOKEN = token;
        ATTESTORS = attestors;
        GOVERNANCE = governance;
        _setGuardian(guardian);
        _setDelay(delay);
        _setChallengeTerms(challengeBond, resolutionWindow);
    }

    // Posting and stopping

    /// @inheritdoc IRewardDistributor
    function submitRoot(
        bytes32 previousRoot,
        bytes32 root,
        uint256 epoch,
        uint256 total,
        bytes32 contentHash,
        bytes calldata signatures
    ) external override {
        if (root == 0) revert EmptyRoot();
        uint256 current = _state;
        uint256 headEpoch = uint32(current >> HEAD_SHIFT);
        unchecked {
            if (epoch != headEpoch + 1) revert WrongEpoch(epoch, headEpoch + 1);
        }

        _requirePrevious(previousRoot, headEpoch, total);
        PackedRecord storage record = _records[root];
        unchecked {
            // A stopped root may be posted again; zero, the unknown root, wraps around.
            if (uint40(record.word) - 1 < STOPPED - 1) revert RootAlreadyPosted(root);
        }

        ATTESTORS.checkQuorum(
            _rootDigest(previousRoot, root, epoch, current >> ROUND_SHIFT, total, contentHash), signatures
        );

        unchecked {
            // Each part fits: total ≤ collected < 2^96, and neither time nor epochs reach their 40 and 32 bits.
            record.word = block.timestamp + uint32(current >> DELAY_SHIFT) | epoch << EPOCH_SHIFT | total << TOTAL_SHIFT;
            _state = current + (1 << HEAD_SHIFT);
        }
        emit RootSubmitted(root, epoch, total, contentHash);
    }

    /// @inheritdoc IRewardDistributor
    function veto(bytes32 root) external override {
        if (msg.sender != address(uint160(_state))) revert OnlyGuardian(msg.sender);
        uint256 record = _stop(root);
        delete _records[root];
        emit RootVetoed(root, uint32(record >> EPOCH_SHIFT));
    }

    /// @inheritdoc IRewardDistributor
    function challenge(bytes32 root, bytes32 reasonHash) external override returns (uint256 challengeId) {
        ChallengeTerms memory terms = challengeTerms;
        challengeId = ++challengeTerms.count;
        _records[root].word = _stop(root) | STOPPED | challengeId << CHALLENGE_SHIFT;
        uint40 deadline = uint40(block.timestamp) + terms.resolutionWindow;
        _challenges[challengeId] =
            Challenge({ challenger: msg.sender, bond: terms.bond, root: root, deadline: deadline });
        emit RootChallenged(root, challengeId, msg.sender, deadline, reasonHash);
        TOKEN.transferFrom(msg.sender, address(this), terms.bond);
    }

    /// @inheritdoc IRewardDistributor
    function rejectChallenge(uint256 challengeId) external override onlyGovernance {
        Challenge memory rejected = _challenges[challengeId];
        if (block.timestamp > rejected.deadline) revert ChallengeNotOpen(challengeId, rejected.deadline);
        delete _challenges[challengeId];

        uint256 record = _records[rejected.root].word;
        uint256 current = _state;
        uint256 activatesAt;
        // Only what this very challenge stopped comes back: the root may have been posted, and challenged, once more.
        if (
            record >> CHALLENGE_SHIFT == challengeId
                && uint32(record >> EPOCH_SHIFT) == uint32(current >> HEAD_SHIFT) + 1
        ) {
            activatesAt = block.timestamp + uint32(current >> DELAY_SHIFT);
            _records[rejected.root].word = (record ^ STOPPED ^ challengeId << CHALLENGE_SHIFT) | activatesAt;
            _state = current + (1 << HEAD_SHIFT);
        }
        emit ChallengeRejected(challengeId, rejected.root, activatesAt);
        TOKEN.transfer(GOVERNANCE, rejected.bond);
    }

    /// @inheritdoc IRewardDistributor
    function returnChallengeBond(uint256 challengeId) external override {
        Challenge memory ended = _challenges[challengeId];
        if (ended.challenger == address(0)) revert ChallengeNotOpen(challengeId, 0);
        if (block.timestamp <= ended.deadline) revert ChallengeStillOpen(challengeId, ended.deadline);
        delete _challenges[challengeId];
        emit ChallengeBondReturned(challengeId, ended.challenger, ended.bond);
        TOKEN.transfer(ended.challenger, ended.bond);
    }

    /// @inheritdoc IRewardDistributor
    function condemn(bytes32 root) external override onlyGovernance {
        _requireActive(root);
        uint256 record = _records[root].word;
        uint256 until = uint40(record) + CONDEMN_WINDOW;
        if (block.timestamp > until) revert WindowClosed(root, until);
        _records[root].word = (record | STOPPED) ^ STOPPED | CONDEMNED;
        emit RootCondemned(root, uint32(record >> EPOCH_SHIFT));
    }

    // Governance

    /// @inheritdoc IRewardDistributor
    function skipRound() external override onlyGovernance {
        uint256 current = _state + (1 << ROUND_SHIFT);
        _state = current;
        emit RoundSkipped(current >> ROUND_SHIFT);
    }

    /// @inheritdoc IRewardDistributor
    function setGuardian(address guardian) external override onlyGovernance {
        _setGuardian(guardian);
    }

    /// @inheritdoc IRewardDistributor
    function setDelay(uint256 delay) external override onlyGovernance {
        _setDelay(delay);
    }

    /// @inheritdoc IRewardDistributor
    function setChallengeTerms(uint256 bond, uint256 resolutionWindow) external override onlyGovernance {
        _setChallengeTerms(bond, resolutionWindow);
    }

    // Views

    /// @inheritdoc IRewardDistributor
    function state() external view override returns (address guardian, uint32 delay, uint32 headEpoch, uint32 round) {
        uint256 current = _state;
        guardian = address(uint160(current));
        delay = uint32(current >> DELAY_SHIFT);
        headEpoch = uint32(current >> HEAD_SHIFT);
        round = uint32(current >> ROUND_SHIFT);
    }

    /// @inheritdoc IRewardDistributor
    function recordOf(bytes32 root) external view override returns (Record memory) {
        uint256 record = _records[root].word;
        return Record(uint40(record), uint32(record >> EPOCH_SHIFT), uint96(record >> TOTAL_SHIFT));
    }

    /// @inheritdoc IRewardDistributor
    function challengeOf(uint256 challengeId) external view override returns (Challenge memory) {
        return _challenges[challengeId];
    }

    /// @inheritdoc IRewardDistributor
    function isActive(bytes32 root) external view override returns (bool) {
        uint256 activatesAt = uint40(_records[root].word);
        return activatesAt != 0 && activatesAt <= block.timestamp;
    }

    /// @inheritdoc IRewardDistributor
    function rootDigest(RewardRoot calldata statement) external view override returns (bytes32) {
        return _rootDigest(
            statement.previousRoot,
            statement.root,
            statement.epoch,
            statement.round,
            statement.total,
            statement.contentHash
        );
    }

    // Internal

    function _requireActive(bytes32 root) internal view {
        uint256 activatesAt = uint40(_records[root].word);
        unchecked {
            // Zero, the unknown root, wraps around and is refused with the roots whose time has not come.
            if (activatesAt - 1 >= block.timestamp) revert RootNotActive(root, activatesAt);
        }
    }

    /// @dev The total of a root that may still be refilled for. With an old root, whose total is nearly used up, somebody could
    ///      spend the epoch's one refill on a wei. The head may still be pending: then it is its predecessor that counts.
    function _totalOfRecent(bytes32 root) internal view returns (uint256) {
        uint256 record = _records[root].word;
        uint256 headEpoch = uint32(_state >> HEAD_SHIFT);
        if (uint32(record >> EPOCH_SHIFT) + 1 < headEpoch) revert RootTooOld(root, headEpoch);
        return uint96(record >> TOTAL_SHIFT);
    }

    /// @dev Compare-and-swap: `previousRoot` is the root in force, and `total` goes on from it.
    function _requirePrevious(bytes32 previousRoot, uint256 headEpoch, uint256 total) private view {
        uint256 previous = _records[previousRoot].word;
        // The empty record has epoch 0, as the empty chain has; only zero may stand for it.
        if (uint32(previous >> EPOCH_SHIFT) != headEpoch || (headEpoch == 0 && previousRoot != 0)) {
            revert WrongPreviousRoot(previousRoot, headEpoch);
        }
        // A condemned root pays nothing, but stays the link that the next root hangs on.
        if (uint40(previous) > block.timestamp && uint40(previous) != CONDEMNED) {
            revert PreviousRootPending(previousRoot, uint40(previous));
        }
        uint256 collected = ledger.collected;
        uint256 least = uint96(previous >> TOTAL_SHIFT);
        if (total < least || total > collected) revert TotalOutOfRange(total, least, collected);
    }

    /// @dev Takes the pending root off the chain of roots. Whoever signed it has to sign anew: the round is over.
    function _stop(bytes32 root) private returns (uint256 record) {
        record = _records[root].word;
        uint256 activatesAt = uint40(record);
        if (activatesAt <= block.timestamp || activatesAt >= CONDEMNED) revert WindowClosed(root, activatesAt);
        _state = _state - (1 << HEAD_SHIFT) + (1 << ROUND_SHIFT);
    }

    function _rootDigest(
        bytes32 previousRoot,
        bytes32 root,
        uint256 epoch,
        uint256 round,
        uint256 total,
        bytes32 contentHash
    ) private view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(abi.encode(REWARD_ROOT_TYPEHASH, previousRoot, root, epoch, round, total, contentHash))
        );
    }

    function _setGuardian(address guardian) private {
        _state = (_state >> DELAY_SHIFT) << DELAY_SHIFT | uint160(guardian);
        emit GuardianSet(guardian);
    }

    function _setDelay(uint256 delay) private {
        if (delay < MIN_DELAY || delay > MAX_DELAY) revert OutOfBounds(delay, MIN_DELAY, MAX_DELAY);
        _state = _state & ~(uint256(type(uint32).max) << DELAY_SHIFT) | delay << DELAY_SHIFT;
        emit DelaySet(delay);
    }

    function _setChallengeTerms(uint256 bond, uint256 resolutionWindow) private {
        if (bond > type(uint96).max) revert OutOfBounds(bond, 0, type(uint96).max);
        if (resolutionWindow < MIN_RESOLUTION || resolutionWindow > MAX_RESOLUTION) {
            revert OutOfBounds(resolutionWindow, MIN_RESOLUTION, MAX_RESOLUTION);
        }
        challengeTerms.bond = uint96(bond);
        challengeTerms.resolutionWindow = uint40(resolutionWindow);
        emit ChallengeTermsSet(bond, resolutionWindow);
    }
}

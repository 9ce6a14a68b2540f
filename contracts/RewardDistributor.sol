// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IAttestorSet } from "./interfaces/IAttestorSet.sol";
import { IOpenToken } from "./interfaces/IOpenToken.sol";
import { IRewardDistributor } from "./interfaces/IRewardDistributor.sol";
import { RewardTree } from "./libraries/RewardTree.sol";
import { Signatures } from "./libraries/Signatures.sol";

/// @title RewardDistributor
/// @dev A root is known by itself: the time of its activation is kept under the root, so that a claim computes the root
///      from its proof and reads one slot, and proofs of old roots stay good.
///
///      Invariant 1: the roots in force form one chain, epochs 1..headEpoch without gaps; at most the last one is pending.
///      Invariant 2: totals along the chain never fall, and never exceed `collected`.
///      Invariant 3: `funded` ≤ the total of some active root ≤ `collected`, and within any time as long as an epoch no more
///                   than `epochCap` leaves the reward pool.
///      Invariant 4: the balance here covers collected − funded plus the bonds of open challenges.
contract RewardDistributor is IRewardDistributor, EIP712 {
    /// @dev A struct of one word, so that a reference to it keeps the slot that the mapping's hash was paid for.
    struct PackedRecord {
        uint256 word;
    }

    struct Ledger {
        uint96 collected;
        uint96 funded;
    }

    struct PoolLimit {
        uint96 epochCap;
        uint40 epochLength;
        uint40 refilledAt;
    }

    struct ChallengeTerms {
        uint96 bond;
        uint40 resolutionWindow;
        uint64 count;
    }

    bytes32 public constant REWARD_ROOT_TYPEHASH = keccak256(
        "RewardRoot(bytes32 previousRoot,bytes32 root,uint256 epoch,uint256 round,uint256 total,bytes32 contentHash)"
    );
    bytes32 public constant CLAIM_TO_TYPEHASH =
        keccak256("ClaimTo(address account,address recipient,uint256 cumulative,uint256 deadline)");

    uint256 public constant MIN_DELAY = 10 minutes;
    uint256 public constant MAX_DELAY = 30 days;
    uint256 public constant MIN_EPOCH = 10 minutes;
    uint256 public constant MAX_EPOCH = 90 days;
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
    address public immutable ESCROW;
    address public immutable GOVERNANCE;

    uint256 private _state;
    Ledger public override ledger;
    PoolLimit public override poolLimit;
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
        address escrow,
        address governance,
        address guardian,
        uint256 delay,
        uint256 epochCap,
        uint256 epochLength,
        uint256 challengeBond,
        uint256 resolutionWindow
    ) EIP712("OpenLedger RewardDistributor", "1") {
        TOKEN = token;
        ATTESTORS = attestors;
        ESCROW = escrow;
        GOVERNANCE = governance;
        _setGuardian(guardian);
        _setDelay(delay);
        _setPoolLimit(epochCap, epochLength);
        _setChallengeTerms(challengeBond, resolutionWindow);
    }

    // Roots

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

    // Claims

    /// @inheritdoc IRewardDistributor
    function claim(address account, uint256 cumulative, bytes32[] calldata proof)
        external
        override
        returns (uint256 paid)
    {
        _requireActive(RewardTree.rootOf(proof, RewardTree.leafOf(account, cumulative)));
        paid = TOKEN.credit(account, account, cumulative);
        if (paid == 0) revert NothingToClaim(account, cumulative);
    }

    /// @inheritdoc IRewardDistributor
    function claimTo(
        address account,
        address recipient,
        uint256 cumulative,
        bytes32[] calldata proof,
        uint256 deadline,
        bytes calldata signature
    ) external override returns (uint256 paid) {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        // No nonce: `cumulative` is one. Once it is paid, the signature moves nothing any more.
        if (!Signatures.isValid(account, claimDigest(account, recipient, cumulative, deadline), signature)) {
            revert InvalidClaimSignature(account);
        }
        _requireActive(RewardTree.rootOf(proof, RewardTree.leafOf(account, cumulative)));
        paid = TOKEN.credit(account, recipient, cumulative);
        if (paid == 0) revert NothingToClaim(account, cumulative);
        emit ClaimedTo(account, recipient, paid);
    }

    /// @inheritdoc IRewardDistributor
    function claimMany(Claim[] calldata claims) external override returns (uint256 paid) {
        for (uint256 i = 0; i < claims.length; ++i) {
            Claim calldata one = claims[i];
            _requireActive(RewardTree.rootOf(one.proof, RewardTree.leafOf(one.account, one.cumulative)));
            paid += TOKEN.credit(one.account, one.account, one.cumulative);
        }
    }

    /// @inheritdoc IRewardDistributor
    function pushSubtree(uint256[] calldata leaves, bytes32[] calldata proof) external override returns (uint256 paid) {
        bytes32 root = RewardTree.rootOf(proof, RewardTree.subtreeOf(leaves));
        _requireActive(root);
        paid = TOKEN.creditMany(leaves);
        emit SubtreePushed(root, leaves.length, paid);
    }

    // The pool

    /// @inheritdoc IRewardDistributor
    function collect(uint256 amount) external override {
        if (msg.sender != ESCROW) revert OnlyEscrow(msg.sender);
        uint256 collected = ledger.collected + amount;
        if (collected > type(uint96).max) revert OutOfBounds(collected, 0, type(uint96).max);
        ledger.collected = uint96(collected);
        emit FeesCollected(amount, collected);
    }

    /// @inheritdoc IRewardDistributor
    function refill(bytes32 root) external override returns (uint256 amount) {
        _requireActive(root);
        PoolLimit memory limit = poolLimit;
        uint256 last = uint256(limit.refilledAt) + limit.epochLength;
        if (block.timestamp <= last) revert RefillTooEarly(last);
        uint256 record = _records[root].word;
        uint256 headEpoch = uint32(_state >> HEAD_SHIFT);
        // With an old root, whose total is nearly used up, somebody could spend the epoch's one refill on a wei. The head may
        // still be pending: then it is its predecessor that counts.
        if (uint32(record >> EPOCH_SHIFT) + 1 < headEpoch) revert RootTooOld(root, headEpoch);

        uint256 level = TOKEN.rewardPool();
        uint256 target = limit.epochCap / 2;
        uint256 owed = uint96(record >> TOTAL_SHIFT);
        uint256 funded = ledger.funded;
        if (level >= target || owed <= funded) revert NothingToRefill();
        unchecked {
            amount = target - level;
            if (amount > owed - funded) amount = owed - funded;
            // funded + amount ≤ owed ≤ type(uint96).max
            ledger.funded = uint96(funded + amount);
        }
        poolLimit.refilledAt = uint40(block.timestamp);
        emit PoolRefilled(root, amount);
        TOKEN.fundRewardPool(amount);
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
    function setPoolLimit(uint256 epochCap, uint256 epochLength) external override onlyGovernance {
        _setPoolLimit(epochCap, epochLength);
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

    /// @inheritdoc IRewardDistributor
    function claimDigest(address account, address recipient, uint256 cumulative, uint256 deadline)
        public
        view
        override
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(CLAIM_TO_TYPEHASH, account, recipient, cumulative, deadline)));
    }

    /// @inheritdoc IRewardDistributor
    function leafOf(address account, uint256 cumulative) external pure override returns (bytes32) {
        return RewardTree.leafOf(account, cumulative);
    }

    // Internal

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

    function _requireActive(bytes32 root) private view {
        uint256 activatesAt = uint40(_records[root].word);
        unchecked {
            // Zero, the unknown root, wraps around and is refused with the roots whose time has not come.
            if (activatesAt - 1 >= block.timestamp) revert RootNotActive(root, activatesAt);
        }
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

    function _setPoolLimit(uint256 epochCap, uint256 epochLength) private {
        if (epochCap > type(uint96).max) revert OutOfBounds(epochCap, 0, type(uint96).max);
        if (epochLength < MIN_EPOCH || epochLength > MAX_EPOCH) revert OutOfBounds(epochLength, MIN_EPOCH, MAX_EPOCH);
        poolLimit.epochCap = uint96(epochCap);
        poolLimit.epochLength = uint40(epochLength);
        emit PoolLimitSet(epochCap, epochLength);
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

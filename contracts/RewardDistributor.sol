// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import { IAttestorSet } from "./interfaces/IAttestorSet.sol";
import { IOpenToken } from "./interfaces/IOpenToken.sol";
import { IRewardDistributor } from "./interfaces/IRewardDistributor.sol";
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
    struct State {
        address guardian;
        uint32 delay;
        uint32 headEpoch;
        uint32 round;
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

    /// @dev Activation time of a root that a challenge has stopped.
    uint40 private constant STOPPED = type(uint40).max;

    IOpenToken public immutable TOKEN;
    IAttestorSet public immutable ATTESTORS;
    address public immutable ESCROW;
    address public immutable GOVERNANCE;

    State public override state;
    Ledger public override ledger;
    PoolLimit public override poolLimit;
    ChallengeTerms public override challengeTerms;
    mapping(bytes32 root => Record) private _records;
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
        State memory current = state;
        if (root == 0) revert EmptyRoot();
        if (epoch != uint256(current.headEpoch) + 1) revert WrongEpoch(epoch, uint256(current.headEpoch) + 1);

        Record memory previous = _records[previousRoot];
        // The empty record has epoch 0, as the empty chain has; only zero may stand for it.
        if (previous.epoch != current.headEpoch || (current.headEpoch == 0 && previousRoot != 0)) {
            revert WrongPreviousRoot(previousRoot, current.headEpoch);
        }
        if (previous.activatesAt > block.timestamp) revert PreviousRootPending(previousRoot, previous.activatesAt);
        if (total < previous.total || total > ledger.collected) {
            revert TotalOutOfRange(total, previous.total, ledger.collected);
        }
        uint256 known = _records[root].activatesAt;
        if (known != 0 && known != STOPPED) revert RootAlreadyPosted(root);

        ATTESTORS.checkQuorum(
            _rootDigest(previousRoot, root, epoch, current.round, total, contentHash), signatures
        );

        _records[root] =
            Record({ activatesAt: uint40(block.timestamp) + current.delay, epoch: uint32(epoch), total: uint96(total) });
        state.headEpoch = uint32(epoch);
        emit RootSubmitted(root, epoch, previousRoot, total, contentHash);
    }

    /// @inheritdoc IRewardDistributor
    function veto(bytes32 root) external override {
        if (msg.sender != state.guardian) revert OnlyGuardian(msg.sender);
        uint32 epoch = _stop(root);
        delete _records[root];
        emit RootVetoed(root, epoch);
    }

    /// @inheritdoc IRewardDistributor
    function challenge(bytes32 root, bytes32 reasonHash) external override returns (uint256 challengeId) {
        _stop(root);
        _records[root].activatesAt = STOPPED;

        ChallengeTerms memory terms = challengeTerms;
        challengeId = ++challengeTerms.count;
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

        Record storage record = _records[rejected.root];
        uint256 activatesAt;
        if (record.activatesAt == STOPPED && record.epoch == state.headEpoch + 1) {
            activatesAt = block.timestamp + state.delay;
            record.activatesAt = uint40(activatesAt);
            state.headEpoch = record.epoch;
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

    // Claims

    /// @inheritdoc IRewardDistributor
    function claim(address account, uint256 cumulative, bytes32[] calldata proof)
        external
        override
        returns (uint256 paid)
    {
        paid = _claim(account, account, cumulative, proof);
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
        paid = _claim(account, recipient, cumulative, proof);
        if (paid == 0) revert NothingToClaim(account, cumulative);
    }

    /// @inheritdoc IRewardDistributor
    function claimMany(Claim[] calldata claims) external override returns (uint256 paid) {
        for (uint256 i = 0; i < claims.length; ++i) {
            paid += _claim(claims[i].account, claims[i].account, claims[i].cumulative, claims[i].proof);
        }
    }

    /// @inheritdoc IRewardDistributor
    function pushSubtree(uint256[] calldata leaves, bytes32[] calldata proof) external override returns (uint256 paid) {
        bytes32 root = MerkleProof.processProofCalldata(proof, _subtreeRoot(leaves));
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
        uint256 next = uint256(limit.refilledAt) + limit.epochLength;
        if (block.timestamp < next) revert RefillTooEarly(next);

        uint256 level = TOKEN.rewardPool();
        uint256 target = limit.epochCap / 2;
        uint256 owed = _records[root].total;
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
    function recordOf(bytes32 root) external view override returns (Record memory) {
        return _records[root];
    }

    /// @inheritdoc IRewardDistributor
    function challengeOf(uint256 challengeId) external view override returns (Challenge memory) {
        return _challenges[challengeId];
    }

    /// @inheritdoc IRewardDistributor
    function isActive(bytes32 root) external view override returns (bool) {
        uint256 activatesAt = _records[root].activatesAt;
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
    function leafOf(address account, uint256 cumulative) public pure override returns (bytes32 leaf) {
        // keccak256(bytes.concat(keccak256(abi.encode(account, cumulative)))) in scratch space: a leaf is hashed on every claim.
        assembly ("memory-safe") {
            mstore(0x00, shr(96, shl(96, account)))
            mstore(0x20, cumulative)
            mstore(0x00, keccak256(0x00, 0x40))
            leaf := keccak256(0x00, 0x20)
        }
    }

    // Internal

    function _claim(address account, address recipient, uint256 cumulative, bytes32[] calldata proof)
        private
        returns (uint256 paid)
    {
        _requireActive(MerkleProof.processProofCalldata(proof, leafOf(account, cumulative)));
        paid = TOKEN.credit(account, recipient, cumulative);
        if (paid != 0) emit Claimed(account, recipient, paid);
    }

    function _requireActive(bytes32 root) private view {
        uint256 activatesAt = _records[root].activatesAt;
        if (activatesAt == 0 || activatesAt > block.timestamp) revert RootNotActive(root, activatesAt);
    }

    /// @dev Takes the pending root off the chain of roots. Whoever signed it has to sign anew: the round is over.
    function _stop(bytes32 root) private returns (uint32 epoch) {
        Record memory record = _records[root];
        if (record.activatesAt <= block.timestamp || record.activatesAt == STOPPED) {
            revert WindowClosed(root, record.activatesAt);
        }
        epoch = record.epoch;
        State memory current = state;
        current.headEpoch = epoch - 1;
        current.round += 1;
        state = current;
    }

    function _subtreeRoot(uint256[] calldata leaves) private pure returns (bytes32) {
        uint256 size = leaves.length;
        if (size < 2 || size & (size - 1) != 0) revert SubtreeSize(size);
        bytes32[] memory nodes = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            nodes[i] = leafOf(address(uint160(leaves[i] >> 96)), uint96(leaves[i]));
        }
        for (size >>= 1; size != 0; size >>= 1) {
            for (uint256 i = 0; i < size; ++i) {
                bytes32 left = nodes[2 * i];
                bytes32 right = nodes[2 * i + 1];
                nodes[i] = left < right ? _hashPair(left, right) : _hashPair(right, left);
            }
        }
        return nodes[0];
    }

    function _hashPair(bytes32 left, bytes32 right) private pure returns (bytes32 node) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            node := keccak256(0x00, 0x40)
        }
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
        state.guardian = guardian;
        emit GuardianSet(guardian);
    }

    function _setDelay(uint256 delay) private {
        if (delay < MIN_DELAY || delay > MAX_DELAY) revert OutOfBounds(delay, MIN_DELAY, MAX_DELAY);
        state.delay = uint32(delay);
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

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Rewards by Merkle root
/// @notice Attestors post a root over (account, cumulative reward). It waits out a window in which it can be stopped, then
///         it is claimable for ever. A claim pays what the account's leaf exceeds what it was credited before.
/// @dev Leaves and nodes are those of OpenZeppelin's StandardMerkleTree over ["address", "uint256"].
interface IRewardDistributor {
    /// @notice What attestors sign.
    /// @param previousRoot the latest root in force, zero before the first.
    /// @param root the new root.
    /// @param epoch the number of the root, from 1 without gaps.
    /// @param round how many roots were stopped (and rounds skipped) so far: a stopped root cannot come back with the signatures it had.
    /// @param total the sum of all leaves.
    /// @param contentHash the hash of the batch header that the root was made from (see Batches.Header).
    struct RewardRoot {
        bytes32 previousRoot;
        bytes32 root;
        uint256 epoch;
        uint256 round;
        uint256 total;
        bytes32 contentHash;
    }

    struct Claim {
        address account;
        uint256 cumulative;
        bytes32[] proof;
    }

    /// @param activatesAt zero for an unknown root; type(uint40).max for one that a challenge has stopped, one less for one that
    ///        governance has condemned.
    struct Record {
        uint40 activatesAt;
        uint32 epoch;
        uint96 total;
    }

    struct Challenge {
        address challenger;
        uint96 bond;
        bytes32 root;
        uint40 deadline;
    }

    /// @notice A root was posted on top of the root in force of the epoch before.
    event RootSubmitted(bytes32 indexed root, uint256 indexed epoch, uint256 total, bytes32 contentHash);
    event RootCondemned(bytes32 indexed root, uint256 indexed epoch);
    event RootVetoed(bytes32 indexed root, uint256 indexed epoch);
    event RootChallenged(
        bytes32 indexed root,
        uint256 indexed challengeId,
        address indexed challenger,
        uint256 deadline,
        bytes32 reasonHash
    );
    event ChallengeRejected(uint256 indexed challengeId, bytes32 indexed root, uint256 activatesAt);
    event ChallengeBondReturned(uint256 indexed challengeId, address indexed challenger, uint256 bond);
    /// @notice A reward was paid to somebody else by the account's signature. A reward paid to its own account is the token's
    ///         Transfer out of the pool and needs no second event.
    event ClaimedTo(address indexed account, address indexed recipient, uint256 amount);
    event SubtreePushed(bytes32 indexed root, uint256 leaves, uint256 amount);
    event FeesCollected(uint256 amount, uint256 collected);
    event PoolRefilled(bytes32 indexed root, uint256 amount);
    event RoundSkipped(uint256 round);
    event GuardianSet(address indexed guardian);
    event DelaySet(uint256 delay);
    event PoolLimitSet(uint256 epochCap, uint256 epochLength);
    event ChallengeTermsSet(uint256 bond, uint256 resolutionWindow);

    error OnlyGovernance(address caller);
    error OnlyGuardian(address caller);
    error OnlyEscrow(address caller);
    error EmptyRoot();
    error WrongEpoch(uint256 given, uint256 expected);
    error WrongPreviousRoot(bytes32 given, uint256 headEpoch);
    error PreviousRootPending(bytes32 previousRoot, uint256 activatesAt);
    error RootAlreadyPosted(bytes32 root);
    error TotalOutOfRange(uint256 total, uint256 previousTotal, uint256 collected);
    error WindowClosed(bytes32 root, uint256 activatesAt);
    error RootNotActive(bytes32 root, uint256 activatesAt);
    error NothingToClaim(address account, uint256 cumulative);
    error SignatureExpired(uint256 deadline);
    error InvalidClaimSignature(address account);
    error RefillTooEarly(uint256 lastMomentOfTheEpoch);
    error RootTooOld(bytes32 root, uint256 headEpoch);
    error NothingToRefill();
    error ChallengeNotOpen(uint256 challengeId, uint256 deadline);
    error ChallengeStillOpen(uint256 challengeId, uint256 deadline);
    error OutOfBounds(uint256 value, uint256 least, uint256 most);

    /// @notice Posts the root of the next epoch. Anybody may send it; a quorum of attestors must have signed it.
    /// @param previousRoot must be the latest root in force (compare-and-swap).
    /// @param total must neither fall nor exceed what the escrow has collected.
    /// @param signatures 65 bytes each (r, s, v), signers in ascending order.
    function submitRoot(
        bytes32 previousRoot,
        bytes32 root,
        uint256 epoch,
        uint256 total,
        bytes32 contentHash,
        bytes calldata signatures
    ) external;

    /// @notice The guardian stops the pending root. It has no other power.
    function veto(bytes32 root) external;

    /// @notice Anybody stops the pending root against a bond. Unless governance rejects the challenge in time, the root is
    ///         dead; attestors may post a better one at once.
    function challenge(bytes32 root, bytes32 reasonHash) external returns (uint256 challengeId);

    /// @notice Governance judges a challenge frivolous: the bond is lost to the treasury, and the root, if nothing has
    ///         taken its place, waits out a new window.
    function rejectChallenge(uint256 challengeId) external;

    /// @notice Returns the bond of a challenge that was not rejected in time. Anybody may send it.
    function returnChallengeBond(uint256 challengeId) external;

    /// @notice Governance ends the pay of a root that should never have become active. Without this, one bad root that slipped
    ///         through its window would drain every later refill, since a leaf is bounded by nothing but the pool.
    /// @dev Only within 30 days of its activation; older roots stay claimable for ever, and what an honest account had in a
    ///      condemned root it has in the next one.
    function condemn(bytes32 root) external;

    /// @notice Pays `account` all that its leaf exceeds what it got before, as far as the pool reaches. Anybody may send it.
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external returns (uint256 paid);

    /// @notice As `claim`, to another recipient, by the signature of `account` (a key or ERC-1271).
    function claimTo(
        address account,
        address recipient,
        uint256 cumulative,
        bytes32[] calldata proof,
        uint256 deadline,
        bytes calldata signature
    ) external returns (uint256 paid);

    /// @notice Claims for many accounts. One that has nothing left to claim is passed over, so that nobody can sink the
    ///         call by claiming first.
    function claimMany(Claim[] calldata claims) external returns (uint256 paid);

    /// @notice Pays every account of one aligned subtree with a single proof.
    /// @param leaves the 2^k leaves in tree order, each (account << 96 | cumulative).
    function pushSubtree(uint256[] calldata leaves, bytes32[] calldata proof) external returns (uint256 paid);

    /// @notice The escrow reports fees that it has just transferred here.
    function collect(uint256 amount) external;

    /// @notice Once an epoch, fills the reward pool up to half of the epoch's cap, never beyond the total of an active root: the
    ///         head, or the one before it.
    /// @dev At most half a cap stands in the pool and at most half a cap comes in per epoch, so that whatever attestors
    ///      sign, no more than one cap can leave within any time as long as an epoch.
    function refill(bytes32 root) external returns (uint256 amount);

    /// @notice Begins a new round, for attestors who signed different roots of one epoch, none with a quorum: they may sign
    ///         anew without contradicting themselves.
    function skipRound() external;
    function setGuardian(address guardian) external;
    function setDelay(uint256 delay) external;
    function setPoolLimit(uint256 epochCap, uint256 epochLength) external;
    function setChallengeTerms(uint256 bond, uint256 resolutionWindow) external;

    function state() external view returns (address guardian, uint32 delay, uint32 headEpoch, uint32 round);
    function ledger() external view returns (uint96 collected, uint96 funded);
    function poolLimit() external view returns (uint96 epochCap, uint40 epochLength, uint40 refilledAt);
    function challengeTerms() external view returns (uint96 bond, uint40 resolutionWindow, uint64 count);
    function recordOf(bytes32 root) external view returns (Record memory);
    function challengeOf(uint256 challengeId) external view returns (Challenge memory);
    function isActive(bytes32 root) external view returns (bool);
    function rootDigest(RewardRoot calldata statement) external view returns (bytes32);
    function claimDigest(address account, address recipient, uint256 cumulative, uint256 deadline)
        external
        view
        returns (bytes32);
    function leafOf(address account, uint256 cumulative) external pure returns (bytes32);
}

// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Datanets and what was contributed to them
/// @notice A contribution is an event: the Merkle root over any number of rows, by whoever sends or signs it. Nobody's leave is
///         needed. Every contribution of a datanet is folded into its accumulator, so that a log can be checked for
///         completeness against the chain.
/// @dev A contribution is named by the hash of its content and author. The first event of a name counts; a repeated one (a
///      signature relayed twice) is the same contribution. Leaves of `rowsRoot` are double hashes of (contributor, rowHash):
///      a root copied out of the mempool is worthless to the copier.
interface IDatanetRegistry {
    enum Kind {
        TrainingRow,
        Document,
        Correction,
        Review,
        EvaluationItem
    }

    enum Refusal {
        None,
        Expired,
        BadSignature,
        EmptyRows,
        UnknownKind
    }

    struct Datanet {
        address steward;
        uint40 closesAt;
        uint16 quorum;
        uint32 snapshots;
        uint96 bond;
        uint16 reviewers;
        bytes32 policyHash;
    }

    struct Contribution {
        address contributor;
        uint256 datanet;
        Kind kind;
        bytes32 rowsRoot;
        uint256 count;
        bytes32 manifestHash;
    }

    /// @param head contributor (160 bits) · kind (8) · count (48) · deadline (40): one word where four would cost 330 gas more.
    /// @param vs the signature's s with v in the top bit (ERC-2098).
    struct SignedRows {
        uint256 head;
        bytes32 rowsRoot;
        bytes32 manifestHash;
        bytes32 r;
        bytes32 vs;
    }

    /// @param head as in SignedRows.
    struct RelayedRows {
        uint256 head;
        bytes32 rowsRoot;
        bytes32 manifestHash;
    }

    /// @param acceptedRoot over the accepted rows, with the same leaves as `rowsRoot`.
    struct Outcome {
        bytes32 contribution;
        bytes32 acceptedRoot;
        uint256 acceptedCount;
        bytes32 reasonsHash;
    }

    struct Snapshot {
        bytes32 root;
        uint64 count;
        uint40 publishedAt;
        bytes32 accumulator;
    }

    /// @param deadline by which an outcome must be recorded; zero for what was never forced.
    struct Forced {
        address contributor;
        uint40 deadline;
        bool resolved;
        bool neglected;
        uint96 bond;
    }

    struct ContributorBond {
        uint96 amount;
        uint40 readyAt;
    }

    /// @param olderPlace the place in the log that the accuser showed for the older contribution.
    struct Accusation {
        address contributor;
        uint96 stake;
        address finder;
        uint40 deadline;
        bool settled;
        uint48 olderPlace;
        uint256 datanet;
    }

    struct Terms {
        uint96 minDatanetBond;
        uint96 forcedBond;
        uint40 inclusionWindow;
        uint96 duplicateSlash;
        uint40 bondDelay;
        uint16 finderBps;
        uint40 closingNotice;
    }

    /// @notice The place of a contribution in the log, by the way from there to a known accumulator.
    /// @param before the accumulator just before the contribution; it carries the place in its low 48 bits.
    /// @param later the names after the contribution, up to the head or to any checkpoint.
    struct Segment {
        bytes32 before;
        bytes32[] later;
    }

    /// @param older came first in the log, and a review accepted the row.
    /// @param olderOutcome the recorded outcome of `older`; its accepted root holds the row.
    struct DuplicateProof {
        Contribution older;
        Contribution newer;
        bytes32 rowHash;
        Outcome olderOutcome;
        bytes32[] olderProof;
        bytes32[] newerProof;
        Segment olderAt;
        Segment newerAt;
    }

    event DatanetCreated(
        uint256 indexed datanet,
        address indexed steward,
        bytes32 policyHash,
        string name,
        string licence,
        string datatype,
        uint256 bond
    );
    event PolicySet(uint256 indexed datanet, bytes32 policyHash);
    event ReviewerSet(uint256 indexed datanet, address indexed reviewer, bool active);
    event QuorumSet(uint256 indexed datanet, uint256 quorum);
    event StewardOffered(uint256 indexed datanet, address indexed to);
    event StewardChanged(uint256 indexed datanet, address indexed from, address indexed to);
    event ClosingAnnounced(uint256 indexed datanet, uint256 closesAt);
    event DatanetBondWithdrawn(uint256 indexed datanet, address indexed steward, uint256 amount);
    event Contributed(
        uint256 indexed datanet,
        address indexed contributor,
        bytes32 indexed contribution,
        Kind kind,
        uint256 count,
        bytes32 rowsRoot,
        bytes32 manifestHash
    );
    event ContributionsRelayed(
        uint256 indexed datanet, address indexed relayer, bytes32 accumulator, RelayedRows[] contributions
    );
    event ContributionRefused(uint256 indexed datanet, address indexed contributor, uint256 index, Refusal reason);
    event InclusionForced(
        uint256 indexed datanet, bytes32 indexed contribution, address indexed contributor, uint256 deadline
    );
    event ForcedBondPaid(bytes32 indexed contribution, address indexed recipient, uint256 amount);
    event Neglected(uint256 indexed datanet, bytes32 indexed contribution, uint256 penalty);
    event OutcomeRecorded(
        uint256 indexed datanet,
        bytes32 indexed contribution,
        bytes32 acceptedRoot,
        uint256 acceptedCount,
        bytes32 reasonsHash
    );
    event SnapshotPublished(
        uint256 indexed datanet,
        uint256 indexed version,
        bytes32 indexed root,
        uint256 count,
        bytes32 manifestHash,
        bytes32 accumulator
    );
    event Checkpointed(uint256 indexed datanet, bytes32 indexed accumulator);
    event ErasureRequested(
        uint256 indexed datanet, bytes32 indexed contribution, address indexed contributor, bytes32 rowsHash
    );
    event ContributorBonded(uint256 indexed datanet, address indexed account, uint256 bond);
    event ContributorBondExit(uint256 indexed datanet, address indexed account, uint256 readyAt);
    event ContributorBondWithdrawn(uint256 indexed datanet, address indexed account, uint256 amount);
    event DuplicateAccused(
        uint256 indexed datanet,
        address indexed contributor,
        address indexed finder,
        bytes32 older,
        bytes32 newer,
        bytes32 rowHash,
        uint256 deadline
    );
    event DuplicateRefuted(uint256 indexed datanet, address indexed contributor, address indexed finder, bytes32 newer);
    event DuplicateSlashed(
        uint256 indexed datanet,
        address indexed contributor,
        address indexed finder,
        bytes32 newer,
        uint256 amount,
        uint256 reward
    );
    event TermsSet(Terms terms);

    error OnlyGovernance(address caller);
    error OnlySteward(uint256 datanet, address caller);
    error OnlyContributor(address contributor, address caller);
    error UnknownDatanet(uint256 datanet);
    error DatanetClosed(uint256 datanet, uint256 closedAt);
    error DatanetNotClosed(uint256 datanet, uint256 closesAt);
    error EmptyRows();
    error CountTooLarge(uint256 count);
    error EmptyHash();
    error BondTooSmall(uint256 bond, uint256 least);
    error QuorumOutOfRange(uint256 quorum, uint256 reviewers);
    error ReviewerUnchanged(address reviewer);
    error NotOffered(address caller);
    error SignatureExpired(uint256 deadline);
    error InvalidSignature(address contributor);
    error ItemRefused(uint256 index, address contributor, Refusal reason);
    error AlreadyForced(bytes32 contribution);
    error OutcomeAlreadyRecorded(bytes32 contribution);
    error SignaturesLength(uint256 length);
    error SignersNotAscending(address previous, address signer);
    error NotAReviewer(address signer);
    error QuorumNotReached(uint256 signers, uint256 quorum);
    error InclusionOverdue(bytes32 contribution, uint256 deadline);
    error NotOverdue(bytes32 contribution, uint256 deadline);
    error InclusionsPending(uint256 pending);
    error UnknownAccumulator(bytes32 accumulator);
    error NoBond(address account);
    error BondNotReady(uint256 readyAt);
    error NotADuplicate();
    error NotAccepted(bytes32 contribution);
    error AlreadyAccused(bytes32 contribution);
    error NotAccused(bytes32 contribution);
    error NotARefutation(bytes32 contribution, uint256 place, uint256 olderPlace);
    error AccusationOpen(bytes32 contribution, uint256 deadline);
    error OutOfBounds(uint256 value, uint256 least, uint256 most);

    function createDatanet(
        bytes32 policyHash,
        string calldata name,
        string calldata licence,
        string calldata datatype,
        address[] calldata reviewers,
        uint256 quorum,
        uint256 bond
    ) external returns (uint256 datanet);
    function setPolicy(uint256 datanet, bytes32 policyHash) external;
    function setReviewer(uint256 datanet, address reviewer, bool active) external;
    function setQuorum(uint256 datanet, uint256 quorum) external;
    function offerSteward(uint256 datanet, address to) external;
    function acceptSteward(uint256 datanet) external;

    /// @notice Contributions are refused once the closing notice is over, not before: a steward cannot shut the door on one.
    function announceClosing(uint256 datanet) external;
    function withdrawDatanetBond(uint256 datanet) external;

    function contribute(uint256 datanet, Kind kind, bytes32 rowsRoot, uint256 count, bytes32 manifestHash)
        external
        returns (bytes32 contribution);

    /// @notice By the contributor's signature (a key or ERC-1271); anybody may send it.
    function contributeBySig(Contribution calldata contribution, uint256 deadline, bytes calldata signature)
        external
        returns (bytes32 name);

    /// @notice Many signatures at once.
    /// @param all whether one bad item reverts the call (true) or is passed over with an event (false).
    function contributeMany(uint256 datanet, SignedRows[] calldata items, bool all) external returns (uint256 accepted);

    /// @notice Contributes, or repeats a contribution, in a way that cannot be left lying: until its outcome is recorded no
    ///         snapshot can be published past the deadline. The bond comes back unless not one row is accepted.
    function contributeForced(uint256 datanet, Kind kind, bytes32 rowsRoot, uint256 count, bytes32 manifestHash)
        external
        returns (bytes32 contribution);

    /// @notice A forced contribution without outcome after its deadline costs the steward part of its bond, once.
    function proveNeglect(uint256 datanet, bytes32 contribution) external;

    /// @notice Walks the queue of forced contributions past those that have their outcome, at most `most` of them, so that no
    ///         flood of them makes a snapshot too expensive to publish.
    function skipResolved(uint256 datanet, uint256 most) external returns (uint256 pending);

    /// @param signatures of reviewers, 65 bytes each, ascending, over all outcomes of the call.
    function recordOutcomes(uint256 datanet, Outcome[] calldata outcomes, bytes calldata signatures) external;

    /// @param accumulator how far into the log the snapshot reaches: the head or a checkpoint.
    function publishSnapshot(uint256 datanet, bytes32 root, uint256 count, bytes32 manifestHash, bytes32 accumulator)
        external
        returns (uint256 version);

    /// @notice Remembers the accumulator's present value, so that later proofs can end here.
    function checkpoint(uint256 datanet) external returns (bytes32 accumulator);

    function requestErasure(Contribution calldata contribution, bytes32 rowsHash) external;
    function requestErasureBySig(
        Contribution calldata contribution,
        bytes32 rowsHash,
        uint256 deadline,
        bytes calldata signature
    ) external;

    function postBond(uint256 datanet, uint256 amount) external;
    function announceBondExit(uint256 datanet) external;
    function withdrawBond(uint256 datanet) external;

    /// @notice Accuses whoever contributed a row that another had contributed before. The penalty is set aside from the bond of
    ///         the accused, and the accuser stakes as much.
    function accuseDuplicate(DuplicateProof calldata proof) external;

    /// @notice Shows that the accused contribution stands in the log before the place the accuser showed for the older one. The
    ///         accuser's stake goes to the accused.
    function refuteDuplicate(bytes32 newer, Segment calldata earlier) external;

    /// @notice After its time, an accusation that nobody refuted costs the accused what was set aside.
    function settleDuplicate(bytes32 newer) external;

    function setTerms(Terms calldata terms_) external;

    function datanetCount() external view returns (uint256);
    function datanetOf(uint256 datanet) external view returns (Datanet memory);
    function isReviewer(uint256 datanet, address account) external view returns (bool);
    function accumulatorOf(uint256 datanet) external view returns (bytes32);
    function checkpointedAt(uint256 datanet, bytes32 accumulator) external view returns (uint256);
    function outcomeOf(uint256 datanet, bytes32 contribution) external view returns (bytes32);
    function forcedOf(uint256 datanet, bytes32 contribution) external view returns (Forced memory);
    function snapshotOf(uint256 datanet, uint256 version) external view returns (Snapshot memory);
    function snapshotRoot(uint256 datanet, uint256 version) external view returns (bytes32);
    function bondOf(uint256 datanet, address account) external view returns (ContributorBond memory);
    function accusationOf(bytes32 newer) external view returns (Accusation memory);
    function terms() external view returns (Terms memory);

    /// @notice The name of a contribution: the EIP-712 struct hash of its content and author.
    function nameOf(Contribution calldata contribution) external pure returns (bytes32);
    function contributionDigest(bytes32 contribution, uint256 deadline) external view returns (bytes32);
    function erasureDigest(bytes32 contribution, bytes32 rowsHash, uint256 deadline) external view returns (bytes32);
    function outcomesDigest(uint256 datanet, Outcome[] calldata outcomes) external view returns (bytes32);
    function rowLeaf(address contributor, bytes32 rowHash) external pure returns (bytes32);

    /// @notice Folds names into an accumulator: what a complete log of contributions must come to. An accumulator is 208 bits
    ///         of a hash chain, and in its low 48 bits the number of names.
    function fold(bytes32 accumulator, bytes32[] calldata names) external pure returns (bytes32);
}

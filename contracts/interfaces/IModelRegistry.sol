// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Base models and adapters: what they are made of, what they cost, who has a part in their fees
interface IModelRegistry {
    enum Status {
        Unknown,
        Active,
        Deprecated,
        Withdrawn
    }

    /// @notice Basis points of every fee; they sum to 10,000. What cannot be attributed comes out of `contributors`.
    struct Split {
        uint16 contributors;
        uint16 builder;
        uint16 upstream;
        uint16 reviewers;
        uint16 attestors;
        uint16 treasury;
    }

    /// @notice What governance allows a split to be.
    struct SplitBounds {
        uint16 minContributors;
        uint16 maxBuilder;
        uint16 maxReviewers;
        uint16 minAttestors;
        uint16 minTreasury;
        uint16 maxTreasury;
    }

    /// @param input wei of OPEN for 1,000 prompt tokens.
    /// @param output wei of OPEN for 1,000 generated tokens.
    struct Price {
        uint96 input;
        uint96 output;
        uint40 effectiveAt;
    }

    struct SnapshotId {
        uint256 datanet;
        uint256 version;
    }

    /// @notice A model that this one was trained on top of, and its part of the upstream fees; the parts sum to 10,000.
    struct Parent {
        uint256 model;
        uint256 version;
        uint16 shareBps;
    }

    /// @param evaluationHash the report of base and adapter side by side.
    /// @param accuracyHash the measured accuracy of its attribution.
    struct Artifacts {
        bytes32 weightsHash;
        bytes32 manifestHash;
        bytes32 evaluationHash;
        bytes32 accuracyHash;
    }

    struct Model {
        address builder;
        uint64 versions;
        bool isBase;
        Price price;
        Price nextPrice;
    }

    struct Version {
        Artifacts artifacts;
        Split split;
        Status status;
        uint40 publishedAt;
        bytes32 lineageHash;
    }

    event ModelRegistered(uint256 indexed model, address indexed builder, bool isBase, string name);
    event VersionPublished(
        uint256 indexed model,
        uint256 indexed version,
        bytes32 indexed weightsHash,
        Artifacts artifacts,
        Split split,
        Parent[] parents,
        SnapshotId[] snapshots
    );
    event StatusSet(uint256 indexed model, uint256 indexed version, Status status, bytes32 reasonHash);
    event PriceAnnounced(uint256 indexed model, uint256 input, uint256 output, uint256 effectiveAt);
    event BuilderOffered(uint256 indexed model, address indexed to);
    event BuilderChanged(uint256 indexed model, address indexed from, address indexed to);
    event SplitBoundsSet(SplitBounds bounds);
    event PriceNoticeSet(uint256 notice);

    error OnlyGovernance(address caller);
    error OnlyBuilder(uint256 model, address caller);
    error UnknownModel(uint256 model);
    error UnknownVersion(uint256 model, uint256 version);
    error UnknownSnapshot(uint256 datanet, uint256 version);
    error EmptyName();
    error EmptyHash();
    error SplitSum(uint256 sum);
    error SplitOutOfBounds(Split split);
    error LineageMissing();
    error UpstreamShares(uint256 sum);
    error BaseHasNoLineage();
    error ParentWithdrawn(uint256 model, uint256 version);
    error StatusNotAllowed(Status from, Status to);
    error NotOffered(address caller);
    error OutOfBounds(uint256 value, uint256 least, uint256 most);

    /// @notice Registers a base model (not made here, no fee split of its own lineage) or an adapter family.
    function register(string calldata name, bool isBase, uint96 inputPrice, uint96 outputPrice)
        external
        returns (uint256 model);

    /// @notice Publishes an immutable version.
    /// @dev An adapter names at least one parent and one snapshot, all of which must exist; a base names neither.
    function publish(
        uint256 model,
        Artifacts calldata artifacts,
        Split calldata split,
        Parent[] calldata parents,
        SnapshotId[] calldata snapshots
    ) external returns (uint256 version);

    /// @notice Active → Deprecated (still served) → Withdrawn (no longer served). There is no way back.
    function setStatus(uint256 model, uint256 version, Status status, bytes32 reasonHash) external;

    /// @notice Announces a price; it holds after the notice period.
    function announcePrice(uint256 model, uint96 input, uint96 output) external;

    function offerBuilder(uint256 model, address to) external;
    function acceptBuilder(uint256 model) external;

    function setSplitBounds(SplitBounds calldata bounds) external;
    function setPriceNotice(uint256 notice) external;

    function modelCount() external view returns (uint256);
    function modelOf(uint256 model) external view returns (Model memory);
    function versionOf(uint256 model, uint256 version) external view returns (Version memory);

    /// @notice The basis points in the order of Batches.Role; all zero for an unknown version.
    function splitOf(uint256 model, uint256 version) external view returns (uint16[6] memory);

    /// @notice The price in force now.
    function priceOf(uint256 model) external view returns (uint256 input, uint256 output);
    function splitBounds() external view returns (SplitBounds memory);
    function priceNotice() external view returns (uint256);
}

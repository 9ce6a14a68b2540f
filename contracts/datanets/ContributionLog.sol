// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import { IDatanetRegistry } from "../interfaces/IDatanetRegistry.sol";
import { Contributions } from "../libraries/Contributions.sol";
import { Signatures } from "../libraries/Signatures.sol";
import { Stewardship } from "./Stewardship.sol";

/// @title The log of contributions
/// @dev Nothing is stored for a contribution but its place in the accumulator of its datanet.
abstract contract ContributionLog is Stewardship, EIP712 {
    // Parts of the head of a relayed item.
    uint256 private constant COUNT_MASK = uint256(type(uint48).max) << 40;
    uint256 private constant KIND_MASK = uint256(type(uint8).max) << 88;
    uint256 private constant LAST_KIND = uint256(type(Kind).max) << 88;

    mapping(uint256 datanet => bytes32) public override accumulatorOf;
    mapping(uint256 datanet => mapping(bytes32 accumulator => uint256)) public override checkpointedAt;
    /// @dev By datanet too: the reviewers of one must have no say over the contributions of another.
    mapping(uint256 datanet => mapping(bytes32 contribution => bytes32)) public override outcomeOf;

    /// @inheritdoc IDatanetRegistry
    function contribute(uint256 datanet, Kind kind, bytes32 rowsRoot, uint256 count, bytes32 manifestHash)
        external
        override
        returns (bytes32 contribution)
    {
        return _contribute(Contribution(msg.sender, datanet, kind, rowsRoot, count, manifestHash));
    }

    /// @inheritdoc IDatanetRegistry
    function contributeBySig(Contribution calldata contribution, uint256 deadline, bytes calldata signature)
        external
        override
        returns (bytes32 name)
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        name = _contribute(contribution);
        if (!Signatures.isValid(contribution.contributor, contributionDigest(name, deadline), signature)) {
            revert InvalidSignature(contribution.contributor);
        }
    }

    /// @inheritdoc IDatanetRegistry
    function contributeMany(uint256 datanet, SignedRows[] calldata items, bool all)
        external
        override
        returns (uint256 accepted)
    {
        _requireOpen(datanet);
        uint256 desk = Contributions.desk(_domainSeparatorV4(), datanet);
        bytes32 accumulator = accumulatorOf[datanet];
        uint256 entry = Contributions.open(items.length);
        for (uint256 i = 0; i < items.length; ++i) {
            SignedRows calldata item = items[i];
            (bytes32 name, bytes32 digest) = Contributions.nameAndDigest(desk, item);
            uint256 head = item.head;
            Refusal reason = _check(item, head, digest);
            if (reason != Refusal.None) {
                _refuse(datanet, i, head, reason, all);
                continue;
            }
            accumulator = Contributions.extend(accumulator, name);
            unchecked {
                Contributions.put(entry, ++accepted, item);
            }
        }
        if (accepted == 0) return 0;
        accumulatorOf[datanet] = accumulator;
        Contributions.emitEntry(entry, accepted, datanet, accumulator);
    }

    /// @inheritdoc IDatanetRegistry
    function checkpoint(uint256 datanet) external override returns (bytes32 accumulator) {
        accumulator = accumulatorOf[datanet];
        if (accumulator == 0) revert UnknownAccumulator(accumulator);
        _checkpoint(datanet, accumulator);
    }

    /// @inheritdoc IDatanetRegistry
    function requestErasure(Contribution calldata contribution, bytes32 rowsHash) external override {
        if (contribution.contributor != msg.sender) revert OnlyContributor(contribution.contributor, msg.sender);
        emit ErasureRequested(contribution.datanet, Contributions.nameOf(contribution), msg.sender, rowsHash);
    }

    /// @inheritdoc IDatanetRegistry
    function requestErasureBySig(
        Contribution calldata contribution,
        bytes32 rowsHash,
        uint256 deadline,
        bytes calldata signature
    ) external override {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        bytes32 name = Contributions.nameOf(contribution);
        if (!Signatures.isValid(contribution.contributor, erasureDigest(name, rowsHash, deadline), signature)) {
            revert InvalidSignature(contribution.contributor);
        }
        emit ErasureRequested(contribution.datanet, name, contribution.contributor, rowsHash);
    }

    /// @inheritdoc IDatanetRegistry
    function nameOf(Contribution calldata contribution) external pure override returns (bytes32) {
        return Contributions.nameOf(contribution);
    }

    /// @inheritdoc IDatanetRegistry
    function contributionDigest(bytes32 contribution, uint256 deadline) public view override returns (bytes32) {
        return _hashTypedDataV4(Contributions.signedHash(contribution, deadline));
    }

    /// @inheritdoc IDatanetRegistry
    function erasureDigest(bytes32 contribution, bytes32 rowsHash, uint256 deadline)
        public
        view
        override
        returns (bytes32)
    {
        return _hashTypedDataV4(Contributions.erasureHash(contribution, rowsHash, deadline));
    }

    /// @inheritdoc IDatanetRegistry
    function rowLeaf(address contributor, bytes32 rowHash) external pure override returns (bytes32) {
        return Contributions.rowLeaf(contributor, rowHash);
    }

    /// @inheritdoc IDatanetRegistry
    function fold(bytes32 accumulator, bytes32[] calldata names) external pure override returns (bytes32) {
        return Contributions.fold(accumulator, names);
    }

    function _contribute(Contribution memory contribution) internal returns (bytes32 name) {
        uint256 datanet = contribution.datanet;
        _requireOpen(datanet);
        if (contribution.rowsRoot == 0 || contribution.count == 0) revert EmptyRows();
        if (contribution.count > type(uint48).max) revert CountTooLarge(contribution.count);
        name = Contributions.nameOf(contribution);
        accumulatorOf[datanet] = Contributions.extend(accumulatorOf[datanet], name);
        emit Contributed(
            datanet,
            contribution.contributor,
            name,
            contribution.kind,
            contribution.count,
            contribution.rowsRoot,
            contribution.manifestHash
        );
    }

    function _checkpoint(uint256 datanet, bytes32 accumulator) internal {
        if (checkpointedAt[datanet][accumulator] != 0) return;
        checkpointedAt[datanet][accumulator] = block.timestamp;
        emit Checkpointed(datanet, accumulator);
    }

    function _refuse(uint256 datanet, uint256 index, uint256 head, Refusal reason, bool all) private {
        address contributor = address(uint160(head >> 96));
        if (all) revert ItemRefused(index, contributor, reason);
        emit ContributionRefused(datanet, contributor, index, reason);
    }

    function _check(SignedRows calldata item, uint256 head, bytes32 digest) private view returns (Refusal) {
        if (block.timestamp > head & type(uint40).max) return Refusal.Expired;
        if (head & COUNT_MASK == 0 || item.rowsRoot == 0) return Refusal.EmptyRows;
        if (head & KIND_MASK > LAST_KIND) return Refusal.UnknownKind;
        if (!Signatures.isByKey(head >> 96, digest, item.r, item.vs)) return Refusal.BadSignature;
        return Refusal.None;
    }
}
